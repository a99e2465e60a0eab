"""The CUDA source of TileAttention, compiled for the host, against the numpy reference.

The host runs one thread block at a time, threads as fibers (`csrc/host_block.h`): this tests the
algorithm, its indexing and its waits, and nothing of a GPU's timing.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.errors import ExecutorError
from export.plugin.launcher import SIZES, KernelLibrary
from export.plugin.random_cases import VARIANTS, TileCase, random_case
from export.plugin.tile_attention import OUTPUTS
from export.plugin.tile_attention_op import new_answers

NAN = float("nan")


def between_nans(array: np.ndarray, dtype: torch.dtype, offset: int = 0) -> torch.Tensor:
    """A copy whose neighbours in memory are NaN; at offset 0 it is aligned for fast copies."""
    place = torch.full((array.size + 128 + offset,), NAN, dtype=dtype)
    start = 64 + offset
    view = place[start : start + array.size].view(array.shape)
    view.copy_(torch.from_numpy(array))
    return view


def run(
    library: KernelLibrary,
    case: TileCase,
    dtype: torch.dtype = torch.float32,
    offset: int = 0,
    attention: bool = True,
    through_plugin: bool = False,
    answer_offset: int = 0,
) -> dict[str, np.ndarray]:
    query, v, u = (between_nans(x, dtype, offset) for x in (case.query, case.v, case.u))
    head = tuple(between_nans(x, torch.float32) for x in case.head.arrays())
    priors = (between_nans(x, torch.float32) for x in (case.prior_xy_px, case.prior_inv_var))
    outputs: list[torch.Tensor | None] = []
    frames = []
    for answer in new_answers(query, v):
        frames.append(torch.full((answer.numel() + 16 + answer_offset,), NAN))
        start = 8 + answer_offset
        outputs.append(frames[-1][start : start + answer.numel()].view(answer.shape))
    if not attention:
        outputs[-1] = None
    clicks, cells = len(query), v[0].numel()
    size = library.workspace_bytes(1, clicks, cells)
    scratch = torch.full((size // 4 + 16,), NAN)
    library(
        query,
        v,
        u,
        head,
        *priors,
        case.settings,
        tuple(outputs),
        scratch,
        through_plugin=through_plugin,
    )
    assert all(frame[:8].isnan().all() and frame[-8:].isnan().all() for frame in frames)
    assert scratch[-16:].isnan().all(), "it wrote behind the workspace"
    return {k: t.numpy() for k, t in zip(OUTPUTS, outputs, strict=True) if t is not None}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["float32", "float16"])
def test_kernel_equals_the_reference(host_kernels, case, compare, dtype):
    compare(run(host_kernels, case, dtype), case)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["float32", "float16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_more_channels_than_shared_memory_holds(host_kernels, compare, variant, dtype):
    case = random_case(1, 9, 1032, 520, (3, 8), settings=VARIANTS[variant], priors=True)
    compare(run(host_kernels, case, dtype), case)


@pytest.mark.parametrize("variant", VARIANTS)
def test_addresses_that_are_not_aligned(host_kernels, compare, variant):
    case = random_case(2, 2, 16, 24, (5, 8), settings=VARIANTS[variant])
    compare(run(host_kernels, case, torch.float16, offset=1), case)


def test_a_map_whose_address_is_not_aligned(host_kernels, compare):
    """Where no cosine is scaled the map is written by the first blocks, four cells at a time."""
    case = random_case(8, 3, 32, 16, (6, 16), settings=VARIANTS["lite"])
    compare(run(host_kernels, case, torch.float16, answer_offset=1), case)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_map_is_only_written_on_request(host_kernels, compare, variant):
    case = random_case(3, 2, 16, 8, (5, 8), settings=VARIANTS[variant])
    found = run(host_kernels, case, attention=False)
    assert list(found) == list(OUTPUTS[:-1])
    compare(found, case)


@pytest.mark.parametrize(
    "hidden", [8, 16, 80], ids=["float32 arithmetic", "tensor cores", "a warp shares a cell"]
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_constant_maps_and_ties_take_the_first_cell(host_kernels, compare, variant, hidden):
    case = random_case(4, 2, 16, hidden, (12, 7), settings=VARIANTS[variant])
    case.v[:], case.u[:] = case.v[:, :1, :1], case.u[:, :1, :1]
    found = run(host_kernels, case, torch.float16)
    compare(found, case)
    centre = (found["box_xyxy_px"][:, :2] + found["box_xyxy_px"][:, 2:]) / 2
    assert (centre < case.settings.stride_px).all()


@pytest.mark.parametrize("hidden", [8, 16], ids=["float32 arithmetic", "tensor cores"])
def test_large_values_and_a_zero_query(host_kernels, compare, hidden):
    case = random_case(5, 3, 16, hidden, (5, 5), settings=VARIANTS["detgeo"])
    case.query[0], case.query[1] = case.query[0] * 1024, 0
    case.u[:] *= 8192
    compare(run(host_kernels, case, torch.float16), case)


@pytest.mark.parametrize("variant", VARIANTS)
def test_beyond_float16_tensor_cores_give_way(host_kernels, compare, variant):
    """A hidden layer that overflows float16 ranks nothing: every cell is evaluated exactly."""
    case = random_case(11, 3, 16, 16, (5, 7), settings=VARIANTS[variant])
    case.u[:] *= 8192
    case.head.channels[:] *= 8
    compare(run(host_kernels, case, torch.float16), case)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("variant", VARIANTS)
def test_near_ties_are_decided_in_float32(host_kernels, compare, variant, seed):
    """Logits that differ by less than float16 can tell: the right cell wins none the less."""
    case = random_case(seed, 4, 16, 32, (8, 8), settings=VARIANTS[variant])
    case.u[:] *= 2.0**-9
    compare(run(host_kernels, case, torch.float16), case)


def test_equal_calls_give_equal_bits(host_kernels):
    case = random_case(6, 5, 40, 48, (9, 9))
    first, second = (run(host_kernels, case, torch.float16) for _ in range(2))
    assert all(first[name].tobytes() == second[name].tobytes() for name in OUTPUTS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["float32", "float16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_of_windows_equals_its_windows(host_kernels, variant, dtype):
    cases = [random_case(s, 3, 32, 16, (6, 16), settings=VARIANTS[variant]) for s in range(3)]
    case = cases[0]

    def stack(name: str) -> torch.Tensor:
        return torch.stack([torch.from_numpy(getattr(c, name)) for c in cases])

    query, v, u = (stack(name).to(dtype) for name in ("query", "v", "u"))
    xy_px, inv_var = map(stack, ("prior_xy_px", "prior_inv_var"))
    outputs = tuple(torch.stack([t] * 3) for t in new_answers(query[0], v[0]))
    size = host_kernels.workspace_bytes(3, 3, 96)
    scratch = torch.empty(size, dtype=torch.uint8)
    head = tuple(map(torch.from_numpy, case.head.arrays()))
    host_kernels(query, v, u, head, xy_px, inv_var, case.settings, outputs, scratch)
    for index, one in enumerate(cases):
        alone = run(host_kernels, TileCase(**{**fields(one), "head": case.head}), dtype)
        for name, together in zip(OUTPUTS, outputs, strict=True):
            np.testing.assert_array_equal(together[index].numpy(), alone[name])


def fields(case: TileCase) -> dict[str, object]:
    return {name: getattr(case, name) for name in TileCase.__dataclass_fields__}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"clicks": 65}, "-1: a size out of range (1 to 64 clicks, 1 to 9 anchors)"),
        ({"clicks": 0}, "-1: a size out of range"),
        ({"anchor_count": 10}, "-1: a size out of range"),
        ({"v": 0}, "-2: a null pointer"),
    ],
)
def test_refusals(host_kernels, change, found):
    case = random_case(7, 1, 8, 8, (2, 2))
    sizes = dict(zip(SIZES, (1, 1, 8, 8, 2, 2, 9), strict=True))
    somewhere = torch.zeros(64).data_ptr()
    pointers = dict.fromkeys(
        ("query", "v", "u", "channels", "confidence", "boxes", "anchors", "prior_xy_px"), somewhere
    )
    pointers |= dict.fromkeys(("prior_inv_var", "workspace", *OUTPUTS), somewhere)
    for name, value in change.items():
        (sizes if name in sizes else pointers)[name] = value
    with pytest.raises(ExecutorError) as error:
        host_kernels.launch(pointers, sizes, case.settings, half=False)
    assert found in error.value.found


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["float32", "float16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_plugins_own_interface(host_plugin, compare, variant, dtype, attention):
    """Create, clone, serialise, deserialise, shapes, enqueue: without TensorRT, on the host."""
    case = random_case(9, 5, 24, 16, (7, 6), 9, VARIANTS[variant], priors=True)
    compare(run(host_plugin, case, dtype, attention=attention, through_plugin=True), case)


def test_the_plugin_names_what_it_refuses(host_plugin):
    case = random_case(9, 65, 8, 8, (2, 2))
    with pytest.raises(ExecutorError) as error:
        run(host_plugin, case, through_plugin=True)
    assert error.value.what == "a tile attention was refused by the plugin, at configurePlugin"
    assert "a profile may have at most 64 clicks" in error.value.found


def test_a_library_without_the_plugin_says_so(host_kernels):
    with pytest.raises(ExecutorError, match="has no TensorRT plugin in it"):
        run(host_kernels, random_case(9, 1, 8, 8, (2, 2)), through_plugin=True)


def test_strides_are_refused(host_kernels):
    case = random_case(8, 2, 8, 8, (4, 4))
    tensors = [torch.from_numpy(x) for x in (case.query, case.v, case.u)]
    head = tuple(map(torch.from_numpy, case.head.arrays()))
    priors = torch.from_numpy(case.prior_xy_px), torch.from_numpy(case.prior_inv_var)
    tensors[1] = tensors[1].transpose(1, 2)
    outputs = new_answers(*tensors[:2])
    with pytest.raises(ExecutorError, match="not contiguous"):
        host_kernels(*tensors, head, *priors, case.settings, outputs, torch.zeros(1))


def test_a_library_that_is_none_is_refused(tmp_path):
    with pytest.raises(ExecutorError) as error:
        KernelLibrary(tmp_path / "none.so")
    assert error.value.do == "build it here: tilefix plugin build --out DIR"
