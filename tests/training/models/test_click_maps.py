import math

import numpy as np
import pytest
import torch

from training.models.click_maps import ClickEncoding, ClickMap, ClickMapOptions

HW = (48, 64)  # diagonal 80
DIAGONAL_PX = 80.0


def drawn(xy_px=((30.0, 20.0),), hw=HW, **options) -> np.ndarray:
    maps = ClickMap(ClickMapOptions(**options))(torch.tensor(xy_px), hw)
    assert maps.shape == (len(xy_px), 1, *hw)
    return maps[:, 0].detach().numpy()


def distances(x: float, y: float) -> np.ndarray:
    rows, columns = np.indices(HW)
    return np.hypot(columns - x, rows - y)


def test_squared_distance_is_one_at_the_click_and_zero_a_diagonal_away():
    found = drawn(((0.0, 0.0),))[0]
    assert found[0, 0] == 1.0
    corner = math.hypot(63, 47)
    assert found[47, 63] == pytest.approx((1 - corner / DIAGONAL_PX) ** 2, abs=1e-6)
    beyond = ClickMap(ClickMapOptions())(torch.tensor([[-1.0, -1.0]]), HW)[0, 0, 47, 63]
    assert float(beyond) == pytest.approx(0.0, abs=1e-6)  # just a diagonal away


def test_gaussian_is_0_6065_at_one_sigma():
    found = drawn(click_encoding="gaussian", sigma=0.1)[0]  # 8 px
    assert found[20, 30] == 1.0
    assert found[20, 38] == pytest.approx(0.6065, abs=1e-4)
    assert found[12, 30] == pytest.approx(0.6065, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "formula"),
    [
        ({}, lambda d: (1 - d / DIAGONAL_PX) ** 2),
        ({"click_encoding": "gaussian", "sigma": 0.075}, lambda d: np.exp(-(d**2) / 72)),
        (
            {"click_encoding": "laplacian", "sigma": 0.05},
            lambda d: np.exp(-d / 4) / (2 * 0.05),
        ),
        (
            {"click_encoding": "hybrid", "hybrid_sigma": 0.025, "hybrid_hardness": 0.3},
            lambda d: 0.3 * (d < 1) + 0.7 * np.exp(-(d**2) / 8),
        ),
    ],
)
@pytest.mark.parametrize(("x", "y"), [(30, 20), (0, 47)])
def test_maps_follow_their_formulas(options, formula, x, y):
    found = drawn(((float(x), float(y)),), **options)[0]
    assert np.allclose(found, formula(distances(x, y)), atol=1e-6)


def test_rings_are_square_concentric_and_fall_outwards():
    options = {"ring_half_sides_px": (2.0, 5.0), "ring_weights": (0.9, 0.4)}
    found = drawn(click_encoding="rings", **options)[0]
    rows, columns = np.indices(HW)
    square = np.maximum(abs(columns - 30), abs(rows - 20))
    assert np.allclose(found, np.where(square <= 2, 0.9, np.where(square <= 5, 0.4, 0.0)))


@pytest.mark.parametrize("encoding", [e.value for e in ClickEncoding])
def test_clicks_of_a_batch_do_not_mix(encoding):
    clicks = ((3.0, 4.0), (60.0, 40.0), (31.0, 0.0))
    together = drawn(clicks, click_encoding=encoding)
    apart = np.concatenate([drawn((c,), click_encoding=encoding) for c in clicks])
    assert np.array_equal(together, apart)
    for drawn_map, (x, y) in zip(together, clicks, strict=True):
        assert drawn_map[int(y), int(x)] == drawn_map.max()


@pytest.mark.parametrize("encoding", ["squared-distance", "gaussian", "hybrid"])
def test_clicks_are_truncated_by_default(encoding):
    whole = drawn(((30.0, 20.0),), click_encoding=encoding)
    assert np.array_equal(drawn(((30.9, 20.9),), click_encoding=encoding), whole)
    kept = drawn(((30.9, 20.9),), click_encoding=encoding, truncate_clicks=False)[0]
    assert np.unravel_index(kept.argmax(), HW) == (21, 31)


def test_hybrid_moves_less_than_an_impulse_under_a_click_a_few_pixels_off():
    def change(**options) -> float:
        a, b = drawn(((30.0, 20.0), (32.0, 20.0)), click_encoding="hybrid", **options)
        return float(np.abs(a - b).sum() / (a.sum() + b.sum()))

    assert change(hybrid_hardness=1.0) == 1.0  # nothing in common
    assert change(hybrid_sigma=0.05) < 0.5


@pytest.mark.parametrize("encoding", ["gaussian", "laplacian", "hybrid"])
def test_learnt_sigma_has_a_gradient_and_begins_where_it_is_told(encoding):
    options = {"sigma": 0.1, "hybrid_sigma": 0.1, "learnable_sigma": True}
    module = ClickMap(ClickMapOptions(click_encoding=encoding, **options))
    assert float(module.sigma.detach()) == pytest.approx(0.1)
    fixed = drawn(click_encoding=encoding, sigma=0.1, hybrid_sigma=0.1)
    learnt = module(torch.tensor([[30.0, 20.0]]), HW)
    assert np.allclose(learnt[0].detach().numpy(), fixed, atol=1e-6)
    learnt.sum().backward()
    assert torch.isfinite(module.log_sigma.grad)
    assert module.log_sigma.grad != 0
    assert not ClickMap(ClickMapOptions(click_encoding=encoding)).state_dict()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"click_encoding": "gausian"}, "nearest: 'gaussian'"),
        ({"sigma": 0.0}, "sigma is a positive fraction of the diagonal"),
        ({"ring_weights": (1.0,)}, "match ring_weights in number"),
        ({"ring_half_sides_px": (9.0, 5.0, 10.0, 20.0)}, "ring_half_sides_px grow"),
        ({"click_encoding": "rings", "learnable_sigma": True}, "rings has no sigma to learn"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        ClickMap(ClickMapOptions(**options))
