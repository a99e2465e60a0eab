"""Queries one after another, and every way in which that ends."""

from __future__ import annotations

import pytest

from benchmarks.scenarios.drive import drive, harness_us
from benchmarks.scenarios.recorder import TOTAL, Recorder, row
from benchmarks.scenarios.rules import Rules
from edge.errors import ClickError, ExecutorError

FIVE = Rules(5, 0.0, 600.0, warmup_queries=3, warmup_s=0.0)


def lost_device():
    return ExecutorError("cuStreamSynchronize failed", expected="0", found="status 719", do="!")


def test_the_warm_up_is_not_counted_and_sends_the_same_queries(stop):
    sent, begun = [], []

    def step(index):
        sent.append(index)
        return row(1000 + index)

    recorder = Recorder()
    driven = drive(step, FIVE, recorder, stop, begin=lambda: begun.append(len(sent)))
    assert sent == [0, 1, 2, 0, 1, 2, 3, 4]
    assert begun == [3], "sensors and memory are read after the warm-up"
    assert recorder.column(TOTAL).tolist() == [1000, 1001, 1002, 1003, 1004]
    assert (driven.ended, driven.warmup_queries, driven.error) == ("complete", 3, None)


def test_a_stop_keeps_what_was_done(stop):
    def step(index):
        stop.requested = recorder.count == 2
        return row(index)

    recorder = Recorder()
    driven = drive(step, FIVE, recorder, stop)
    assert driven.ended == "interrupted"
    assert recorder.count == 3, "the query at work is finished"


def test_a_stop_amid_the_warm_up_leaves_an_empty_measurement(stop):
    def step(index):
        stop.requested = True
        return row(index)

    recorder = Recorder()
    driven = drive(step, FIVE, recorder, stop)
    assert (driven.ended, recorder.count, driven.warmup_queries) == ("interrupted", 0, 1)


@pytest.mark.parametrize("fails_at", [1, 5])  # amid the warm-up, amid the measurement
def test_a_lost_device_is_marked_and_keeps_what_was_done(stop, fails_at):
    calls = []

    def step(index):
        calls.append(index)
        if len(calls) == fails_at + 1:
            raise lost_device()
        return row(index)

    recorder = Recorder()
    driven = drive(step, FIVE, recorder, stop)
    assert driven.ended == "device lost: cuStreamSynchronize failed; status 719"
    assert driven.error is not None and driven.error.do == "!"
    assert recorder.count == max(fails_at - 3, 0)


def test_any_other_error_is_not_taken_for_a_lost_device(stop):
    def step(index):
        raise ClickError("no clicks", expected="1", found="0", do="!")

    with pytest.raises(ClickError):
        drive(step, FIVE, Recorder(), stop)


def test_the_harness_is_measured_around_a_step_that_does_nothing():
    steps = []

    def step(index):
        steps.append(index)
        return row(0)

    cost_us = harness_us(step, queries=100)
    assert cost_us > 0
    assert len(steps) == 120

    def slow(index):
        return row(sum(range(2000)) * 0)

    assert harness_us(slow, queries=100) > 1.5 * cost_us, "what is in the step would show"
