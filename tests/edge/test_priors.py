"""Priors of telemetry and tracker, against pyproj."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from edge.priors import TRACK_SIGMA_M, Tracker, by_source, shifted, telemetry_prior
from edge.types import Click, FramePose, Prior, PriorSource

GEOD = Geod(ellps="WGS84")
SIZE = (640, 480)


@pytest.fixture
def feature(parts):
    localizer = parts.FakeLocalizer()
    return localizer.encode(parts.PlainGrid().read(parts.LEFT_PX + 512, parts.TOP_PX + 512))


def where(feature, prior):
    return feature.geometry.lon_lat_deg(prior.xy_px.astype(np.float64))


@pytest.mark.parametrize("yaw", [0.0, 37.0, 90.0, 215.0])
def test_telemetry_places_clicks_by_yaw_and_ground_size(feature, yaw):
    position = tuple(feature.geometry.lon_lat_deg(np.array([[512.0, 500.0]]))[0].tolist())
    pose = FramePose(position, sigma_m=4.0, yaw_deg=yaw, gsd_m=0.15)
    clicks = (Click("centre", 320, 240), Click("up", 320, 40), Click("right", 520, 240))
    prior = telemetry_prior(clicks, SIZE, feature, pose)
    assert prior.source is PriorSource.TELEMETRY
    found = where(feature, prior)
    # the frame's top is at the bearing of the yaw, its right side 90 degrees further
    for index, (bearing, away) in enumerate([(0.0, 0.0), (yaw, 30.0), (yaw + 90, 30.0)]):
        lon, lat, _ = GEOD.fwd(*position, bearing, away)
        _, _, off_m = GEOD.inv(lon, lat, *found[index])
        assert off_m < 0.2
    per_px_m = 0.2036
    sigma_m = per_px_m / np.sqrt(prior.inv_var)
    assert sigma_m[0] == pytest.approx(4.0, rel=0.01)
    assert sigma_m[1] == pytest.approx(np.hypot(4.0, 15.0), rel=0.01)  # no tilt is known


def test_without_yaw_the_centre_stands_for_all_with_a_wide_sigma(feature):
    position = tuple(feature.geometry.lon_lat_deg(np.array([[512.0, 500.0]]))[0].tolist())
    prior = telemetry_prior(
        (Click("a", 320, 40),), SIZE, feature, FramePose(position, sigma_m=4.0, gsd_m=0.15)
    )
    assert prior.xy_px[0] == pytest.approx([512.0, 500.0], abs=0.01)
    assert 0.2036 / np.sqrt(prior.inv_var[0]) == pytest.approx(np.hypot(4.0, 30.0), rel=0.01)


@pytest.mark.parametrize("missing", ["lon_lat_deg", "sigma_m", "gsd_m"])
def test_what_telemetry_does_not_know_it_does_not_say(feature, missing):
    known = {"lon_lat_deg": (7.43, 47.0), "sigma_m": 4.0, "yaw_deg": 1.0, "gsd_m": 0.15}
    pose = FramePose(**{key: value for key, value in known.items() if key != missing})
    assert not telemetry_prior((Click("a", 1, 1),), SIZE, feature, pose).inv_var.any()


def fixes_of(parts, feature, objects, time_s=0.0, prior=None):
    localizer = parts.FakeLocalizer(objects)
    clicks = tuple(Click(name, 1, 1) for name in objects)
    return localizer.localize(parts.frame(time_s=time_s), clicks, feature, prior)


def test_the_tracker_says_where_it_was_less_surely_with_time(parts, feature):
    tracker = Tracker()
    tracker.learn(fixes_of(parts, feature, {"a": (900, 950), "lost": (-9e5, 0)}, time_s=10.0))
    clicks = (Click("a", 1, 1), Click("lost", 1, 1), Click("new", 1, 1))
    soon, later, late = (tracker.prior(clicks, feature, t) for t in (10.0, 12.0, 15.1))
    assert soon.source is PriorSource.TRACKER
    assert soon.xy_px[0] == pytest.approx([900 - 512, 950 - 512], abs=0.01)
    assert 0.2036 / np.sqrt(soon.inv_var[0]) == pytest.approx(TRACK_SIGMA_M, rel=0.01)
    assert 0 < later.inv_var[0] < soon.inv_var[0]
    assert later.inv_var[1] == later.inv_var[2] == 0  # refused and unknown ones have no track
    assert not late.inv_var.any()


def test_a_track_does_not_feed_itself(parts, feature):
    tracker = Tracker()
    tracker.learn(fixes_of(parts, feature, {"a": (900, 950)}, time_s=0.0))
    own = tracker.prior((Click("a", 1, 1),), feature, 4.0)
    tracker.learn(fixes_of(parts, feature, {"a": (960, 950)}, time_s=4.0, prior=own))
    assert tracker.prior((Click("a", 1, 1),), feature, 4.5).xy_px[0, 0] == pytest.approx(900 - 512)


def test_a_track_that_is_contradicted_ends(parts, feature):
    click = (Click("a", 1, 1),)

    def tracked(xy, time_s=1.0):
        """Whether the track outlives a next fix there, found by its word."""
        tracker = Tracker()
        tracker.learn(fixes_of(parts, feature, {"a": (900, 950)}))
        said = tracker.prior(click, feature, time_s)
        tracker.learn(fixes_of(parts, feature, {"a": xy}, time_s=time_s, prior=said))
        return bool(tracker.prior(click, feature, time_s + 0.1).inv_var[0] > 0)

    assert tracked((920, 950))  # 4 m in a second
    assert not tracked((1000, 950))  # 20 m: it is another thing
    assert tracked((1000, 950), time_s=4.0)
    assert not tracked((-9e5, 0))  # not here


def prior_of(known, source):
    inv_var = np.array(known, np.float32)
    xy = np.arange(2 * len(known), dtype=np.float32).reshape(-1, 2)
    return Prior(xy, inv_var, source, 5)


def test_each_click_has_the_first_source_that_knows_it():
    first = prior_of([0, 1, 0, 0], PriorSource.ALIGNMENT)
    second = prior_of([2, 2, 2, 0], PriorSource.TRACKER)
    groups = by_source(4, [first, second])
    assert [(rows, prior.source) for rows, prior in groups] == [
        ((1,), PriorSource.ALIGNMENT),
        ((0, 2), PriorSource.TRACKER),
        ((3,), PriorSource.NONE),
    ]
    assert groups[1][1].xy_px.tolist() == [[0, 1], [4, 5]]
    assert groups[1][1].inv_var.tolist() == [2, 2]


knowledge = st.lists(st.lists(st.integers(0, 2), min_size=5, max_size=5), min_size=0, max_size=3)


@given(knowledge)
def test_every_click_is_in_exactly_one_group(known):
    priors = [prior_of(row, PriorSource.TRACKER) for row in known]
    groups = by_source(5, priors)
    assert sorted(index for rows, _ in groups for index in rows) == list(range(5))
    assert all(len(prior.inv_var) == len(rows) for rows, prior in groups)


def test_a_prior_in_another_window():
    moved = shifted(prior_of([1, 0], PriorSource.ALIGNMENT), 512, -100)
    assert moved.xy_px.tolist() == [[-512, 101], [-510, 103]]
    assert (moved.source, moved.inliers) == (PriorSource.ALIGNMENT, 5)
