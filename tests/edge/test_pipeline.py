"""From a frame to fixes: choice of windows, order of priors, verdicts instead of crashes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_placing import FakePlaced, FakePlacer

from edge.feature_cache import FeatureCache
from edge.pipeline import Pipeline
from edge.tiles.lattice import WindowPlace, nearest, within
from edge.types import Click, FramePose, PriorSource, Verdict
from edge.window_choice import MOST_WINDOWS, LatticeWindows


def build(parts, objects, placer=None, *, grid=None, store=None, describe=None, capacity=24):
    localizer = parts.FakeLocalizer(objects)
    grid = grid or parts.PlainGrid()
    cache = FeatureCache(localizer, grid, store=store, describe=describe, capacity=capacity)
    return Pipeline(localizer, LatticeWindows(cache, grid), placer), localizer, grid


CLICKS = (Click("a", 10, 20), Click("b", 30, 40))


def test_a_position_takes_the_nearest_window_alone(parts):
    pipeline, localizer, grid = build(parts, {"a": (1500, 1500)})
    position = grid.lon_lat_deg(1500, 1500)
    result = pipeline.process(parts.frame(), CLICKS, FramePose(position))
    assert result.place == nearest(grid, position)
    assert {window for window, _, _ in localizer.calls} == {result.feature.window_id}
    assert [fix.verdict for fix in result.fixes] == [Verdict.ACCEPTED, Verdict.NOT_HERE]
    assert [fix.click_id for fix in result.fixes] == ["a", "b"]
    assert result.timings.localize_ms == 2.0
    assert result.fixes[0].timings == result.timings
    assert result.timings.encode_ms is not None and result.timings.align_ms is None


def test_a_frame_is_begun_before_its_place_is_looked_for(parts):
    """What needs the frame alone may run beside that; nothing begins where nobody asks."""
    seen = []

    class Placer(FakePlacer):
        def place(self, frame, pose, windows):
            seen.append((frame, list(localizer.begun)))
            return super().place(frame, pose, windows)

    pipeline, localizer, grid = build(parts, {"a": (1500, 1500)}, Placer())
    pose = FramePose(grid.lon_lat_deg(1500, 1500))
    result = pipeline.process(parts.frame(), CLICKS, pose)
    ((frame, begun),) = seen
    assert len(begun) == 1 and begun[0] is frame is result.frame
    assert result.timings.preprocess_ms > 0.0
    pipeline.process(parts.frame(), (), pose)
    assert len(localizer.begun) == 1, "a frame without clicks"
    pipeline, localizer, _ = build(parts, {"a": (1500, 1500)})
    pipeline.process(parts.frame(), CLICKS, pose)
    assert localizer.begun == [], "there is no place to be looked for"


def test_with_sigma_all_windows_are_tried_and_the_best_acceptance_wins_per_click(parts):
    objects = {"a": (1500, 1500), "b": (2050, 1500)}
    pipeline, localizer, grid = build(parts, objects)
    pose = FramePose(grid.lon_lat_deg(1780, 1530), sigma_m=40)
    result = pipeline.process(parts.frame(), CLICKS, pose)
    places = within(grid, pose.lon_lat_deg, 40)
    assert len(places) > 2
    assert len(localizer.calls) == len(places)
    for fix in result.fixes:
        x, y = objects[fix.click_id]
        own = result.places[fix.window_id]
        middle = own.left_px + 512 - parts.LEFT_PX, own.top_px + 512 - parts.TOP_PX
        assert abs(middle[0] - x) <= 256 and abs(middle[1] - y) <= 256  # the most central one
        assert fix.lon_lat_deg == pytest.approx(grid.lon_lat_deg(x, y), abs=1e-9)
    a, b = result.fixes
    assert a.window_id != b.window_id
    boxes = [result.box_shown(fix) for fix in result.fixes]  # both in one window's pixels
    centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes]
    assert centres[1][0] - centres[0][0] == pytest.approx(550)


def test_outside_the_map_is_a_verdict_with_a_reason(parts):
    pipeline, localizer, _ = build(parts, {})
    result = pipeline.process(parts.frame(), CLICKS, FramePose((10.0, 10.0), sigma_m=20))
    assert [fix.verdict for fix in result.fixes] == [Verdict.NO_WINDOW] * 2
    fix = result.fixes[0]
    assert fix.window_id is None and fix.lon_lat_deg is None and fix.box_xyxy_px is None
    assert "outside the map" in fix.reason and "lon 10.000000" in fix.reason
    assert (fix.acceptance_probability, fix.executor) == (0.0, "fake")
    assert localizer.calls == [] and result.place is None


def test_a_map_without_imagery_is_a_verdict_and_any_answer_is_better(parts):
    pipeline, _, grid = build(parts, {"a": (1500, 1500)}, grid=parts.PlainGrid(covered=False))
    pose = FramePose(grid.lon_lat_deg(1500, 1500), sigma_m=40)
    result = pipeline.process(parts.frame(), CLICKS, pose)
    assert {fix.verdict for fix in result.fixes} == {Verdict.NO_COVERAGE}


def test_without_a_position_a_small_map_is_tried_whole_and_a_large_one_says_so(parts):
    small = parts.PlainGrid(side_px=1024)
    pipeline, localizer, _ = build(parts, {"a": (500, 500)}, grid=small)
    result = pipeline.process(parts.frame(), CLICKS, FramePose())
    assert result.fixes[0].verdict is Verdict.ACCEPTED
    assert len({window for window, _, _ in localizer.calls}) == len(localizer.calls) <= MOST_WINDOWS
    pipeline, localizer, _ = build(parts, {})
    result = pipeline.process(parts.frame(), CLICKS, FramePose())
    assert "no position is known" in result.fixes[0].reason
    assert localizer.calls == []


def test_too_wide_a_sigma_is_said_in_the_note(parts):
    pipeline, localizer, grid = build(parts, {})
    pose = FramePose(grid.lon_lat_deg(2000, 2000), sigma_m=300)
    result = pipeline.process(parts.frame(), CLICKS, pose)
    assert len(localizer.calls) == MOST_WINDOWS
    assert f"the nearest {MOST_WINDOWS} tried" in result.note


def test_an_aligned_frame_goes_to_the_window_of_each_click(parts):
    grid = parts.PlainGrid()
    place = nearest(grid, grid.lon_lat_deg(1536, 1536))
    here = place.left_px - parts.LEFT_PX, place.top_px - parts.TOP_PX
    # "a" is amid the aligned window, "b" 40 px from its right edge: the next window is its own.
    frame = parts.frame(wide=1024, high=1024)
    clicks = (Click("a", 500, 500), Click("b", 984, 500))
    objects = {"a": (here[0] + 500, here[1] + 500), "b": (here[0] + 984, here[1] + 500)}
    placer = FakePlacer(FakePlaced(place, (0.0, 0.0)))
    pipeline, localizer, _ = build(parts, objects, placer, grid=grid)
    result = pipeline.process(frame, clicks, FramePose(grid.lon_lat_deg(1536, 1536)))
    assert [(ids, prior.source) for _, ids, prior in localizer.calls] == [
        (("a",), PriorSource.ALIGNMENT),
        (("b",), PriorSource.ALIGNMENT),
    ]
    (first, _, prior_a), (second, _, prior_b) = localizer.calls
    assert first != second
    assert prior_a.xy_px.tolist() == [[500.0, 500.0]]
    moved = result.places[second].left_px - place.left_px
    assert prior_b.xy_px.tolist() == [[984.0 - moved, 500.0]]
    assert 0 <= 984 - moved <= 1024
    assert prior_b.inv_var.tolist() == [0.25] and prior_b.inliers == 77
    assert [fix.prior_inliers for fix in result.fixes] == [77, 77]
    assert result.timings.align_ms is not None


def test_a_click_that_the_alignment_puts_off_the_map(parts):
    grid = parts.PlainGrid(side_px=1024)
    place = nearest(grid, grid.lon_lat_deg(300, 300))
    placer = FakePlacer(FakePlaced(place, (-5000.0, 0.0)))
    pipeline, _, _ = build(parts, {}, placer, grid=grid)
    result = pipeline.process(parts.frame(), CLICKS, FramePose(grid.lon_lat_deg(300, 300)))
    assert {fix.verdict for fix in result.fixes} == {Verdict.NO_WINDOW}
    assert "alignment puts it outside the map" in result.fixes[0].reason


@pytest.mark.parametrize(("track", "second"), [(True, "tracker"), (False, "none")])
def test_without_tracking_no_name_is_a_prior(parts, track, second):
    grid = parts.PlainGrid()
    localizer = parts.FakeLocalizer({"a": (1500, 1500)})
    windows = LatticeWindows(FeatureCache(localizer, grid), grid)
    pipeline = Pipeline(localizer, windows, FakePlacer(), track=track)
    pose = FramePose(grid.lon_lat_deg(1500, 1500))
    sources = [
        pipeline.process(parts.frame(n, 0.1 * n), CLICKS[:1], pose).fixes[0].prior_source.value
        for n in range(2)
    ]
    assert sources == ["none", second]


def test_alignment_counts_more_than_the_tracker_and_that_more_than_telemetry(parts):
    grid = parts.PlainGrid()
    position = grid.lon_lat_deg(1536, 1536)
    pose = FramePose(position, sigma_m=None, yaw_deg=0.0, gsd_m=0.2)
    placer = FakePlacer()
    objects = {"a": (1536, 1536), "b": (1600, 1600)}
    pipeline, localizer, _ = build(parts, objects, placer, grid=grid)

    def sources(time_s, clicks=CLICKS, pose=pose):
        localizer.calls.clear()
        pipeline.process(parts.frame(time_s=time_s), clicks, pose)
        return {
            name: prior.source if prior is not None else None
            for _, names, prior in localizer.calls
            for name in names
        }

    # nothing known yet, and telemetry without a sigma says nothing
    assert sources(0.0) == {"a": None, "b": None}
    # now both have an accepted fix: the tracker knows them
    assert sources(1.0) == {"a": PriorSource.TRACKER, "b": PriorSource.TRACKER}
    # a new object is left to telemetry, once that has a sigma
    sure = FramePose(position, sigma_m=5.0, yaw_deg=0.0, gsd_m=0.2)
    both = (CLICKS[0], Click("new", 5, 5))
    found = sources(2.0, both, sure)
    assert found == {"a": PriorSource.TRACKER, "new": PriorSource.TELEMETRY}
    # fixes that rested on the tracker alone did not feed it: after five seconds it forgets
    assert sources(6.5) == {"a": None, "b": None}
    # an alignment beats them all, but for the click that it does not know
    place = nearest(grid, position)
    placer.answer = FakePlaced(place, (480.0, 480.0), unknown=(1,))
    assert sources(7.0) == {"a": PriorSource.ALIGNMENT, "b": PriorSource.TRACKER}


def test_the_localizer_learns_the_pose_of_the_frame(parts):
    pipeline, localizer, grid = build(parts, {"a": (1500, 1500)})
    seen, plain = [], localizer.localize

    def localize(frame, *arguments):
        seen.append(frame.pose)
        return plain(frame, *arguments)

    localizer.localize = localize
    pose = FramePose(grid.lon_lat_deg(1500, 1500), gsd_m=0.11)
    pipeline.process(parts.frame(), CLICKS, pose)
    assert seen == [pose]


def test_pictures_without_capture_times_are_not_tracked(parts):
    for timed, source in ((True, PriorSource.TRACKER), (False, PriorSource.NONE)):
        pipeline, _, grid = build(parts, {"a": (1536, 1536)}, FakePlacer())
        pose = FramePose(grid.lon_lat_deg(1536, 1536))
        for time_s in (0.0, 0.5):
            frame = replace(parts.frame(time_s=time_s), timed=timed)
            result = pipeline.process(frame, CLICKS[:1], pose)
        assert result.fixes[0].prior_source is source


def test_without_a_placer_the_head_decides_alone(parts):
    pipeline, localizer, grid = build(parts, {"a": (1536, 1536)})
    pose = FramePose(grid.lon_lat_deg(1536, 1536), sigma_m=5.0, yaw_deg=0.0, gsd_m=0.2)
    for time_s in (0.0, 0.5):
        pipeline.process(parts.frame(time_s=time_s), CLICKS, pose)
    assert {prior for _, _, prior in localizer.calls} == {None}


def test_a_frame_without_clicks_gives_no_fixes(parts):
    pipeline, localizer, grid = build(parts, {}, FakePlacer())
    result = pipeline.process(parts.frame(), (), FramePose(grid.lon_lat_deg(1536, 1536)))
    assert result.fixes == () and localizer.calls == []


class Store(dict):
    """A feature store in memory that counts."""

    def read(self, window_id):
        return self[window_id]


def test_features_come_from_the_store_else_are_encoded_once_and_kept(parts):
    grid = parts.PlainGrid()
    first = parts.FakeLocalizer()
    stored = first.encode(grid.read(parts.LEFT_PX + 1024, parts.TOP_PX + 1024))
    pipeline, localizer, _ = build(parts, {}, grid=grid, store=Store({stored.window_id: stored}))
    grid.reads.clear()
    pose = FramePose(grid.lon_lat_deg(1536, 1536))
    result = pipeline.process(parts.frame(), CLICKS, pose)
    assert grid.reads == []  # what is stored costs no tile
    assert result.feature is stored and localizer.encoded == []
    assert result.timings.encode_ms is None
    elsewhere = FramePose(grid.lon_lat_deg(3000, 3000))
    for _ in range(3):
        pipeline.process(parts.frame(), CLICKS, elsewhere)
    assert len(localizer.encoded) == 1


def test_the_least_recently_used_window_is_forgotten_and_descriptions_are_merged(parts):
    grid = parts.PlainGrid()
    localizer = parts.FakeLocalizer()
    described = {"align_xy_1x": np.zeros((2, 2), np.int16)}
    cache = FeatureCache(localizer, grid, describe=lambda window: described, capacity=2)
    a, b, c = (WindowPlace(parts.LEFT_PX + 512 * n, parts.TOP_PX) for n in range(3))
    assert set(cache.get(a).feature.tensors) == {"v", "align_xy_1x"}
    for place in (b, a, c, a, b):  # b is the oldest when c comes, and must be made again
        cache.get(place)
    assert [name.split("/")[1] for name in localizer.encoded] == [
        f"x{parts.LEFT_PX + 512 * n}" for n in (0, 1, 2, 1)
    ]
