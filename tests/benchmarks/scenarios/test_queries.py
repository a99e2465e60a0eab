"""The queries of a run are the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_flight import FRAME_PX

from benchmarks.scenarios.queries import LAPS, draw_clicks, draw_queries
from edge.assembly import PriorChoice


@pytest.fixture
def windows(flight, tiny_bundle, choice):
    assembly = flight.assemble(tiny_bundle, choice, prior=PriorChoice.NONE)
    yield assembly.windows
    assembly.close()


def test_the_same_seed_sends_the_same(flight, windows):
    first, again = (draw_queries(flight.shots, windows, 2, 7) for _ in range(2))
    assert first == again
    assert draw_queries(flight.shots, windows, 2, 8) != first


def test_the_flight_keeps_its_order_and_its_clicks_change(flight, windows):
    queries = draw_queries(flight.shots, windows, 1, 0)
    assert len(queries) == LAPS * len(flight.shots)
    assert [query.shot for query in queries] == list(flight.shots) * LAPS
    third = {queries[3 * lap + 2].clicks[0].click_id for lap in range(LAPS)}
    assert len(third) > 1, "of three labelled clicks it is not always the same"


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_there_are_as_many_clicks_as_asked_for(flight, count):
    shot = flight.shots[2]
    clicks = draw_clicks(shot, count, np.random.default_rng(0))
    assert len({click.click_id for click in clicks}) == count
    labelled = [click for click in clicks if click in shot.clicks]
    assert len(labelled) == min(count, 3), "labels first, and each once"
    assert all(0 <= c.x_px <= FRAME_PX and 0 <= c.y_px <= FRAME_PX for c in clicks)


def test_a_click_beside_a_label_at_the_rim_stays_in_the_frame(flight):
    from dataclasses import replace

    corner = replace(flight.shots[0].clicks[0], x_px=0.0, y_px=float(FRAME_PX))
    shot = replace(flight.shots[0], clicks=(corner,))
    clicks = draw_clicks(shot, 50, np.random.default_rng(0))
    assert all(0 <= c.x_px <= FRAME_PX and 0 <= c.y_px <= FRAME_PX for c in clicks)
