import cv2
import numpy as np

from training.datasets.prop_drawing import KINDS, Canvas, rectangle
from training.datasets.props import MOST_SHADOW_PX, scatter


def ground() -> np.ndarray:
    return np.full((800, 1000, 3), 90, np.uint8)


def test_what_changed_lies_in_or_beside_an_outline() -> None:
    image = ground()
    out, props = scatter(image, (), 0.1, np.random.default_rng(0), per_hectare=60)
    assert (image == 90).all()  # the picture handed in is left alone
    assert len(props) > 20
    near = np.zeros(image.shape[:2], np.uint8)
    for outline in props:
        cv2.fillPoly(near, [np.round(outline).astype(np.int32)], 1)
    reach = 2 * int(MOST_SHADOW_PX) + 5
    near = cv2.dilate(near, np.ones((reach, reach), np.uint8))
    changed = (out != 90).any(2)
    assert changed.any()
    assert not (changed & (near == 0)).any()
    for outline in props:
        x, y = outline.mean(0).astype(int)
        assert (out[y, x] != 90).any()


def test_sizes_are_as_stated_and_buildings_stay_free() -> None:
    least, most = min(k.size_m[0] for k in KINDS), max(k.size_m[1] for k in KINDS)
    roof = np.array([[300.0, 200], [600, 200], [600, 500], [300, 500]])
    _, props = scatter(ground(), (roof,), 0.1, np.random.default_rng(1), per_hectare=100)
    for outline in props:
        longest = np.linalg.norm(outline[:, None] - outline[None], axis=2).max() * 0.1
        assert 0.9 * least <= longest <= 1.5 * most
        low, high = outline.min(0), outline.max(0)
        assert (high < roof.min(0)).any() or (low > roof.max(0)).any()


def test_none_are_pasted_when_none_are_asked_for() -> None:
    out, props = scatter(ground(), (), 0.1, np.random.default_rng(0), per_hectare=0)
    assert props == ()
    assert (out == 90).all()


def test_every_kind_stays_in_its_unit_square_and_spans_it() -> None:
    assert abs(sum(k.share for k in KINDS) - 1) < 1e-9
    rng = np.random.default_rng(2)
    for kind in KINDS:
        for _ in range(20):
            outline = kind.outline(rng)
            assert np.abs(outline).max() < 0.62
            assert 0.98 < np.ptp(outline, axis=0).max() < 1.02
            assert np.allclose(outline[0], outline[-1], atol=1e-6)


def test_mask_covers_the_pixels_between_corners_at_integers() -> None:
    piece = np.zeros((40, 60, 3), np.float32)
    canvas = Canvas(piece, np.array([100, 200]), np.array([[20.0, 0, 130], [0, 20.0, 220]]))
    canvas.fill(rectangle(1.0, 0.5), np.full(3, 200, np.float32))
    full = piece[..., 0] > 150
    rows, columns = np.flatnonzero(full.any(1)), np.flatnonzero(full.any(0))
    assert abs(columns[0] - 20) <= 1 and abs(columns[-1] + 1 - 40) <= 1
    assert abs(rows[0] - 15) <= 1 and abs(rows[-1] + 1 - 25) <= 1
