import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge.errors import DataError
from training.datasets import orthophoto
from training.datasets.orthophoto import Mosaic, look_at_ground


def test_camera_agrees_with_opencvs_projection() -> None:
    """The same camera as a rotation and a translation, through cv2.projectPoints."""
    yaw, tilt, focal, distance = 0.7, 0.5, 400.0, 900.0
    centre = np.array([310.0, 220.0])
    ground = np.random.default_rng(0).uniform(0, 500, (20, 2))
    matrix = look_at_ground(centre, yaw, tilt, focal, distance, (512, 384))
    got = cv2.perspectiveTransform(ground[None], matrix)[0]
    # x right, y down on the ground, z into it: turn by the heading, then tilt about the x axis
    rotation = Rotation.from_euler("x", tilt) * Rotation.from_euler("z", -yaw)
    as_matrix = rotation.as_matrix()
    points = np.c_[ground - centre, np.zeros(len(ground))]
    inner = np.array([[focal, 0, 256], [0, focal, 192], [0, 0, 1.0]])
    in_camera = points @ as_matrix.T
    in_camera[:, 2] = -in_camera[:, 2] + distance  # what tilts away from the camera is farther
    expected, _ = cv2.projectPoints(in_camera, np.zeros(3), np.zeros(3), inner, None)
    assert np.allclose(got, expected[:, 0], atol=1e-6)


def test_far_ground_lies_towards_the_top_and_looks_smaller() -> None:
    matrix = look_at_ground(np.zeros(2), 0.0, 0.8, 400.0, 900.0, (512, 512))

    def width_at(y: float) -> tuple[float, float]:
        left, right = cv2.perspectiveTransform(np.array([[[-50.0, y], [50.0, y]]]), matrix)[0]
        return right[0] - left[0], left[1]

    far, near = width_at(-300.0), width_at(300.0)
    assert far[0] < near[0]
    assert far[1] < near[1]


@pytest.mark.parametrize("seed", range(6))
def test_click_and_box_hold_the_same_roof(mosaic: Mosaic, seed: int) -> None:
    """Each roof has its own green value: what lies under the click must fill the box's middle."""
    plain = np.random.default_rng(seed)
    undamaged = pytest.MonkeyPatch()
    undamaged.setattr(orthophoto, "degrade", lambda image, rng, **_: image)
    try:
        sample = orthophoto.sample_pair(
            [mosaic], plain, frame_px=(256, 256), window_px=320, absent_share=0.0
        )
    finally:
        undamaged.undo()
    assert sample.present.any()
    for click, box, there in zip(
        sample.click_xy_px, sample.box_xyxy_px, sample.present, strict=True
    ):
        if not there or (box[:2] < 4).any() or (box[2:] > 316).any():
            continue
        seen = sample.frame[int(click[1]), int(click[0])].astype(int)
        mapped = sample.window[int(box[1::2].mean()), int(box[::2].mean())].astype(int)
        assert abs(seen - mapped).max() < 14, (seen, mapped)
        assert seen[0] > 200  # a roof, not ground


def test_box_is_tight_around_the_roof(mosaic: Mosaic) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(orthophoto, "degrade", lambda image, rng, **_: image)
    try:
        rng = np.random.default_rng(3)
        sample = orthophoto.sample_pair([mosaic], rng, window_px=320, absent_share=0.0)
    finally:
        patch.undo()
    whole = [b for b, p in zip(sample.box_xyxy_px, sample.present, strict=True) if p]
    box = next(b for b in whole if (b[:2] > 6).all() and (b[2:] < 314).all())
    x1, y1, x2, y2 = box.astype(int)
    roof = sample.window[..., 0].astype(int) - sample.window[..., 2] > 120
    cut = roof[y1 - 5 : y2 + 6, x1 - 5 : x2 + 6]
    rows, columns = np.flatnonzero(cut.any(1)), np.flatnonzero(cut.any(0))
    assert abs(rows[0] - 5) <= 3 and abs(columns[0] - 5) <= 3
    assert abs(len(cut) - 1 - rows[-1] - 5) <= 3 and abs(cut.shape[1] - 1 - columns[-1] - 5) <= 3


def test_same_seed_gives_the_same_sample(mosaic: Mosaic) -> None:
    a, b = (orthophoto.sample_pair([mosaic], np.random.default_rng(9)) for _ in range(2))
    assert (a.frame == b.frame).all() and (a.window == b.window).all()
    assert np.array_equal(a.box_xyxy_px, b.box_xyxy_px)


def test_missing_picture_is_named(tmp_path) -> None:
    (tmp_path / "a_buildings.json").write_text("[]")
    with pytest.raises(DataError, match=r"nothing\.tif cannot be read(.|\n)*no such file"):
        Mosaic.read(tmp_path / "nothing.tif", tmp_path / "a_buildings.json", 0.1)
