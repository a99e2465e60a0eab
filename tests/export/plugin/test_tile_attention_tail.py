"""No map makes a block of TileAttention slow: evaluations in float32 are bounded and shared."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
import torch

from export.plugin.cuda_op import run_kernel
from export.plugin.launcher import KernelLibrary
from export.plugin.random_cases import VARIANTS, TileCase, random_case
from export.plugin.tile_attention import OUTPUTS

FULL, LITE = (512, 256, (64, 64)), (128, 64, (128, 128))
TILE = 64  # cells of a block
SIZES = {"detgeo": FULL, "mogeo": FULL, "lite": LITE}


def run(
    library: KernelLibrary, case: TileCase, dtype: torch.dtype = torch.float16
) -> dict[str, np.ndarray]:
    arrays = map(torch.from_numpy, (case.query, case.v, case.u))
    rest = (*case.head.arrays(), case.prior_xy_px, case.prior_inv_var)
    inputs = (*(x.to(dtype) for x in arrays), *map(torch.from_numpy, rest))
    answers = run_kernel(library, inputs, case.settings)
    return {name: t.numpy() for name, t in zip(OUTPUTS, answers, strict=True)}


@pytest.fixture
def evaluations(host_library) -> Callable[[], tuple[int, int]]:
    """Cells evaluated since the last call: of the busiest block, and of all."""
    library = ctypes.CDLL(str(host_library))

    def ask() -> tuple[int, int]:
        counts = (ctypes.c_uint * 2)()
        library.tilefix_host_work(counts)
        return counts[0], counts[1]

    ask()
    return ask


def winners_column(case: TileCase) -> tuple[int, int]:
    """Row and column of the first click's winner."""
    box = case.expected()["box_xyxy_px"][0]
    x, y = (box[:2] + box[2:]) / 2 // case.settings.stride_px
    return int(y), int(x)


def flatten(case: TileCase, share: float, noise: float = 0.0) -> None:
    """Make a share of the cells equal to the first click's winner, or to float16's accuracy."""
    rng = np.random.default_rng(1)
    chosen = rng.random(case.v.shape[1:]) < share
    row, column = winners_column(case)
    for array, spread in ((case.v, 0.0), (case.u, noise)):  # a min-max gate would stretch v's
        values = np.repeat(array[:, row, column, None], chosen.sum(), 1)
        values *= 1 + spread * rng.standard_normal(values.shape)
        array[:, chosen] = values.astype(np.float16)


@pytest.mark.parametrize(
    ("share", "noise"), [(1, 0), (1, 1e-3), (0.5, 0)], ids=["flat", "nearly flat", "half of it"]
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_flat_maps(host_kernels, compare, evaluations, variant, share, noise):
    clicks = 2
    case = random_case(10, clicks, *SIZES[variant], settings=VARIANTS[variant])
    flatten(case, share, noise)
    found = run(host_kernels, case)
    busiest, everything = evaluations()
    compare(found, case)
    assert busiest <= TILE * clicks
    cells = case.v[0].size
    if share == 1:  # all blocks have their part of the work
        assert busiest == TILE * clicks and everything == cells * clicks
    else:
        assert everything >= 0.9 * share * cells


@pytest.mark.parametrize("variant", VARIANTS)
def test_few_cells_are_evaluated_where_logits_spread(host_kernels, evaluations, variant):
    case = random_case(11, 2, *LITE, settings=VARIANTS[variant])
    run(host_kernels, case)
    assert evaluations()[1] < 0.01 * 2 * case.v[0].size


@pytest.mark.parametrize("clicks", [5, 18, 64])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_gpu_with_idle_multiprocessors_gets_fewer_clicks_a_block(
    host_kernels, compare, evaluations, monkeypatch, variant, clicks
):
    case = random_case(12, clicks, 32, 48, (12, 16), settings=VARIANTS[variant], priors=True)
    flatten(case, 1)
    case.prior_inv_var[:] = 0
    answers, busiest = [], []
    for count in ("1", "132"):
        monkeypatch.setenv("TILEFIX_HOST_MULTIPROCESSORS", count)
        answers.append(run(host_kernels, case))
        busiest.append(evaluations()[0])
        compare(answers[-1], case)
    assert busiest == [TILE * clicks, TILE * {5: 4, 18: 16, 64: 16}[clicks]]
    for name, values in answers[0].items():
        np.testing.assert_array_equal(values, answers[1][name])


@pytest.mark.parametrize("variant", VARIANTS)
def test_cells_beyond_float16_are_evaluated(host_kernels, compare, variant):
    """Where float16 has no rank for a cell, late ones too, others are ranked as ever."""
    case = random_case(13, 3, 32, 48, (12, 16), settings=VARIANTS[variant])
    case.head.channels[:, 0] *= 4
    for row, column in ((5, 3), (11, 15)):
        case.u[:, row, column] *= 30_000 / np.abs(case.u[:, row, column]).max()
    case.u[:] = case.u.astype(np.float16)
    compare(run(host_kernels, case), case)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_answer_does_not_depend_on_whose_ranks_come_first(
    host_kernels, evaluations, monkeypatch, variant, flat
):
    """In the host's order a block knows of those before it; on a GPU it may know of none."""
    case = random_case(14, 9, 32, 48, (24, 32), settings=VARIANTS[variant], priors=True)
    if flat:
        flatten(case, 0.5, 1e-3)
    in_turn = run(host_kernels, case)
    _, knowing = evaluations()
    monkeypatch.setenv("TILEFIX_HOST_ALL_FIRST", "1")
    all_first = run(host_kernels, case)
    _, knowing_nothing = evaluations()
    assert knowing_nothing > knowing, "more is evaluated"
    for name, values in in_turn.items():
        np.testing.assert_array_equal(values, all_first[name])


@pytest.mark.parametrize("far", [1e20, np.inf, np.nan])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_no_prior_has_no_place(host_kernels, dtype, far):
    case = random_case(15, 3, 32, 48, (12, 16), settings=VARIANTS["lite"])
    near = run(host_kernels, case, dtype)
    case.prior_xy_px[1] = far
    answers = run(host_kernels, case, dtype)
    for name, values in near.items():
        if name == "box_xyxy_px" and not np.isfinite(far):
            continue  # the blend multiplies it by 0
        np.testing.assert_array_equal(values, answers[name])


@pytest.mark.parametrize(("xy_px", "inv_var"), [(1e25, 0.1), (np.nan, 0.1), (50.0, np.inf)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_prior_that_leaves_no_number_breaks_its_own_click_alone(
    host_kernels, variant, xy_px, inv_var
):
    """No rank is a number then: some cell of the map answers, and nothing beyond is read."""
    case = random_case(16, 3, 32, 48, (12, 16), settings=VARIANTS[variant], priors=True)
    whole = run(host_kernels, case)
    case.prior_xy_px[1], case.prior_inv_var[1] = xy_px, inv_var
    found = run(host_kernels, case)
    assert not np.isfinite(found["confidence_logit"][1])
    assert abs(found["cell_similarity"][1]) <= 1.001, "of a cell of the map"
    for name, values in whole.items():
        np.testing.assert_array_equal(values[[0, 2]], found[name][[0, 2]])
