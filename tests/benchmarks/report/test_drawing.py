"""Scales, legends, and the figures of a whole run: the same in SVG and PNG."""

from __future__ import annotations

from xml.etree import ElementTree

import cv2
import pytest
from made_bench_record import processor_run, written

from benchmarks.report.drawing import (
    BAD,
    SERIES,
    Box,
    Dot,
    Figure,
    Stroke,
    Words,
    legend,
    legend_height,
    svg,
)
from benchmarks.report.figures import run_figures, trade_off_figures
from benchmarks.report.raster import write_png
from benchmarks.report.scales import Scale, brief, fitted
from benchmarks.report.shown import read_shown


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "bench.jsonl"
    return read_shown([written(path, processor_run())])[0]


# --- scales --------------------------------------------------------------------------------------


@pytest.mark.parametrize("logarithmic", [False, True])
def test_ends_lie_at_the_ends_and_steps_are_even(logarithmic):
    scale = Scale(1.0, 100.0, 50.0, 250.0, logarithmic)
    assert (scale.at(1.0), scale.at(100.0)) == (50.0, 250.0)
    assert scale.at(10.0 if logarithmic else 50.5) == pytest.approx(150.0)
    assert (scale.at(0.5), scale.at(1e9)) == (50.0, 250.0), "what is beyond stays at the end"


@pytest.mark.parametrize(
    ("low", "high", "logarithmic"),
    [(0.0, 1.0, False), (-3, 88, False), (18, 72, True), (0.002, 900, True), (21.0, 44.0, True)],
)
def test_marks_of_an_axis_are_round_few_and_within(low, high, logarithmic):
    scale = Scale(low, high, 0, 1, logarithmic)
    found = scale.ticks()
    assert 2 <= len(found) <= 8 and all(low <= value <= high for value in found)
    for value in found:
        digits = f"{abs(value):e}".split("e")[0].rstrip("0").rstrip(".")
        assert len(digits) <= 3, value


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [], [1e-3, 1e6]])
def test_any_values_have_a_scale(values):
    for logarithmic in (False, True):
        scale = fitted(values, 0, 100, logarithmic)
        assert scale.low < scale.high and all(0 < scale.at(v) < 100 for v in values)


def test_numbers_of_axes_are_brief():
    found = [brief(v) for v in (0.0, 0.05, 20.0, 1500.0, 20_000.0, 3e6)]
    assert found == ["0", "0.05", "20", "1500", "20k", "3M"]


def test_a_legend_breaks_its_lines():
    entries = [(f"a name of {n}", SERIES[n]) for n in range(6)]
    one, many = legend_height(entries, 5000), legend_height(entries, 200)
    assert many > 2 * one
    rights = [m.x + 7 * len(m.text) for m in legend(entries, 0, 0, 260) if isinstance(m, Words)]
    assert max(rights) <= 275


# --- a whole run ---------------------------------------------------------------------------------


def test_names_of_figures_are_unique_and_fit_for_files(processor):
    figures = [*run_figures(processor, "run1-").all, *trade_off_figures([processor])[:1]]
    names = [figure.name for figure in figures]
    assert len(names) == len(set(names)) and len(names) > 10
    assert all(name.replace("-", "").isalnum() and name.isascii() for name in names)


def test_all_marks_lie_within_their_figures(processor):
    for figure in (*run_figures(processor).all, *trade_off_figures([processor])):
        for mark in figure.marks:
            points = mark.points if isinstance(mark, Stroke) else [(mark.x, mark.y)]
            for x, y in points:
                assert -1 <= x <= figure.width + 1 and -1 <= y <= figure.height + 1, (
                    figure.name,
                    mark,
                )


def test_svg_is_well_formed_and_escapes(processor):
    bad = Figure("a", "<&>", 50, 20, (Words(1, 9, "a <b> & 'c'"), Box(1, 1, 4, 4, BAD, hint="<i>")))
    for figure in (bad, *run_figures(processor).all):
        for alone in (False, True):
            tree = ElementTree.fromstring(svg(figure, alone))
            assert tree.tag.endswith("svg")
    assert "<b>" not in svg(bad) and "<i>" not in svg(bad)


def test_png_and_svg_show_the_same_marks(tmp_path):
    """The raster has each mark's colour where the vector has the mark."""
    marks = (
        Box(20, 20, 60, 30, "#ff0000"),
        Dot(150, 40, 10, "#00ff00"),
        Stroke(((20, 80), (180, 80)), "#0000ff", 6),
        Words(20, 110, "$x_1$ is not mathematics", "#ffffff", 14),
    )
    write_png(Figure("a", "A figure", 200, 120, marks), tmp_path / "a.png")
    image = cv2.imread(str(tmp_path / "a.png"))
    scale = image.shape[1] / (200 + 28)
    assert image.shape[0] == pytest.approx(scale * (120 + 28 + 34), abs=2)

    def at(x: float, y: float) -> list[int]:
        return image[round(scale * (y + 14 + 34)), round(scale * (x + 14))].tolist()

    assert at(50, 35) == [0, 0, 255] and at(150, 40) == [0, 255, 0] and at(100, 80) == [255, 0, 0]
    assert at(100, 60) == [37, 28, 22], "the background"
    text = image[round(scale * (96 + 48)) : round(scale * (112 + 48)), round(scale * 34) :]
    assert (text.min(axis=2) > 200).sum() > 100
