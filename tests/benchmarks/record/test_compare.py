"""Two runs: verdicts, what is marked, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from made_record import (
    accuracy_line,
    latencies,
    measurement_line,
    run_line,
)

from benchmarks.record.compare import REPEATABLE, compare_runs, verdict
from benchmarks.record.comparison_text import comparison_text
from benchmarks.record.frame_ages import pack_numbers
from benchmarks.record.lines import (
    CacheState,
    FlownAccuracy,
    Punctuality,
    Scenario,
    Stability,
    Unknown,
)
from benchmarks.record.paired_bootstrap import Ratio, percentile_ratios
from benchmarks.record.runs import Run
from benchmarks.record.series import pack
from edge.errors import BenchmarkError


def made_run(*measurements, accuracy=(), **changes):
    return Run((run_line(**changes),), tuple(accuracy), measurements, (), ())


def test_two_runs_of_the_same_show_no_difference():
    first, second = (measurement_line(latencies(800, 3.0, seed, depends=0.5)) for seed in (1, 2))
    (row,) = compare_runs(made_run(first), made_run(second)).rows
    assert row.verdict == "no difference shown"


def test_same_runs_are_called_different_once_in_twenty_at_most():
    """Over whole comparisons of three measurements each, as Bonferroni promises."""
    random = np.random.default_rng(7)
    false = 0
    for _ in range(60):
        ratios = [
            percentile_ratios(*(_dependent(random) for _ in range(2)), resamples=200)
            for _ in range(3)
        ]
        false += any(verdict(each.of[0], 3) != "no difference shown" for each in ratios)
    assert false / 60 <= 0.12


def _dependent(random):
    return (1e6 * np.exp(0.1 * random.normal(size=400))).astype(np.int64)


@pytest.mark.parametrize(
    ("median_ms", "said"),
    [
        (1.5, "B faster: 0.50 of A's time"),
        (6.0, "B slower: 2.00 of A's time"),
        (3.09, "B slower by 3.0 %: less than two runs of the same may differ by"),
    ],
)
def test_a_difference_is_said(median_ms, said):
    first = measurement_line(latencies(2000, 3.0))
    second = measurement_line(latencies(2000, median_ms))  # the same noise
    (row,) = compare_runs(made_run(first), made_run(second, precision="fp16")).rows
    assert row.verdict == said


def test_among_many_medians_a_verdict_takes_more():
    ratio = Ratio(50, 3.0, 3.3, 1.1, 1.01, 1.2, 0.044)
    assert verdict(ratio, 1).startswith("B slower")
    assert verdict(ratio, 20) == "no difference shown"
    assert abs(ratio.ratio - 1) > REPEATABLE


def test_what_is_compared_is_listed():
    comparison = compare_runs(
        made_run(measurement_line()),
        made_run(measurement_line(), precision="fp16", version="0.2.0"),
    )
    found = {(each.field, each.first, each.second) for each in comparison.subjects}
    assert found == {("precision", "fp32", "fp16"), ("version", "0.1.0", "0.2.0")}


def test_accuracy_stands_beside():
    first = accuracy_line(), accuracy_line(prior="none", acc25=0.2)
    second = (accuracy_line(acc25=0.88),)
    found = compare_runs(
        made_run(measurement_line(), accuracy=first), made_run(measurement_line(), accuracy=second)
    ).accuracy
    assert found == (("alignment", first[0], second[0]), ("none", first[1], None))


def test_an_unstable_run_is_not_judged():
    drifting = measurement_line(np.linspace(3e6, 4e6, 500))
    (row,) = compare_runs(made_run(drifting), made_run(measurement_line(latencies(500, 1.0)))).rows
    assert row.verdict == "not judged: A unstable (3.049 -> 3.951 ms)"


def test_what_may_have_drifted_is_not_judged_either():
    doubtful = Stability(3.0, 3.3, False, more_ms=(-0.1, 0.6))
    misses = Stability(30.0, 36.0, False, of="misses", more_ms=(4.0, 8.0))
    first = measurement_line(latencies(500, 3.0), stability=doubtful)
    second = measurement_line(latencies(500, 3.0), stability=misses)
    (row,) = compare_runs(made_run(first), made_run(second)).rows
    assert row.verdict == (
        "not judged: cannot tell if A is stable (3.000 -> 3.300 ms, which may be chance); "
        "B unstable (misses: 30.000 -> 36.000 ms)"
    )


def test_few_queries_are_not_judged():
    (row,) = compare_runs(
        made_run(measurement_line(latencies(9, 3.0))), made_run(measurement_line())
    ).rows
    assert row.verdict == "too few queries: 9"


def test_what_ended_early_is_not_judged():
    early = measurement_line(latencies(500, 3.0), ended="interrupted")
    (row,) = compare_runs(made_run(early), made_run(measurement_line(latencies(500, 9.0)))).rows
    assert row.verdict == "not judged: A ended early: interrupted"


@pytest.mark.parametrize(
    ("median_ms", "changes", "said"),
    [
        (3.3, {}, "unstable: the same programme twice, 10.0 % apart"),
        (2.7, {}, "unstable: the same programme twice, 10.0 % apart"),
        (3.09, {}, "B slower by 3.0 %: less than two runs of the same may differ by"),
        (3.3, {"precision": "fp16"}, "B slower: 1.10 of A's time"),
    ],
)
def test_the_same_programme_twice_agrees_or_is_unstable(median_ms, changes, said):
    first = measurement_line(latencies(2000, 3.0))
    second = measurement_line(latencies(2000, median_ms))
    (row,) = compare_runs(made_run(first), made_run(second, **changes)).rows
    assert row.verdict == said


def test_what_was_allowed_to_differ_is_not_the_same_programme():
    first = measurement_line(latencies(2000, 3.0))
    second = measurement_line(latencies(2000, 4.5))
    (row,) = compare_runs(made_run(first), made_run(second, threads=4), ("threads",)).rows
    assert row.verdict == "B slower: 1.50 of A's time"


def test_runs_without_cuda_graphs_are_not_the_same_programme():
    gpu = {"executor": "tensorrt", "device_backend": "cuda-python"}
    graphs = made_run(measurement_line(latencies(2000, 3.0)), cuda_graphs=True, **gpu)
    anew = made_run(measurement_line(latencies(2000, 4.5)), cuda_graphs=False, **gpu)
    with pytest.raises(BenchmarkError, match="differ in kind") as caught:
        compare_runs(graphs, anew)
    assert caught.value.found == "\n    cuda_graphs\n      A: True\n      B: False"
    (row,) = compare_runs(graphs, anew, ("cuda_graphs",)).rows
    assert row.verdict == "B slower: 1.50 of A's time"


def open_loop(ns, scheduled, frames=None, **changes):
    """An open loop that answered these frames."""
    kept = None if frames is None else pack_numbers(frames)
    late = Punctuality(30.0, scheduled, 0, pack(ns), pack([]), (), frames=kept)
    return measurement_line(ns, scenario=Scenario.PERIODIC, punctuality=late, **changes)


def test_frames_are_paired_where_it_is_known_which_they_are():
    ns = latencies(200, 3.0)
    whole = open_loop(ns, 200)
    assert compare_runs(made_run(whole), made_run(whole)).rows[0].ratios.paired
    unknown = open_loop(ns, 210)
    (row,) = compare_runs(made_run(whole), made_run(unknown)).rows
    assert not row.ratios.paired and any("resampled by itself" in note for note in row.notes)
    known = open_loop(ns, 210, [*range(100), *range(110, 210)])
    (row,) = compare_runs(made_run(open_loop(latencies(210, 3.0), 210)), made_run(known)).rows
    assert row.ratios.paired and row.ratios.counts == (210, 210)


def test_frames_that_were_never_answered_are_older_than_any_other():
    ns = latencies(2000, 3.0)
    whole, holes = open_loop(ns, 2000), open_loop(ns[:1600], 2000, range(1600))
    (row,) = compare_runs(made_run(whole), made_run(holes, precision="fp16")).rows
    (median,) = row.ratios.of
    wanted = np.percentile(np.append(ns[:1600], np.full(400, 1 << 60)), 50, method="inverted_cdf")
    assert median.second_ms == pytest.approx(wanted / 1e6, rel=1e-4)
    assert median.ratio > 1.02, "one in five is missing: the median of all is a slower one"
    assert row.ratios.never == (90.0, 99.0)
    gone = open_loop(ns[:900], 2000, range(900))
    (row,) = compare_runs(made_run(whole), made_run(gone)).rows
    assert row.verdict == "not judged: one of both never answered half of its frames"
    text = comparison_text(compare_runs(made_run(whole), made_run(gone)))
    assert "p50: never answered in one of both" in text and "p99.9: n < 10,000" in text


def test_the_fixes_of_an_open_loop_have_an_accuracy_of_their_own():
    worth = FlownAccuracy(200, 190, 180, 1600, 0.9, 0.8, 0.5, 0.04)
    ns = latencies(200, 3.0)
    first = made_run(open_loop(ns, 200, accuracy=worth), accuracy=[accuracy_line()])
    second = made_run(open_loop(ns, 200, accuracy=Unknown("interrupted")))
    comparison = compare_runs(first, second)
    assert comparison.accuracy[1] == ("periodic warm with 8 clicks", worth, None)
    text = comparison_text(comparison)
    assert "accuracy, fixes of periodic warm with 8 clicks: A | B\n" in text
    assert "acc@0.25            0.900 | not measured" in text


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("board", "NVIDIA Jetson AGX Orin Developer Kit", "AGX Orin"),
        ("cpu", "12 x Cortex-A78AE", "12 x"),
        ("cores", 4, "4"),
        ("gpu", Unknown("no NVIDIA driver is loaded"), "unknown (no NVIDIA driver is loaded)"),
        ("power_mode", "MAXN_SUPER (mode 2)", "MAXN_SUPER"),
        ("governor", "performance", "performance"),
        ("executor", "tensorrt", "tensorrt"),
        ("threads", 4, "4"),
        ("device_backend", "pycuda", "pycuda"),
        ("cuda_graphs", False, "False"),
        ("quick", True, "True"),
        ("seed", 1, "1"),
        ("hit_rate", 0.5, "0.5"),
        ("rate_hz", 10.0, "10.0"),
        ("pairs_sha256", "1" * 64, "1" * 12),
    ],
)
def test_what_differs_in_kind_is_refused_and_can_be_allowed(field, value, shown):
    first, second = made_run(measurement_line()), made_run(measurement_line(), **{field: value})
    with pytest.raises(BenchmarkError, match="differ in kind") as caught:
        compare_runs(first, second)
    assert field in caught.value.found and shown in caught.value.found
    assert f"--allow {field}" in caught.value.do
    comparison = compare_runs(first, second, (field,))
    assert [each.field for each in comparison.allowed] == [field]


def test_every_difference_is_listed_at_once():
    other = made_run(
        measurement_line(scenario=Scenario.SOAK), power_mode="MAXN", executor="tensorrt"
    )
    with pytest.raises(BenchmarkError) as caught:
        compare_runs(made_run(measurement_line()), other)
    text = str(caught.value)
    for part in (
        "A: 15W (mode 0)",
        "B: MAXN",
        "A: onnxruntime",
        "A: multi-stream warm with 8 clicks",
        "B: no multi-stream warm with 8 clicks",
        "A: no soak warm with 8 clicks",
        "goes on when its command is given again",
        "--allow power_mode --allow executor --allow scenarios",
    ):
        assert part in text


def test_other_queries_are_not_paired_even_where_allowed():
    first, second = made_run(measurement_line()), made_run(measurement_line(), seed=5)
    assert not compare_runs(first, second, ("seed",)).rows[0].ratios.paired
    second = made_run(measurement_line(), executor="tensorrt")
    assert compare_runs(first, second, ("executor",)).rows[0].ratios.paired


def test_scenarios_of_one_run_alone_are_left_out_where_allowed():
    more = measurement_line(state=CacheState.COLD)
    comparison = compare_runs(
        made_run(measurement_line(), more), made_run(measurement_line()), ("scenarios",)
    )
    assert [row.key[1] for row in comparison.rows] == [CacheState.WARM]
