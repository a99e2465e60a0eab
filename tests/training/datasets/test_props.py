import cv2
import numpy as np

from training.datasets.props import SIZE_M, scatter


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
    # a shadow reaches 12 % of the largest prop beyond its outline
    near = cv2.dilate(near, np.ones((27, 27), np.uint8))
    changed = (out != 90).any(2)
    assert changed.any()
    assert not (changed & (near == 0)).any()
    for outline in props:
        x, y = outline.mean(0).astype(int)
        assert (out[y, x] != 90).any()


def test_sizes_are_as_stated_and_buildings_stay_free() -> None:
    roof = np.array([[300.0, 200], [600, 200], [600, 500], [300, 500]])
    _, props = scatter(ground(), (roof,), 0.1, np.random.default_rng(1), per_hectare=100)
    for outline in props:
        longest = np.linalg.norm(outline[:, None] - outline[None], axis=2).max() * 0.1
        assert 0.9 * SIZE_M[0] <= longest <= 1.5 * SIZE_M[1]
        low, high = outline.min(0), outline.max(0)
        assert (high < roof.min(0)).any() or (low > roof.max(0)).any()


def test_none_are_pasted_when_none_are_asked_for() -> None:
    out, props = scatter(ground(), (), 0.1, np.random.default_rng(0), per_hectare=0)
    assert props == ()
    assert (out == 90).all()
