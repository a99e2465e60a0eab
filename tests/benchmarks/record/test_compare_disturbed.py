"""Two runs of which heat or other programs had a part: where that is no ground for a verdict."""

from __future__ import annotations

import pytest
from made_record import latencies, measurement_line, run_line

from benchmarks.record.compare import compare_runs
from benchmarks.record.lines import Heat, ProcessorTime
from benchmarks.record.runs import Run


def made_run(measurement, **changes):
    return Run((run_line(**changes),), (), (measurement,), (), ())


def test_throttling_of_one_run_alone_is_no_ground_for_a_verdict():
    hot = measurement_line(latencies(500, 1.0), heat=Heat("tj-thermal", 50.0, 96.4, True))
    cool = measurement_line(latencies(500, 3.0), heat=Heat("tj-thermal", 50.0, 60.0, False))
    said = "throttled (tj-thermal up to 96 degrees C)"
    (row,) = compare_runs(made_run(cool), made_run(hot)).rows
    assert row.verdict == f"not judged: B {said}"
    (row,) = compare_runs(made_run(hot), made_run(hot)).rows
    assert row.verdict == "no difference shown"
    assert {f"A {said}", f"B {said}"} <= set(row.notes)


def test_others_at_work_in_one_run_alone_are_no_ground_for_a_verdict():
    def line(median_ms, others_s):
        spent = ProcessorTime(wall_s=10.0, cores=2, own_s=8.0, others_s=others_s, stolen_s=0.0)
        return measurement_line(latencies(500, median_ms), processor=spent)

    (row,) = compare_runs(made_run(line(3.0, 0.9)), made_run(line(9.0, 1.5))).rows
    assert row.verdict == "not judged: B disturbed (others had 8% of the cores)"
    (row,) = compare_runs(made_run(line(3.0, 2.0)), made_run(line(3.0, 1.5))).rows
    assert row.verdict == "no difference shown" and len(row.notes) == 2


@pytest.mark.parametrize(
    ("shares", "judged"),
    [
        ((0.06, 0.80), False),
        ((0.80, 0.06), False),
        ((0.06, 0.10), True),
        ((0.06, 0.12), False),
        ((0.50, 0.52), True),
        ((0.50, 0.54), False),
        ((0.80, 0.805), True),
        ((0.80, 0.84), False),  # 20 % of the cores against 16 %
        ((0.04, 0.06), False),  # near, but one of both is quiet
    ],
)
def test_runs_that_others_disturbed_are_judged_only_where_they_left_the_same(shares, judged):
    def run(median_ms, share, **changes):
        spent = ProcessorTime(10.0, 2, own_s=2.0, others_s=15 * share, stolen_s=5 * share)
        return made_run(measurement_line(latencies(500, median_ms), processor=spent), **changes)

    first, second = run(3.0, shares[0]), run(6.0, shares[1], precision="fp16")
    (row,) = compare_runs(first, second).rows
    said = [
        f"{name} disturbed (others had {share:.0%} of the cores)"
        for name, share in zip("AB", shares, strict=True)
        if share > 0.05
    ]
    assert row.verdict == (
        "B slower: 2.00 of A's time" if judged else f"not judged: {'; '.join(said)}"
    )
    assert set(said) <= set(row.notes)


def test_shares_of_other_numbers_of_cores_are_not_alike():
    one, two = (
        measurement_line(latencies(500, 3.0), processor=ProcessorTime(10.0, cores, 5.0, cores, 0.0))
        for cores in (1, 2)
    )
    (row,) = compare_runs(made_run(one), made_run(two)).rows
    said = "disturbed (others had 10% of the cores)"
    assert row.verdict == f"not judged: A {said}; B {said}"


def test_heat_in_one_run_does_not_make_up_for_others_in_the_other():
    hot = measurement_line(latencies(500, 3.0), heat=Heat("tj", 50.0, 96.4, True))
    spent = ProcessorTime(10.0, 2, own_s=2.0, others_s=4.0, stolen_s=0.0)
    busy = measurement_line(latencies(500, 3.0), processor=spent)
    (row,) = compare_runs(made_run(hot), made_run(busy)).rows
    assert row.verdict == (
        "not judged: A throttled (tj up to 96 degrees C); B disturbed (others had 20% of the cores)"
    )
