"""The report says what the judgement says, escapes it, and loads nothing."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from calibration.judging.record import (
    CpuFormVerdict,
    GraphLatency,
    Judgement,
    Outcome,
    RankedBy,
    Ranking,
)
from calibration.judging.verdict import ranking_sentence
from calibration.ranges.finding import find_ranges
from calibration.ranges.histogram import HistogramBuilder, Scratch
from calibration.ranges.histogram_file import Identity, TensorHistograms
from calibration.ranges.record import METHODS
from calibration.report.charts import KEPT, LEFT, Bar, Point, bars, range_chart, scatter
from calibration.report.page import OPEN_RANGES, Evidence, page
from calibration.report.tables import FIXED
from tests.support.made_judgement import made_judgement


def histograms(tensors: int = 30) -> tuple[TensorHistograms, ...]:
    rng = np.random.default_rng(0)
    made = {}
    for number in range(tensors):
        builder = HistogramBuilder()
        values = rng.laplace(0, 1 + number, 20_000).astype(np.float32)
        builder.add(float(values.min()), float(values.max()), values, Scratch())
        made[f"tensor<{number}>"] = builder.histogram()
    identity = Identity(
        graph="reference_encoder",
        graph_sha256="0" * 64,
        selection_sha256="1" * 64,
        preprocessing="made",
        sampling="all",
        runtime="none",
        tensors_sha256="2" * 64,
    )
    return (TensorHistograms(identity, (("window", "3" * 64),), made),)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    seen = histograms()
    return Evidence(
        bundle="lite 4",
        judgement=made_judgement(),
        ranges={method: find_ranges(seen, method) for method in METHODS},
        histograms=seen,
        sheet_jpeg=b"\xff\xd8sheet",
        command="tilefix calibrate --frames <flight>",
    )


def test_the_page_says_what_the_judgement_says(evidence: Evidence) -> None:
    text = page(evidence)
    for words in (
        'lite 4 in INT8: <b class="warn">mixed',
        f"-0.60 (-1.00{FIXED}to{FIXED}-0.20)",
        f"-2.20 (-2.60{FIXED}to{FIXED}-1.80)",
        f"2,470 of{FIXED}2,942",
        "planter &lt;3&gt;",
        "accepted, right",
        "1.42x",
        ">97%<",
        "of the multiply-accumulates in INT8, localizer",
        "28%",
        "left in float16",
        "judged in 512 s",
        "&lt;1 point&gt;",
    ):
        assert words in text, words
    assert text.count('stroke-width="3"') == 30, "every tensor shows the kept threshold"
    assert f"<summary>{30 - OPEN_RANGES} more</summary>" in text


def test_the_page_says_what_onnxruntime_s_form_has_in_float32(evidence: Evidence) -> None:
    judgement = evidence.judgement
    block = next(x.block for x in judgement.sensitivity if x.block not in judgement.left_float)
    left = (*judgement.left_float, block)

    def shown(holds: bool) -> str:
        form = CpuFormVerdict(left_float=left, holds=holds)
        judged = msgspec.structs.replace(judgement, cpu_form=form)
        return page(dataclasses.replace(evidence, judgement=judged))

    assert "blocks left in float32 in ONNX Runtime&#x27;s form" in shown(True)
    assert shown(True).count(", left in float32 in ONNX Runtime") == 1, "of its own block alone"
    assert "is the one to run in ONNX Runtime" in shown(False)
    assert "ONNX Runtime&#x27;s form" not in page(evidence), "of an earlier version"


def test_the_page_loads_nothing_and_lets_nothing_through(evidence: Evidence) -> None:
    text = page(evidence)
    assert "<flight>" not in text and "tensor<3>" not in text
    sources = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert sources and all(each.startswith("data:") for each in sources)
    assert "http" not in text and "<script" not in text


@pytest.mark.parametrize(
    ("outcome", "colour"), [(Outcome.ACCEPTED, "good"), (Outcome.REJECTED, "bad")]
)
def test_the_outcome_has_a_colour(evidence, outcome, colour) -> None:
    shown = Evidence("lite", made_judgement(outcome), {}, ())
    assert f'<b class="{colour}">{outcome.value}' in page(shown)


def test_the_columns_of_the_scores_fit_because_their_cells_break(evidence: Evidence) -> None:
    """14 columns in 1,150 px: no cell of them is longer than what a browser showed to fit."""
    text = page(evidence)
    table = text.split('<div class="fit">')[1].split("</table>")[0]
    head = re.findall(r"<th[^>]*>([^<]*)</th>", table)
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", table)
    assert len(head) == 14 and len(cells) == 14 * 2 * (1 + len(evidence.judgement.candidates))
    assert ".fit th,.fit td{white-space:normal;" in text
    columns = [[name, *cells[n::14]] for n, name in enumerate(head)]
    longest = [max(len(part) for cell in column for part in cell.split(" ")) for column in columns]
    assert sum(longest) <= 130


def test_the_command_is_shown_without_folders(evidence: Evidence) -> None:
    command = "tilefix calibrate --frames=site=/data/flights/0412 --tiles /data/maps/m.mbtiles"
    text = page(dataclasses.replace(evidence, command=command))
    assert "tilefix calibrate --frames=site=0412 --tiles m.mbtiles" in text
    assert "/data" not in text


def test_bars_are_as_long_as_their_values() -> None:
    tree = ElementTree.fromstring(bars([Bar("a", 0.2, "", KEPT), Bar("b", 0.1, "", LEFT)]))
    long, short = (float(each.get("width")) for each in tree.iter("rect"))
    assert long == pytest.approx(2 * short)
    assert [each.get("fill") for each in tree.iter("rect")] == [KEPT, LEFT]
    assert ElementTree.fromstring(bars([])).tag == "svg"


def test_a_scatter_puts_better_points_higher_and_larger_ones_to_the_right() -> None:
    points = [Point("fp32", 16.7, 88.5, 88.5, 88.5), Point("int8", 4.4, 87.9, 87.4, 88.4)]
    tree = ElementTree.fromstring(scatter(points, "MB", "acc"))
    (x0, y0), (x1, y1) = (
        (float(each.get("cx")), float(each.get("cy"))) for each in tree.iter("circle")
    )
    assert x0 > x1 and y0 < y1
    assert ElementTree.fromstring(scatter([], "x", "y")).tag == "svg"


def test_thresholds_stand_where_they_cut() -> None:
    builder = HistogramBuilder()
    values = np.linspace(-10, 10, 5001).astype(np.float32)
    builder.add(-10.0, 10.0, values, Scratch())
    text = range_chart(builder.histogram(), {"minmax": 10.0, "mse": 5.0}, "mse")
    far, near = (float(each.get("x1")) for each in ElementTree.fromstring(text).iter("line"))
    assert far == pytest.approx(2 * near, abs=0.2)
    assert text.count("stroke-dasharray") == 1


def test_without_labels_the_heading_says_what_it_rests_on() -> None:
    unlabelled = msgspec.structs.replace(made_judgement(Outcome.ACCEPTED), base=None, candidates=())
    text = page(Evidence("lite", unlabelled, {}, ()))
    assert '<b class="warn">accepted, by agreement alone</b>' in text
    refused = msgspec.structs.replace(unlabelled, outcome=Outcome.REJECTED)
    assert '<b class="bad">rejected: FP16 kept</b>' in page(Evidence("lite", refused, {}, ()))


def test_the_legend_names_the_methods_that_were_tried(evidence: Evidence) -> None:
    one = {"minmax": evidence.ranges["minmax"]}
    text = page(Evidence("lite", evidence.judgement, one, evidence.histograms))
    assert "</i>minmax" in text and "</i>mse" not in text and "</i>mse" in page(evidence)


def ranked_by(judgement: Judgement, ranking: Ranking) -> Judgement:
    """The judgement with a ranking, which the judge tells among the reasons too."""
    reasons = (*judgement.reasons, ranking_sentence(ranking))
    return msgspec.structs.replace(judgement, ranking=ranking, reasons=reasons)


def test_the_page_says_once_what_blocks_were_ranked_by(evidence: Evidence) -> None:
    assert "blocks ranked by" not in page(evidence)  # of an earlier version, which did not tell
    why = Ranking(by=RankedBy.MACS, reason="no GPU <here>")
    text = page(dataclasses.replace(evidence, judgement=ranked_by(evidence.judgement, why)))
    assert text.count("blocks ranked by MACs: no GPU &lt;here&gt;") == 1
    assert "saves" not in text.split("Sensitivity by block")[1].split("<h2>")[0]

    timed = Ranking(
        by=RankedBy.LATENCY,
        device="Orin (16 SM), TensorRT 10.3.0",
        clicks=4,
        runs=100,
        graphs=(
            GraphLatency(
                graph="reference_encoder",
                fp16_ms=11.5,
                int8_ms=7.25,
                fp16_elsewhere_ms=1.125,
                int8_elsewhere_ms=1.375,
            ),
        ),
    )
    blocks = tuple(
        msgspec.structs.replace(each, latency_ms=0.5 + number)
        for number, each in enumerate(evidence.judgement.sensitivity)
    )
    judgement = msgspec.structs.replace(ranked_by(evidence.judgement, timed), sensitivity=blocks)
    text = page(dataclasses.replace(evidence, judgement=judgement))
    for words in ("on Orin (16 SM), TensorRT 10.3.0", "4.25 ms", "11.500", "1.375", "7.250"):
        assert text.count(words) == 1
    assert "saves 1.500 ms" in text and "medians of 100 runs by turns, 4 clicks" in text
