"""A finished measurement as a line: whose stability it tells."""

from __future__ import annotations

import numpy as np
import pytest
from made_record import NOT_HERE, run_line, write_record

from benchmarks.record.file import lines
from benchmarks.record.lines import COMPLETE, CacheState, Scenario
from benchmarks.scenarios.drive import Driven
from benchmarks.scenarios.measured import Surroundings, measurement_line
from benchmarks.scenarios.plan import Planned
from benchmarks.scenarios.recorder import ABSENT, Recorder, row

MS = 1_000_000
AROUND = Surroundings(NOT_HERE, NOT_HERE, NOT_HERE, NOT_HERE, 2.0)


def line_of(state):
    """Windows are encoded less and less often; each kind takes longer and longer."""
    recorder, random = Recorder(), np.random.default_rng(0)
    for index in range(1000):
        miss = random.random() < 0.8 - 0.6 * index / 1000
        took = (30 if miss else 3) * (1 + (0.2 if miss else 0.02) * index / 1000)
        recorder.add(row(round(took * MS), encode=20 * MS if miss else ABSENT))
    planned = Planned(Scenario.MULTI_STREAM, state, 8)
    driven = Driven(COMPLETE, 10, 20.0)
    id_ = run_line().run_id
    return measurement_line(id_, planned, "", driven, recorder, AROUND, "onnxruntime")


def test_of_a_mixed_cache_hits_and_misses_are_looked_at_apart(tmp_path):
    line = line_of(CacheState.MIXED)
    found = line.stability
    assert (found.of, found.mark) == ("misses", "unstable")
    assert (found.first_ms, found.last_ms) == pytest.approx((30.3, 35.3), abs=0.3)
    path = write_record(tmp_path / "bench.jsonl", run_line(), line)
    assert list(lines(path))[1] == line, "and it comes back from the record"


@pytest.mark.parametrize("state", [CacheState.WARM, CacheState.COLD])
def test_of_one_kind_all_queries_count(state):
    """In an open loop a window may be new though they are at hand: its frame is slow for that."""
    found = line_of(state).stability
    assert found.of == "" and found.first_ms > 20 > found.last_ms
