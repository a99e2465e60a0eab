"""Each marker is drawn, the sample is changed, and the marker is looked for in the pixels."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.geodesy import AffineGeometry, MercatorGeometry
from training.augmentation import moves
from training.augmentation.named import AUGMENTATIONS, Augmentation, augmentation
from training.datasets.sample import PairSample

GREY, RED, GREEN = (110, 110, 110), (250, 20, 20), (20, 240, 20)
UTM = AffineGeometry((500000.0, 0.3, 0.0, 4680000.0, 0.0, -0.3), 32616)
MOVES = {
    "turn 0": lambda view, rng: moves.quarter_turn(view, 0),
    "turn 1": lambda view, rng: moves.quarter_turn(view, 1),
    "turn 2": lambda view, rng: moves.quarter_turn(view, 2),
    "turn 3": lambda view, rng: moves.quarter_turn(view, 3),
    "across": lambda view, rng: moves.flip_across(view),
    "down": lambda view, rng: moves.flip_down(view),
    "safe crop": moves.safe_crop,
}


def drawn(seed: int = 0, side: int = 128, frame_wh: tuple[int, int] = (96, 64)) -> PairSample:
    """Two rectangles in their own colours, a third object that is absent, three clicked pixels."""
    rng = np.random.default_rng(seed)
    window = np.full((side, side, 3), GREY, np.uint8)
    frame = rng.integers(90, 130, (frame_wh[1], frame_wh[0], 3), dtype=np.uint8)
    boxes, masks, clicks = [], [], []
    for k, colour in enumerate((RED, GREEN)):
        wide, high = rng.integers(14, side // 2 - 8, 2)
        x = int(rng.integers(2, side // 2 - wide)) + k * side // 2  # each in its own half
        y = int(rng.integers(2, side - high - 2))
        window[y : y + high, x : x + wide] = colour
        boxes.append((x, y, x + wide, y + high))
        mask = np.zeros((side, side), bool)
        mask[y : y + high, x : x + wide] = True
        masks.append(mask)
    for k, colour in enumerate((RED, GREEN, (20, 20, 250))):  # each in its own third
        column = int(rng.integers(frame_wh[0] // 3)) + k * frame_wh[0] // 3
        row = int(rng.integers(frame_wh[1]))
        frame[row, column] = colour
        clicks.append((column + 0.5, row + 0.5))
    box = np.array([*boxes, (0, 0, 0, 0)], np.float32)
    return PairSample(
        frame=frame,
        window=window,
        click_xy_px=np.array(clicks, np.float32),
        box_xyxy_px=box,
        present=np.array([True, True, False]),
        expected_xy_px=np.array(
            [*((box[:2, :2] + box[:2, 2:]) / 2).tolist(), (np.nan, np.nan)], np.float32
        ),
        source="drawn",
        class_names=("a", "b", "c"),
        polygon_xy_px=box[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(3, 4, 2),
        mask=np.stack([*masks, np.zeros((side, side), bool)]),
        geometry=UTM,
    )


def pixels_of(image: np.ndarray, colour: tuple[int, int, int], within: int = 60) -> np.ndarray:
    return (np.abs(image.astype(int) - colour).max(-1) < within).astype(bool)


def bounds(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def check_window(sample: PairSample) -> None:
    """Box, mask, polygon and expected place of the drawn objects, against the pixels."""
    side = sample.window.shape[0]
    _, dx_col, dx_row, _, dy_col, dy_row = sample.geometry.geotransform
    stretch = 0.3 / min(max(abs(dx_col), abs(dy_col)), max(abs(dx_row), abs(dy_row)))
    # a crop blends an edge over the width of a stretched pixel; all else keeps pixels whole
    slack_px = 1e-3 if stretch < 1 + 1e-6 else 1 + 0.6 * stretch
    for k, colour in enumerate((RED, GREEN)):
        seen = pixels_of(sample.window, colour)
        assert np.abs(sample.box_xyxy_px[k] - bounds(seen)).max() <= slack_px
        wrong = (sample.mask[k] != seen).sum()
        assert wrong <= slack_px * 2 * (np.ptp(bounds(seen)[::2]) + np.ptp(bounds(seen)[1::2]))
        corners = sample.polygon_xy_px[k]
        clipped = np.clip(np.concatenate([corners.min(0), corners.max(0)]), 0, side)
        assert clipped == pytest.approx(sample.box_xyxy_px[k], abs=0.02)
        assert sample.expected_xy_px[k] == pytest.approx(corners.mean(0), abs=0.02)
    assert (sample.box_xyxy_px[2] == 0).all() and not sample.mask[2].any()
    assert np.isnan(sample.expected_xy_px[2]).all()


def check_frame(sample: PairSample) -> None:
    for (x, y), colour in zip(sample.click_xy_px, (RED, GREEN, (20, 20, 250)), strict=True):
        assert tuple(sample.frame[int(y), int(x)]) == colour
        assert x - int(x) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("name", MOVES)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), side=st.sampled_from([64, 97, 128]))
def test_a_moved_marker_fills_its_box(name, seed, side) -> None:
    rng = np.random.default_rng(seed)
    sample = moves.move_window(drawn(seed, side), lambda view: MOVES[name](view, rng))
    assert sample.window.shape == (side, side, 3)
    check_window(sample)


@pytest.mark.parametrize("name", [name for name in MOVES if name != "safe crop"])
def test_a_moved_click_stays_on_its_pixel(name) -> None:
    for seed in range(20):
        sample = drawn(seed)
        moved = moves.move_frame(sample, lambda view: MOVES[name](view, None))
        check_frame(moved)
        if name.startswith("turn") and name[-1] in "13":
            assert moved.frame.shape == (96, 64, 3)


@pytest.mark.parametrize("name", MOVES)
def test_georeference_moves_with_the_pixels(name) -> None:
    """The marker's corners lie at the same longitude and latitude before and after."""
    before = drawn(3)
    rng = np.random.default_rng(3)
    after = moves.move_window(before, lambda view: MOVES[name](view, rng))
    for k in range(2):
        was = UTM.lon_lat_deg(before.polygon_xy_px[k].astype(np.float64))
        now = after.geometry.lon_lat_deg(after.polygon_xy_px[k].astype(np.float64))
        assert np.abs(was - now).max() < 2e-9, "0.2 mm"


def test_a_georeference_that_cannot_turn_is_dropped() -> None:
    sample = dataclasses.replace(drawn(), geometry=MercatorGeometry(18, 0.0, 0.0))
    assert moves.move_window(sample, moves.flip_down).geometry is None


def test_quarter_turn_is_counterclockwise() -> None:
    sample = drawn(5)
    turned = moves.move_window(sample, lambda view: moves.quarter_turn(view, 1))
    assert (turned.window == np.rot90(sample.window)).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_safe_crop_keeps_three_fifths_of_every_side(seed) -> None:
    """Measured in pixels of the picture before: the crop's ground is known by its georeference."""
    before = drawn(seed)
    rng = np.random.default_rng(seed)
    after = moves.move_window(before, lambda view: moves.safe_crop(view, rng))
    for k in range(2):
        corners = after.box_xyxy_px[k].reshape(2, 2).astype(np.float64)
        ground = UTM.xy_px(after.geometry.lon_lat_deg(corners))
        kept = (ground[1] - ground[0]) / (before.box_xyxy_px[k][2:] - before.box_xyxy_px[k][:2])
        assert (kept > 0.6 - 1e-3).all() and (kept < 1 + 1e-3).all()
    assert (after.box_xyxy_px >= 0).all() and (after.box_xyxy_px <= 128).all()


def test_safe_crop_without_a_present_object_does_nothing() -> None:
    sample = dataclasses.replace(drawn(), present=np.zeros(3, bool))
    rng = np.random.default_rng(0)
    after = moves.move_window(sample, lambda view: moves.safe_crop(view, rng))
    assert (after.window == sample.window).all()


def test_samples_without_extras_move_too() -> None:
    sample = dataclasses.replace(drawn(1), polygon_xy_px=None, mask=None, geometry=None)
    after = moves.move_window(sample, moves.flip_across)
    assert after.polygon_xy_px is None and after.mask is None and after.geometry is None
    assert (after.window == sample.window[:, ::-1]).all()


# --- whole recipes -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUGMENTATIONS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_recipes_keep_markers_in_boxes_and_clicks_on_pixels(name, seed) -> None:
    sample = drawn(seed)
    plain = dataclasses.replace(augmentation(name), window_tints=())  # colours would be changed
    after = plain(sample, np.random.default_rng(seed))
    check_window(after)
    check_frame(after)
    assert after.frame.shape == sample.frame.shape and after.window.shape == sample.window.shape


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_seed_changes_alike_and_the_input_is_not_written_to(name) -> None:
    sample = drawn(2)
    for array in (sample.window, sample.frame, sample.box_xyxy_px, sample.mask):
        array.setflags(write=False)
    seen = set()
    for seed in range(12):
        a, b = (augmentation(name)(sample, np.random.default_rng(seed)) for _ in range(2))
        for field in ("frame", "window", "click_xy_px", "box_xyxy_px", "mask", "polygon_xy_px"):
            assert np.array_equal(getattr(a, field), getattr(b, field))
        seen.add(a.window.tobytes())
    assert len(seen) == 1 if name == "none" else len(seen) > 6


def test_detgeo_never_touches_the_query_and_trogeo_no_colour() -> None:
    sample = drawn(4)
    colours = {tuple(c) for c in sample.window.reshape(-1, 3)}
    for seed in range(40):
        after = augmentation("detgeo")(sample, np.random.default_rng(seed))
        assert after.frame is sample.frame and after.click_xy_px is sample.click_xy_px
        after = augmentation("trogeo")(sample, np.random.default_rng(seed))
        if after.box_xyxy_px[:, 2:].max() and is_uncropped(sample, after):
            assert {tuple(c) for c in after.window.reshape(-1, 3)} <= colours


def is_uncropped(before: PairSample, after: PairSample) -> bool:
    return sorted(before.mask.sum((1, 2))) == sorted(after.mask.sum((1, 2)))


def test_published_probabilities() -> None:
    """How often each step of the recipes happens in 4,000 draws, against the published numbers."""
    rng = np.random.default_rng(0)
    counts: Counter[str] = Counter()
    for name in ("detgeo", "trogeo"):
        recipe = augmentation(name)
        for part in ("window_moves", "frame_moves", "window_tints"):
            for chance in getattr(recipe, part):
                for _ in range(4000):
                    step = chance.draw(rng)
                    if step is not None:
                        counts[f"{name} {part} {step.__name__.strip('_')}"] += 1
    expected = {
        "detgeo window_moves safe_crop": 0.2,
        "detgeo window_moves turn_by_any": 0.5,
        "detgeo window_tints add_noise": 0.5,
        "detgeo window_tints shift_hue": 0.3,
        "detgeo window_tints blur": 0.5 * 4 / 7,
        "detgeo window_tints median_blur": 0.5 * 3 / 7,
        "detgeo window_tints change_brightness": 0.5 * 4 / 7,
        "detgeo window_tints equalize": 0.5 * 3 / 7,
        "detgeo window_tints to_grey": 0.2,
        "detgeo window_tints change_gamma": 0.3,
        "trogeo window_moves safe_crop": 0.4,
        "trogeo window_moves one_quarter_turn": 0.25,
        "trogeo window_moves half_turn": 0.25,
        "trogeo window_moves three_quarter_turn": 0.25,
        "trogeo window_moves mirror": 0.5,
        "trogeo window_moves upend": 0.5,
        "trogeo frame_moves mirror": 0.5,
    }
    assert {k: v / 4000 for k, v in counts.items()} == pytest.approx(expected, abs=0.03)


DRAWS = 1000


@pytest.mark.parametrize(
    ("name", "shares"),
    [("detgeo", (5 / 8, 1 / 8, 1 / 8, 1 / 8)), ("trogeo", (1 / 4, 1 / 4, 1 / 4, 1 / 4))],
)
def test_turns_are_those_that_the_table_says(name: str, shares: tuple[float, ...]) -> None:
    """By the pixels: how often a window ends turned by 0, 90, 180 and 270 degrees."""
    sample = dataclasses.replace(
        drawn(6, side=64), polygon_xy_px=None, mask=None, geometry=None
    )  # the window alone is looked at
    turns = dataclasses.replace(
        augmentation(name),
        window_moves=(augmentation(name).window_moves[1],),  # after the crop
        frame_moves=(),
        window_tints=(),
    )
    turned = [np.rot90(sample.window, quarters).tobytes() for quarters in range(4)]
    rng = np.random.default_rng(1)
    counts = Counter(turned.index(turns(sample, rng).window.tobytes()) for _ in range(DRAWS))
    assert [counts[quarters] / DRAWS for quarters in range(4)] == pytest.approx(shares, abs=0.04)


def test_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="write 'detgeo' if that was meant"):
        augmentation("detgo")
    assert isinstance(augmentation("mogeo"), Augmentation)
