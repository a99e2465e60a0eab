"""Where times are kept."""

from __future__ import annotations

import numpy as np

from benchmarks.record.lines import Series, Unknown
from benchmarks.record.series import unpack
from benchmarks.scenarios.recorder import COLUMNS, GPU, STAGES, TOTAL, Recorder, row


def test_a_row_holds_what_was_measured_in_its_place():
    found = dict(zip(COLUMNS, row(90, 7, encode=5, engine=60), strict=True))
    assert (found["total"], found["gpu"], found["encode"], found["engine"]) == (90, 7, 5, 60)
    assert {found[name] for name in ("capture", "copy", "start delay")} == {-1}


def test_a_stage_that_did_not_run_is_left_out_and_never_zero():
    recorder = Recorder()
    for encode in (-1, 500, -1, 700):
        recorder.add(row(1000, encode=encode, engine=800))
    assert recorder.column("encode").tolist() == [500, 700]
    assert recorder.ran("encode").tolist() == [False, True, False, True]
    assert recorder.column(TOTAL).tolist() == [1000] * 4
    stages = {s.name: s.times for s in recorder.stages({"copy": "no copies here"})}
    assert tuple(stages) == STAGES
    assert isinstance(stages["engine"], Series)
    assert unpack(stages["encode"]).tolist() == [500, 700]
    assert stages["copy"] == Unknown("no copies here")
    assert stages["capture"] == Unknown("this scenario has no such stage")
    assert recorder.series(GPU, "no GPU") == Unknown("no GPU")


def test_it_grows_by_doubling_and_loses_nothing():
    recorder = Recorder(capacity=4)
    for n in range(33):
        recorder.add(row(n))
    assert recorder.column(TOTAL).tolist() == list(range(33))
    assert recorder._rows.shape == (64, len(COLUMNS))


def test_its_memory_is_taken_before_and_not_query_by_query():
    recorder = Recorder()
    before = recorder._rows
    for n in range(1000):
        recorder.add(row(n))
    assert recorder._rows is before
    assert np.shares_memory(recorder._rows, before)
