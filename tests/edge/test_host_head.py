"""The head on the CPU against its meaning in float64, and its shortcuts against doing without."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from edge import host_head
from edge.decoding import DECODED, Head, decode
from edge.host_head import HostHead
from training.models import gated_head

STRIDE_PX = 8.0
NEVER_PX = 1e30  # of a prior that says nothing


def made_head(seed: int, anchors: int = 3, channels: int = 16, click_var: float = 0.02) -> Head:
    """Weights of the size that training leaves, with both slopes of the leaky ReLU in use."""
    rng = np.random.default_rng(seed)
    return Head(
        alpha=0.5,
        beta=2.0,
        w_a=rng.normal(0, 0.3, channels),
        b=rng.normal(0, 0.3, channels),
        w_conf=rng.normal(0, 0.4, (anchors, channels)),
        c_conf=rng.normal(-8, 1, anchors),
        tau=rng.uniform(6, 12, anchors),
        w_box=rng.normal(0, 0.2, (anchors, 4, channels)),
        b_box=rng.normal(0, 0.5, (anchors, 4)),
        anchors_wh_px=rng.uniform(15, 200, (anchors, 2)),
        stride_px=STRIDE_PX,
        click_var=click_var,
        centre_var=0.03,
        floor_var_px2=4.0,
    )


def made_window(seed: int, rows: int, columns: int, depth: int = 32, channels: int = 16):
    """Unit vectors with a slow trend, so that neighbours are alike, and u; both in float16."""
    rng = np.random.default_rng(seed)
    v = rng.normal(size=(depth, rows, columns)) + 2 * rng.normal(size=(depth, 1, 1))
    v /= np.linalg.norm(v, axis=0)
    return v.astype(np.float16), rng.normal(size=(channels, rows, columns)).astype(np.float16)


def made_queries(seed: int, count: int, v: np.ndarray) -> np.ndarray:
    """Unit vectors near to some of the window's own."""
    rng = np.random.default_rng(seed)
    cells = v.reshape(len(v), -1).astype(np.float64)
    q = cells[:, rng.integers(0, cells.shape[1], count)].T
    q = q + rng.normal(0, 0.3 / np.sqrt(len(v)), q.shape)
    return (q / np.linalg.norm(q, axis=1, keepdims=True)).astype(np.float32)


def check(head: Head, v, u, q, prior_xy_px, prior_inv_var) -> None:
    """Everything that the head answers, against `decode`."""
    host = HostHead(head)
    priors = np.float32(prior_xy_px), np.float32(prior_inv_var)
    found = host.answers(q, host.of_window(v, u), *priors)
    wide = [np.float64(x) for x in (q, v, u, *priors)]
    wanted = decode(head, *wide)
    assert tuple(found) == DECODED
    for name in DECODED:
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], wanted[name], rtol=2e-4, atol=2e-3, err_msg=name)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("rows", "columns"), [(24, 40), (5, 5), (3, 9), (2, 2), (1, 1), (64, 64)])
def test_it_answers_as_its_meaning_does(rows, columns, seed):
    rng = np.random.default_rng(100 + seed)
    v, u = made_window(seed, rows, columns)
    count = int(rng.integers(1, 9))
    beyond = 1.3 * np.array([columns, rows]) * STRIDE_PX  # some lie outside the window
    xy_px = rng.uniform(-0.3, 1.0, (count, 2)) * beyond
    inv_var = rng.choice([0.0, 1e-6, 1e-3, 0.03, 1.0, 1e4], count)
    check(made_head(seed), v, u, made_queries(seed, count, v), xy_px, inv_var)


@pytest.mark.parametrize("inv_var", [0.003, 0.1, 1e6])
def test_priors_on_edges_corners_and_between_cells(inv_var):
    rows, columns = 20, 30
    v, u = made_window(1, rows, columns)
    x, y = np.meshgrid([0, 0.5, 4, 8, 120, 240], [0, 4, 8, 80.5, 160])
    xy_px = np.stack([x.ravel(), y.ravel()], 1)
    q = made_queries(2, len(xy_px), v)
    check(made_head(3), v, u, q, xy_px, np.full(len(xy_px), inv_var))


def test_without_a_prior_it_does_not_matter_where_it_lies():
    v, u = made_window(4, 12, 12)
    host, q = HostHead(made_head(4)), made_queries(4, 2, v)
    window, none = host.of_window(v, u), np.zeros(2, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a square that no float32 holds
        far = host.answers(q, window, np.full((2, 2), NEVER_PX, np.float32), none)
    near = host.answers(q, window, np.zeros((2, 2), np.float32), none)
    assert np.isfinite(far["confidence_logit"]).all()
    np.testing.assert_array_equal(far["confidence_logit"], near["confidence_logit"])


def shortlists(monkeypatch, host: HostHead, *asked) -> list[np.ndarray]:
    """What is evaluated exactly of each click."""
    found = []
    inner = host_head._shortlist
    with monkeypatch.context() as patch:
        patch.setattr(host_head, "_shortlist", lambda *x: found.append(inner(*x)) or found[-1])
        host.answers(*asked)
    return [np.sort(each) for each in found]


@pytest.mark.parametrize("length", [1.0, 3.0])
def test_the_square_around_a_prior_holds_all_that_the_whole_grid_would_give(length, monkeypatch):
    """Also for vectors that are longer than they should be."""
    rng = np.random.default_rng(7)
    narrow, total = 0, 0
    for seed in range(8):
        v, u = made_window(seed, 48, 48)
        host = HostHead(made_head(seed))
        window = host.of_window((length * v).astype(np.float16), u)
        q = made_queries(seed, 40, v)
        xy_px = rng.uniform(0, 48 * STRIDE_PX, (40, 2)).astype(np.float32)
        inv_var = (10 ** rng.uniform(-4, 0, 40)).astype(np.float32)
        clicks = [(*xy.tolist(), float(i)) for xy, i in zip(xy_px, inv_var, strict=True)]
        inside = [host._square(window, *click) for click in clicks]
        narrow += sum(r.stop - r.start < 48 and c.stop - c.start < 48 for r, c in inside)
        total += len(inside)
        some = shortlists(monkeypatch, host, q, window, xy_px, inv_var)
        with monkeypatch.context() as patch:
            patch.setattr(HostHead, "_square", lambda *_: (slice(0, 48), slice(0, 48)))
            every = shortlists(monkeypatch, host, q, window, xy_px, inv_var)
        for one, other in zip(some, every, strict=True):
            np.testing.assert_array_equal(one, other)
    assert 0.2 * total < narrow < total, "neither always nor never"


def test_a_tight_prior_leaves_little_of_the_grid():
    v, u = made_window(1, 64, 64)
    host = HostHead(made_head(1))
    window = host.of_window(v, u)
    rows, columns = host._square(window, 256.0, 256.0, 0.05)  # a sigma of 4.5 px
    assert (rows.stop - rows.start) * (columns.stop - columns.start) < 0.1 * 64 * 64
    assert host._square(window, 256.0, 256.0, 0.0) == (slice(0, 64), slice(0, 64))
    assert host._square(window, -1.0, 256.0, 0.05) == (slice(0, 64), slice(0, 64))


def test_the_shortlist_is_that_of_the_graph():
    assert host_head.SECANT == gated_head.SECANT
    assert host_head.SHORTLIST_CELLS == gated_head.SHORTLIST_CELLS


def test_sixteen_cells_are_as_near_as_it_says_from_anywhere():
    side = host_head.LEAST_SIDE_CELLS
    for rows, columns in ((side, side), (side, 9), (7, 7)):
        y, x = np.mgrid[0:rows, 0:columns] + 0.5
        points = np.random.default_rng(0).uniform(0, [rows, columns], (200, 2))
        for row, column in [*points, (0, 0), (rows, columns), (rows, 0)]:
            away = np.sort(np.hypot(y - row, x - column), axis=None)
            assert away[host_head.SHORTLIST_CELLS - 1] <= host_head.SHORTLIST_RADIUS_CELLS


@pytest.mark.parametrize("prior_px", [28, 100])  # near the cell that is no number, and far
@pytest.mark.parametrize("what", ["v", "u"])
def test_a_window_of_no_numbers_gives_none(what, prior_px):
    """The localizer refuses confidences that are not numbers; here nothing breaks off."""
    v, u = made_window(5, 16, 16)
    q = made_queries(5, 2, v)
    if what == "v":
        v[:, 3, 3] = np.nan
    else:
        u[0] = np.inf
    host = HostHead(made_head(5))
    priors = np.full((2, 2), prior_px, np.float32), np.full(2, 0.1, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        window = host.of_window(v, u)
        found = host.answers(q, window, *priors)
    assert not np.isfinite(window.spread), "nothing is known of what lies beyond a square"
    assert not np.isfinite(found["confidence_logit"]).any()


def test_the_map_of_similarity_is_left_as_it_was():
    """The second peak is looked for with the first one's neighbourhood covered for a moment."""
    v, u = made_window(6, 16, 16)
    host, q = HostHead(made_head(6)), made_queries(6, 3, v)
    priors = np.zeros((3, 2), np.float32), np.zeros(3, np.float32)
    found = host.answers(q, host.of_window(v, u), *priors)["attention"]
    wanted = np.einsum("nd,dij->nij", q.astype(np.float64), v.astype(np.float64))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (20, 31), (64, 64)])
@pytest.mark.parametrize(("px", "inv_var"), [(0.0, 0.0), (16.0, 0.01), (8.0, 1.0)])
def test_the_winner_of_equal_logits_is_the_first_as_in_the_meaning(rows, columns, px, inv_var):
    """Every cell alike: the first anchor, and the first of the cells that are nearest."""
    head = made_head(8)
    alike = replace(
        head,
        w_conf=np.repeat(head.w_conf[:1], 3, 0),
        c_conf=np.repeat(head.c_conf[:1], 3),
        tau=np.repeat(head.tau[:1], 3),
    )
    v = np.zeros((32, rows, columns), np.float16)
    v[0] = 1
    u = np.zeros((16, rows, columns), np.float16)
    q = np.eye(1, 32, dtype=np.float32)
    check(alike, v, u, q, np.array([[px, px]]), np.array([inv_var]))
