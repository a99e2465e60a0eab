"""A run on a machine that others had much of: its verdict says so, and each kind of doubt once."""

from __future__ import annotations

import numpy as np
import pytest
from made_record import accuracy_line, measurement_line, run_line

from benchmarks.record.lines import FlownAccuracy, Memory, ProcessorTime, Punctuality, Scenario
from benchmarks.record.runs import Run
from benchmarks.record.series import pack
from benchmarks.report.doubts import Doubt, doubts_of
from benchmarks.report.headline import headline, verdict_of
from benchmarks.report.shown import shown_runs

MS = 1_000_000
WORTH = FlownAccuracy(200, 200, 200, 1600, 0.9, 0.8, 0.5, 0.04)


def shown(*measurements):
    return shown_runs([Run((run_line(),), (accuracy_line(),), measurements, (), ())])[0]


def spent(share):
    return ProcessorTime(10.0, 2, own_s=1.0, others_s=15 * share, stolen_s=5 * share)


def stream(share, clicks=8, **changes):
    ns = np.full(200, 3 * MS)
    return measurement_line(ns, clicks=clicks, processor=spent(share), **changes)


def loop(share, missed=0):
    ns = np.full(200, 20 * MS)
    late = Punctuality(30.0, 200, missed, pack(ns), pack([0] * 200), ())
    facts = {"scenario": Scenario.PERIODIC, "punctuality": late, "accuracy": WORTH}
    return measurement_line(ns, processor=spent(share), **facts)


@pytest.mark.parametrize(
    ("measurement", "words", "kind"),
    [
        (loop(0.19), "30 Hz held, 0 % of the frames missed", "good"),
        (
            loop(0.21),
            "30 Hz held, 0 % of the frames missed, on a disturbed machine, with doubts",
            "warn",
        ),
        (loop(0.19, 200), "30 Hz not held, 100 % of the frames missed", "bad"),
        (
            loop(0.76, 200),
            "30 Hz not held, 100 % of the frames missed, on a disturbed machine",
            "bad",
        ),
        (stream(0.19), "3.00 ms at the median, multi-stream, warm, 8 clicks", ""),
        (
            stream(0.21),
            "3.00 ms at the median, multi-stream, warm, 8 clicks, on a disturbed machine",
            "warn",
        ),
    ],
)
def test_the_verdict_says_that_others_had_much_of_the_machine(measurement, words, kind):
    found = verdict_of(shown(measurement))
    assert (found.words, found.kind) == (words, kind)


def test_a_disturbance_of_another_measurement_is_a_doubt_alone():
    found = verdict_of(shown(loop(0.01), stream(0.5)))
    assert found.words == "30 Hz held, 0 % of the frames missed, with doubts"


def test_many_disturbed_measurements_are_one_doubt():
    many = [stream(share, clicks) for clicks, share in enumerate((0.02, 0.06, 0.1, 0.15), 1)]
    took = "other programs and guests took"
    mild = Doubt(f"3 of 4 measurements: {took} 6% to 15% of the cores", False)
    assert doubts_of(shown(*many)) == (mild,)
    many.append(stream(0.76, 9))
    grave = Doubt(f"4 of 5 measurements: {took} 6% to 76% of the cores", True)
    assert doubts_of(shown(*many)) == (grave,)
    page = headline(shown(*many), 0)
    assert "Do not rely on these numbers as they are" in page and page.count(took) == 1
    alike = shown(stream(0.3), stream(0.3, 1))
    assert doubts_of(alike)[0].words == f"2 of 2 measurements: {took} 30% of the cores"


def test_memory_and_the_harness_are_said_once_as_well():
    lines = [
        stream(0.0, clicks, memory=Memory(100, 100 + grown, 130), harness_us=cost)
        for clicks, grown, cost in ((1, 1, 5.0), (2, 3, 25.0), (4, 12, 40.0))
    ]
    assert doubts_of(shown(*lines)) == (
        Doubt("2 of 3 measurements: memory grew by 3.0% to 12.0%", False),
        Doubt("2 of 3 measurements: the harness itself cost 25 to 40 µs a query", False),
    )
