"""What the harness itself costs a query: both loops around parts that do nothing.

pytest benchmarks/test_harness.py
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.scenarios.drive import harness_us
from benchmarks.scenarios.flights import Shot
from benchmarks.scenarios.idle_parts import idle_flight, idle_loop
from benchmarks.scenarios.queries import Query
from edge.tiles.lattice import WindowPlace
from edge.types import Click, FramePose

ASKED_US = 20.0
MARGIN = 3.0  # of a machine that is slower or busy
TRIES = 5


@pytest.fixture
def query() -> Query:
    """A small picture with a click."""
    click = Click("a", 1.0, 1.0)
    shot = Shot(np.zeros((8, 8, 3), np.uint8), (click,), FramePose(), "a.png", 0.0)
    return Query(shot, (click,), WindowPlace(0, 0, 8, 8))


@pytest.mark.parametrize("clicks", [1, 8])
def test_the_open_loop_costs_little(query: Query, clicks: int) -> None:
    """With the answers that it keeps, by the fastest of some tries."""
    best_us = min(harness_us(idle_flight(query, clicks)) for _ in range(TRIES))
    print(f"open loop, {clicks} clicks: {best_us:.1f} us")
    assert best_us <= MARGIN * ASKED_US


def test_the_closed_loop_costs_little(query: Query) -> None:
    """The same of a stream."""
    best_us = min(harness_us(idle_loop(query).step) for _ in range(TRIES))
    print(f"closed loop: {best_us:.1f} us")
    assert best_us <= MARGIN * ASKED_US
