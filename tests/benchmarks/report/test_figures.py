"""Figures say what the numbers say: places of marks, sums, frontiers."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest
from made_bench_record import measured, processor_run, written
from made_record import accuracy_line, latencies, measurement_line, run_line

from benchmarks.record.lines import CacheState, Scenario, Stage, Unknown
from benchmarks.record.percentiles import percentile_ms
from benchmarks.record.runs import Run
from benchmarks.record.series import pack
from benchmarks.report.drawing import (
    BAD,
    SERIES,
    Box,
    Dot,
    Figure,
    Stroke,
    Words,
)
from benchmarks.report.drift import drift
from benchmarks.report.roofline_figure import Ran, ran_of, roofline_figure
from benchmarks.report.shown import Measured, read_shown, shown_runs
from benchmarks.report.tails import Curve, tails
from benchmarks.report.trade_off import ALIGNED, ALONE, PEER, Choice, choices, frontier, trade_off
from benchmarks.report.waterfall import REST, parts_of, waterfall
from benchmarks.scenarios.plan import plan

MS = 1_000_000


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "bench.jsonl"
    return read_shown([written(path, processor_run())])[0]


def dots(figure: Figure, hollow=False) -> list[Dot]:
    return [mark for mark in figure.marks if isinstance(mark, Dot) and mark.hollow is hollow]


def words(figure: Figure) -> list[str]:
    return [mark.text for mark in figure.marks if isinstance(mark, Words)]


# --- distributions -------------------------------------------------------------------------------


def test_dots_stand_at_supported_percentiles_and_the_ring_at_the_slowest():
    ns = np.arange(1, 1001, dtype=np.int64) * MS
    figure = tails("a", "A", [Curve("all", ns)])
    assert len(dots(figure)) == 3, "p50, p90, p99 of a thousand"
    hints = [dot.hint for dot in dots(figure)]
    for percent, hint in zip((50.0, 90.0, 99.0), hints, strict=True):
        assert hint == f"all: p{percent:g} {percentile_ms(ns, percent):,.0f} ms"
    (ring,) = dots(figure, hollow=True)
    assert ring.hint == "all: slowest of 1,000 1,000 ms"
    assert ring.x > max(dot.x for dot in dots(figure)) and ring.y < min(d.y for d in dots(figure))
    heights = [dot.y for dot in dots(figure)]
    assert heights[0] - heights[1] == pytest.approx((heights[1] - heights[2]) * np.log10(5), 1e-6)


def test_nine_queries_support_no_percentile():
    figure = tails("a", "A", [Curve("few", np.full(9, 5 * MS))])
    assert dots(figure) == [] and len(dots(figure, hollow=True)) == 1
    assert not any(text.startswith("p") for text in words(figure))
    drawn = [m for m in figure.marks if isinstance(m, Stroke) and m.colour == SERIES[0]]
    assert [mark.opacity for mark in drawn if mark.width < 3] == [0.4], "faint, all of it"


def test_a_curve_never_turns_back():
    ns = np.random.default_rng(1).lognormal(17, 0.4, 5000).astype(np.int64)
    figure = tails("a", "A", [Curve("x", ns)])
    for mark in figure.marks:
        if isinstance(mark, Stroke) and mark.colour == SERIES[0]:
            xs, ys = zip(*mark.points, strict=True)
            assert list(xs) == sorted(xs) and list(ys) == sorted(ys, reverse=True)


def test_the_period_is_drawn_where_it_lies_within():
    ns = np.linspace(20, 60, 200).astype(np.int64) * MS
    assert "period" in words(tails("a", "A", [Curve("x", ns)], 33.3))
    assert "period" not in words(tails("a", "A", [Curve("x", ns)], 500.0))
    marks = tails("a", "A", [Curve("x", ns)], 33.3).marks
    (line,) = [m for m in marks if isinstance(m, Stroke) and m.colour == BAD]
    assert line.points[0][0] == line.points[1][0]


# --- stages --------------------------------------------------------------------------------------


def with_stages(total_ms, **stages) -> Measured:
    ns = np.asarray(total_ms, np.int64) * MS
    kept = tuple(
        Stage(name, Unknown("no") if values is None else pack(np.asarray(values, np.int64) * MS))
        for name, values in stages.items()
    )
    line = measured(Scenario.MULTI_STREAM, CacheState.MIXED, 8, 1.0, 12, stages=kept)
    return Measured(line, ns, None)


def test_stages_and_the_rest_add_up_to_the_whole():
    shown = with_stages([10, 10, 10, 50] * 10, encode=[40] * 10, engine=[8] * 40, copy=None)
    parts = {part.name: part for part in parts_of(shown)}
    assert parts["encode"].mean_ms == pytest.approx(10.0)
    assert (parts["encode"].median_ms, parts["encode"].queries) == (pytest.approx(40.0), 0.25)
    assert parts[REST].mean_ms == pytest.approx(2.0) and "copy" not in parts
    assert sum(part.mean_ms for part in parts.values()) == pytest.approx(20.0)
    text = words(waterfall("a", "A", shown))
    assert "10.0 ms: 40.0 ms in 25% of queries" in text and "20.0 ms" in text
    few = with_stages([10, 10, 10, 50], encode=[40], engine=[8, 8, 8, 8])
    assert next(part for part in parts_of(few) if part.name == "encode").median_ms is None
    assert "10.0 ms: in 25% of queries" in words(waterfall("a", "A", few)), "no median of one"


def test_bars_follow_one_another():
    figure = waterfall("a", "A", with_stages([10] * 4, window=[1] * 4, engine=[9] * 4))
    window, engine, total = (mark for mark in figure.marks if isinstance(mark, Box))
    assert engine.x == pytest.approx(window.x + window.width)
    assert engine.width == pytest.approx(9 * window.width)
    assert total.width == pytest.approx(window.width + engine.width)


def test_without_stages_there_is_no_waterfall():
    assert waterfall("a", "A", with_stages([10] * 4, copy=None)) is None


# --- course --------------------------------------------------------------------------------------


def test_the_course_shows_first_and_last_tenth():
    ns = np.linspace(20, 40, 1000).astype(np.int64) * MS
    figure = drift("a", "A", Measured(with_stages([1]).line, ns, None))
    low, high = np.median(ns[:100]) / MS, np.median(ns[-100:]) / MS
    assert f"{low:.1f} ms" in words(figure) and f"{high:.1f} ms" in words(figure)
    bands = [mark for mark in figure.marks if isinstance(mark, Box)]
    assert bands[0].y > bands[-1].y, "slower is higher"


def course(count):
    ns = np.linspace(20, 40, count).astype(np.int64) * MS
    figure = drift("a", "A", Measured(with_stages([1]).line, ns, None))
    lines = [mark for mark in figure.marks if isinstance(mark, Stroke)]
    middles = [mark for mark in lines if mark.colour == SERIES[0]]
    tenths = [mark for mark in lines if mark.colour == SERIES[2]]
    return [mark for mark in figure.marks if isinstance(mark, Box)], middles, tenths


def test_medians_of_the_course_are_of_ten_queries_and_tenths_of_a_hundred():
    bands, middles, tenths = course(2)
    assert (len(bands), middles, tenths) == (1, [], [])
    bands, middles, tenths = course(99)
    assert len(bands) == 9 and len(middles[0].points) == 9 and tenths == []
    bands, middles, tenths = course(100)
    assert len(bands) == 10 and len(tenths) == 2
    assert len(course(5000)[0]) == 90


# --- accuracy against latency --------------------------------------------------------------------


def test_the_frontier_has_what_nothing_beats_in_both():
    fast, good = Choice("fast", ALONE, 5, 0.4), Choice("good", ALIGNED, 20, 0.8)
    slow, same = Choice("slow", PEER, 300, 0.7), Choice("same", PEER, 20, 0.6)
    assert frontier([slow, good, same, fast]) == (fast, good)


def test_choices_are_what_has_both_a_time_and_an_accuracy(processor):
    found = {(each.label, each.kind): each for each in choices([processor])}
    assert set(found) == {
        ("lite · fp32", ALIGNED),
        ("lite · fp32", ALONE),
        ("SIFT + homography, OpenCV", PEER),
        ("XFeat + LighterGlue, torch eager", PEER),
    }
    best = found["lite · fp32", ALIGNED]
    assert best.acc25 == pytest.approx(0.81)
    assert best.frame_ms == pytest.approx(processor.headline.summary.median_ms, rel=1e-3)
    assert len(choices([processor, processor])) == 6, "a peer counts once"
    few = dataclasses.replace(
        processor,
        measured=tuple(dataclasses.replace(e, ns=e.ns[:9]) for e in processor.measured),
    )
    assert {each.kind for each in choices([few])} == {PEER}, "nine queries have no median"


def test_a_run_with_any_number_of_clicks_has_its_headline_and_its_choice():
    planned = plan((Scenario.MULTI_STREAM,), (CacheState.WARM,), 5)
    lines = tuple(
        measurement_line(latencies(200, 3.0), scenario=each.scenario, clicks=each.clicks)
        for each in planned
    )
    (shown,) = shown_runs(
        [Run((run_line(clicks=5),), (accuracy_line(prior="none"),), lines, (), ())]
    )
    assert shown.headline.words == "multi-stream, warm, 5 clicks"
    assert [each.kind for each in choices([shown])] == [ALONE]


def missing(processor, **changes):
    """The run with another open loop."""

    def changed(each):
        if each is not processor.open_loop:
            return each
        late = msgspec.structs.replace(each.line.punctuality, **changes)
        line = msgspec.structs.replace(each.line, punctuality=late)
        return dataclasses.replace(each, line=line)

    return dataclasses.replace(processor, measured=tuple(map(changed, processor.measured)))


def test_a_flight_that_missed_its_frames_is_crossed_out_and_not_among_the_best(processor):
    kept = {each.kind: each for each in choices([missing(processor, missed=1)])}
    gone = {each.kind: each for each in choices([missing(processor, missed=1800)])}
    assert kept[ALIGNED].missed == "" and gone[ALIGNED].missed == "100 %"
    assert gone[ALIGNED].words.endswith("81%, MISSED 100 % of its frames")
    assert kept[ALIGNED] in frontier(tuple(kept.values()))
    assert gone[ALIGNED] not in frontier(tuple(gone.values()))
    crosses = [
        [m for m in trade_off(tuple(e.values())).marks if isinstance(m, Stroke) and m.colour == BAD]
        for e in (kept, gone)
    ]
    assert [len(each) for each in crosses] == [0, 2]


def test_without_the_accuracy_of_its_own_fixes_a_flight_is_no_choice(processor):
    def unscored(each):
        line = msgspec.structs.replace(each.line, accuracy=None)
        return dataclasses.replace(each, line=line)

    old = dataclasses.replace(processor, measured=tuple(map(unscored, processor.measured)))
    assert ALIGNED not in {each.kind for each in choices([old])}


def test_a_curve_goes_only_as_far_as_frames_were_answered():
    ns = np.arange(1, 701, dtype=np.int64) * MS
    whole, part = tails("a", "A", [Curve("x", ns)]), tails("a", "A", [Curve("x", ns, "", 300)])
    assert len(dots(part)) == 1 and "p50 500 ms" in dots(part)[0].hint
    (end,), (top,) = dots(part, hollow=True), dots(whole, hollow=True)
    assert end.hint == "x: slowest of 700 700 ms; 300 more were never answered"
    assert end.y > top.y, "seven in ten: below the p90"


def test_better_is_higher_and_slower_is_to_the_right():
    figure = trade_off([Choice("a", ALIGNED, 5, 0.8), Choice("b", ALIGNED, 50, 0.3)])
    first, second = dots(figure)
    assert first.x < second.x and first.y < second.y
    assert {"1", "2"} <= set(words(figure))


def test_numbers_of_crowded_marks_do_not_lie_on_each_other():
    crowd = [Choice(f"c{n}", ALIGNED, 5 + 0.01 * n, 0.8 - 0.001 * n) for n in range(5)]
    numbers = [m for m in trade_off(crowd).marks if isinstance(m, Words) and len(m.text) == 1]
    places = [(m.x, m.y) for m in numbers if m.text.isdigit() and m.bold]
    assert len(places) == 5 and len({(round(x), round(y)) for x, y in places}) == 5


# --- roofline ------------------------------------------------------------------------------------


def test_graphs_lie_below_the_roof_as_far_as_they_say():
    ran = [Ran("localizer", 200.0, 40.0, 0.5, 10.0, 80.0), Ran("copy", 2.0, 5.0, 0.25, 10.0, 80.0)]
    figure = roofline_figure("a", "A", ran)
    drops = [m for m in figure.marks if isinstance(m, Stroke) and m.dashes and len(m.points) == 2]
    heights = [mark.points[0][1] - mark.points[1][1] for mark in drops]
    assert heights[1] == pytest.approx(2 * heights[0], rel=1e-6), "a quarter is twice a half"
    assert "localizer: 50% of its bound" in words(figure)


def test_only_what_ran_and_is_known_is_drawn(processor):
    assert [each.label for each in ran_of(processor.run.rooflines)] == [
        "encoder",
        "localizer, 1 click",
        "localizer, 8 clicks",
    ]
