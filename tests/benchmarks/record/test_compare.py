"""Two runs: verdicts, what is marked, what is refused."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from made_record import (
    accuracy_line,
    latencies,
    measurement_line,
    run_line,
)

from benchmarks.record.compare import REPEATABLE, compare_runs, verdict
from benchmarks.record.lines import CacheState, Heat, Punctuality, Scenario, Unknown
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


def test_throttling_of_one_run_alone_is_no_ground_for_a_verdict():
    hot = measurement_line(latencies(500, 1.0), heat=Heat("tj-thermal", 50.0, 96.4, True))
    cool = measurement_line(latencies(500, 3.0), heat=Heat("tj-thermal", 50.0, 60.0, False))
    said = "throttled (tj-thermal up to 96 degrees C)"
    (row,) = compare_runs(made_run(cool), made_run(hot)).rows
    assert row.verdict == f"not judged: B {said}"
    (row,) = compare_runs(made_run(hot), made_run(hot)).rows
    assert row.verdict == "no difference shown"
    assert {f"A {said}", f"B {said}"} <= set(row.notes)


def test_few_queries_are_not_judged():
    (row,) = compare_runs(
        made_run(measurement_line(latencies(9, 3.0))), made_run(measurement_line())
    ).rows
    assert row.verdict == "too few queries: 9"


def test_an_early_end_is_noted():
    early = measurement_line(ended="device lost: no CUDA device")
    (row,) = compare_runs(made_run(early), made_run(measurement_line())).rows
    assert "A ended early: device lost: no CUDA device" in row.notes


def test_frames_that_were_left_out_are_not_paired():
    ns = latencies(200, 3.0)
    empty = pack([])
    whole = Punctuality(30.0, 200, 0, empty, empty, ())
    kind = {"scenario": Scenario.PERIODIC}
    first = measurement_line(ns, **kind, punctuality=whole)
    holes = msgspec.structs.replace(whole, scheduled=210, missed=10)
    second = measurement_line(ns, **kind, punctuality=holes)
    assert compare_runs(made_run(first), made_run(first)).rows[0].ratios.paired
    (row,) = compare_runs(made_run(first), made_run(second)).rows
    assert not row.ratios.paired and any("resampled by itself" in note for note in row.notes)


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
