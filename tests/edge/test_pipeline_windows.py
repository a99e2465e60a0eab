"""How many windows a frame is located in: one wherever one will do."""

from __future__ import annotations

import numpy as np
import pytest
from fake_placing import FakePlaced, FakePlacer

from edge.feature_cache import FeatureCache
from edge.pipeline import HURRIED, Pipeline
from edge.tiles.lattice import nearest
from edge.types import Click, FramePose, Verdict
from edge.window_choice import MOST_WINDOWS, LatticeWindows


def build(parts, objects, placer, grid, budget_ms):
    localizer = parts.FakeLocalizer(objects)
    supply = LatticeWindows(FeatureCache(localizer, grid), grid)
    return Pipeline(localizer, supply, placer, budget_ms=budget_ms), localizer


CLICKS = (Click("a", 10, 20), Click("b", 30, 40))


@pytest.mark.parametrize(("budget_ms", "windows"), [(25.0, 1), (None, 2)])
def test_of_a_live_frame_one_window_that_holds_all_clicks_takes_them_all(parts, budget_ms, windows):
    """The click at the edge of the aligned window draws the others over; files can wait."""
    grid = parts.PlainGrid()
    place = nearest(grid, grid.lon_lat_deg(1536, 1536))
    here = place.left_px - parts.LEFT_PX, place.top_px - parts.TOP_PX
    frame = parts.frame(wide=1024, high=1024)
    clicks = (Click("a", 700, 500), Click("b", 984, 500), Click("c", 800, 400))
    objects = {c.click_id: (here[0] + c.x_px, here[1] + c.y_px) for c in clicks}
    placer = FakePlacer(FakePlaced(place, (0.0, 0.0), unknown=(2,)))
    pipeline, localizer = build(parts, objects, placer, grid, budget_ms)
    result = pipeline.process(frame, clicks, FramePose(grid.lon_lat_deg(1536, 1536)))
    asked = {window for window, _, _ in localizer.calls}
    assert len(asked) == windows
    assert [fix.verdict for fix in result.fixes] == [Verdict.ACCEPTED] * 3
    for fix, click in zip(result.fixes, clicks, strict=True):
        expected = grid.lon_lat_deg(*objects[click.click_id])
        np.testing.assert_allclose(fix.lon_lat_deg, expected, atol=1e-9)
    if windows == 2:
        return
    moved = result.places[asked.pop()].left_px - place.left_px
    assert moved == 512, "the next window on the lattice"
    aligned = [prior for _, _, prior in localizer.calls if prior is not None]
    assert aligned[0].xy_px.tolist() == [[700.0 - 512, 500.0], [984.0 - 512, 500.0]]


@pytest.mark.parametrize(("right_px", "windows"), [(1000, 1), (1015, 2)])
def test_a_hurried_frame_bears_a_click_nearer_to_the_edge(parts, right_px, windows):
    """No window holds both by the usual margin; the aligned one does by a third of it."""
    grid = parts.PlainGrid()
    place = nearest(grid, grid.lon_lat_deg(1536, 1536))
    clicks = (Click("a", 100, 500), Click("b", right_px, 500))
    placer = FakePlacer(FakePlaced(place, (0.0, 0.0)))
    pipeline, localizer = build(parts, {}, placer, grid, 25.0)
    frame = parts.frame(wide=1024, high=1024)
    pipeline.process(frame, clicks, FramePose(grid.lon_lat_deg(1536, 1536)))
    assert len({window for window, _, _ in localizer.calls}) == windows


def test_what_lies_off_the_map_draws_nothing_over(parts):
    grid = parts.PlainGrid(side_px=1024)
    place = nearest(grid, grid.lon_lat_deg(300, 300))
    placer = FakePlacer(FakePlaced(place, (400.0, 400.0)))
    pipeline, localizer = build(parts, {}, placer, grid, 25.0)
    frame = parts.frame(wide=2048, high=2048)
    clicks = (Click("in", 100, 100), Click("off", 1900, 100))
    result = pipeline.process(frame, clicks, FramePose(grid.lon_lat_deg(300, 300)))
    assert [fix.verdict for fix in result.fixes] == [Verdict.NOT_HERE, Verdict.NO_WINDOW]
    assert [ids for _, ids, _ in localizer.calls] == [("in",)]


@pytest.mark.parametrize(("budget_ms", "windows"), [(None, 6), (0.5, 1), (2.5, 1), (7.0, 3)])
def test_a_frame_without_a_place_tries_windows_as_long_as_its_budget_lasts(
    parts, budget_ms, windows
):
    """Each takes 3 ms here; the likeliest is tried in any case, and the last may go over."""
    localizer, grid = parts.FakeLocalizer({}), parts.PlainGrid()
    supply = LatticeWindows(FeatureCache(localizer, grid), grid)
    pipeline = Pipeline(localizer, supply, FakePlacer(), budget_ms=budget_ms)
    position = grid.lon_lat_deg(1780, 1530)
    pose = FramePose(position, sigma_m=40)
    result = pipeline.process(parts.frame(), CLICKS, pose)
    tried = list(dict.fromkeys(window for window, _, _ in localizer.calls))
    assert len(tried) == windows
    assert result.note == ("" if windows == 6 else HURRIED)  # all six, or it says so
    first = supply.choose(pose).places[0]
    assert tried[0] == grid.window_id(first.left_px, first.top_px)


def test_a_hurried_frame_without_clicks_left_nothing_out(parts):
    grid = parts.PlainGrid()
    pipeline, _ = build(parts, {}, FakePlacer(), grid, 0.5)
    pose = FramePose(grid.lon_lat_deg(1780, 1530), sigma_m=40)
    assert pipeline.process(parts.frame(), (), pose).note == ""


def test_both_notes_on_the_windows_of_a_hurried_frame_are_said(parts):
    grid = parts.PlainGrid()
    pipeline, _ = build(parts, {}, FakePlacer(), grid, 0.5)
    pose = FramePose(grid.lon_lat_deg(2000, 2000), sigma_m=300)
    note = pipeline.process(parts.frame(), CLICKS, pose).note
    assert note.endswith(f"the nearest {MOST_WINDOWS} tried; {HURRIED}")


class Store:
    """Holds the windows that were asked for by name, and hands them over."""

    def __init__(self, features):
        self.features = features

    def __contains__(self, name):
        return name in self.features

    def read(self, name):
        return self.features[name]

    def expect(self, names):
        pass


@pytest.mark.parametrize("live", [False, True])
def test_a_window_for_one_click_is_not_encoded_in_the_midst_of_a_live_run(parts, live):
    """Two clicks are nearer to the edge than they may be, or beyond it; the next window is in no
    store."""
    grid = parts.PlainGrid()
    position = grid.lon_lat_deg(1536, 1536)
    place = nearest(grid, position)
    clicks = (Click("mid", 500, 500), Click("edge", 1000, 500), Click("beyond", 1100, 500))
    localizer = parts.FakeLocalizer({})
    here = localizer.encode(grid.read(place.left_px, place.top_px))
    del localizer.encoded[:]
    store = Store({here.window_id: here})
    cache = FeatureCache(localizer, grid, store=store, ahead=store if live else None)
    placer = FakePlacer(FakePlaced(place, (0.0, 0.0)))
    pipeline = Pipeline(localizer, LatticeWindows(cache, grid), placer)
    frame = parts.frame(wide=1200, high=1024)
    fixes = pipeline.process(frame, clicks, FramePose(position)).fixes
    asked = {click_id: window for window, ids, _ in localizer.calls for click_id in ids}
    others = {click_id for click_id, window in asked.items() if window != here.window_id}
    assert (len(localizer.encoded), others) == ((0, set()) if live else (1, {"edge", "beyond"}))
    assert [fix.verdict for fix in fixes] == [Verdict.NOT_HERE] * 3
