"""The CUDA source of CrossAttention, compiled for the host, against the numpy reference.

As with TileAttention: the algorithm, its indexing and its waits, and nothing of a GPU's timing.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.errors import ExecutorError
from export.plugin.cross_attention_cases import CrossCase, CrossSize, random_cross_case
from export.plugin.cross_attention_cuda import run_kernel
from export.plugin.cross_attention_launcher import POINTERS, SIZES, CrossAttentionLibrary

NAN = float("nan")
HALF, SINGLE = torch.float16, torch.float32
TYPES = pytest.mark.parametrize("dtype", [SINGLE, HALF], ids=["float32", "float16"])
SHAPES = {
    "one token each": CrossSize(1, 1, 1, 1, 8),
    "one query": CrossSize(2, 1, 70, 2, 32),
    "one key": CrossSize(2, 20, 1, 3, 16),
    "odd": CrossSize(3, 7, 11, 3, 24),
    "no multiple of 8": CrossSize(2, 5, 67, 2, 13),
    "two warps": CrossSize(1, 17, 65, 2, 64),
    "two blocks of queries": CrossSize(1, 70, 40, 2, 32),
    "the widest head": CrossSize(1, 18, 130, 1, 128),
    "padded channels": CrossSize(1, 9, 150, 2, 72),
    "split by itself": CrossSize(1, 10, 600, 2, 40),
}
CASES = [(shape, p) for shape in SHAPES for p in ("none", "both")]
CASES += [("odd", p) for p in ("query", "key", "one row")]


def between_nans(array: np.ndarray, dtype: torch.dtype, offset: int = 0) -> torch.Tensor:
    """A copy whose neighbours in memory are NaN; at offset 0 it is aligned for fast copies."""
    place = torch.full((array.size + 128 + offset,), NAN, dtype=dtype)
    start = 64 + offset
    view = place[start : start + array.size].view(array.shape)
    view.copy_(torch.from_numpy(array))
    return view


def run(
    library: CrossAttentionLibrary,
    case: CrossCase,
    dtype: torch.dtype,
    splits: int = 0,
    offset: int = 0,
    through_plugin: bool = False,
) -> np.ndarray:
    given = [None if x is None else between_nans(x, dtype, offset) for x in case.tensors()]
    frame = torch.full((case.query.size + 16,), NAN, dtype=dtype)
    attended = frame[8:-8].view(case.query.shape)
    batch, queries, width = case.query.shape
    size = library.workspace_bytes(batch, queries, case.key.shape[1], case.heads, width, splits)
    scratch = torch.full((size // 4 + 16,), NAN, dtype=torch.float32)
    where = {"splits": splits, "through_plugin": through_plugin}
    library(*given, case.heads, case.scale, attended, scratch.view(dtype), **where)
    assert frame[:8].isnan().all() and frame[-8:].isnan().all(), "it wrote beside its output"
    assert scratch[-16:].isnan().all(), "it wrote behind the workspace"
    return attended.double().numpy()


def assert_close(found: np.ndarray, case: CrossCase, dtype: torch.dtype) -> None:
    """float16 rounds q + Pq, k + Pk, the weights and the answer."""
    expected = case.expected()
    error = np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-30)
    assert error < (1e-3 if dtype == HALF else 2e-6), error
    np.testing.assert_allclose(found, expected, atol=1e-2 if dtype == HALF else 1e-4)


@TYPES
@pytest.mark.parametrize(("shape", "positions"), CASES)
def test_kernel_equals_the_reference(host_cross, shape, positions, dtype):
    case = random_cross_case(0, SHAPES[shape], positions)
    assert_close(run(host_cross, case, dtype), case, dtype)


@TYPES
@pytest.mark.parametrize("positions", ["none", "both"])
def test_any_number_of_splits(host_cross, dtype, positions):
    """5 tiles of keys: in 1 to 5 parts; more are as 5."""
    case = random_cross_case(1, CrossSize(2, 6, 290, 2, 16), positions)
    answers = [run(host_cross, case, dtype, splits) for splits in range(1, 8)]
    for found in answers:
        assert_close(found, case, dtype)
    assert (answers[4] == answers[5]).all() and (answers[4] == answers[6]).all()
    assert (answers[0] != answers[1]).any(), "splitting changed no rounding: was it split?"


@TYPES
@pytest.mark.parametrize("splits", [1, 3])
def test_large_logits_do_not_overflow(host_cross, dtype, splits):
    """Logits of some 10^4 choose one key; in float16 the products are far beyond its end."""
    case = random_cross_case(2, CrossSize(1, 20, 200, 2, 64), "none", sharpness=1e4)
    found = run(host_cross, case, dtype, splits)
    assert np.isfinite(found).all()
    assert np.linalg.norm(found - case.expected()) < 1e-2 * np.linalg.norm(case.expected())


@TYPES
@pytest.mark.parametrize("splits", [1, 4])
def test_equal_keys_give_the_mean_of_the_values(host_cross, dtype, splits):
    case = random_cross_case(3, CrossSize(1, 5, 256, 2, 32), "none")
    case.key[:] = case.key[:, :1]
    case.value[:] = np.round(case.value * 8) / 8  # exact sums
    mean = case.value.astype(float).mean(1, keepdims=True)
    found = run(host_cross, case, dtype, splits)
    np.testing.assert_allclose(found, np.broadcast_to(mean, found.shape), atol=1e-3)
    assert (found == found[:, :1]).all()


@TYPES
def test_a_late_maximum_forgets_what_came_before(host_cross, dtype):
    """The last key outweighs all others by far; and the first one does, the other way round."""
    case = random_cross_case(4, CrossSize(1, 3, 200, 1, 32), "none")
    case.query[:] = 1.0
    for place in (199, 0):
        case.key[:] = 0.0
        case.key[:, place] = 8.0  # a logit of 8 * 32 / sqrt(32)
        found = run(host_cross, case, dtype)
        wanted = np.broadcast_to(case.value[:, place : place + 1], found.shape)
        np.testing.assert_allclose(found, wanted, atol=2e-3)


@pytest.mark.parametrize("positions", ["none", "both"])
def test_addresses_that_are_not_aligned(host_cross, positions):
    case = random_cross_case(5, CrossSize(2, 5, 70, 2, 16), positions)
    assert_close(run(host_cross, case, HALF, offset=1), case, HALF)


@TYPES
@pytest.mark.parametrize("splits", [1, 3])
def test_equal_calls_give_equal_bits(host_cross, dtype, splits):
    case = random_cross_case(6, CrossSize(2, 21, 200, 2, 32), "both")
    first, second = (run(host_cross, case, dtype, splits) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@TYPES
def test_a_batch_equals_its_members(host_cross, dtype):
    case = random_cross_case(7, CrossSize(3, 9, 80, 2, 24), "both")
    together = run(host_cross, case, dtype)
    for i in range(3):
        stored = (x[i : i + 1] for x in (case.query, case.key, case.value))
        positions = case.query_position, case.key_position
        alone = CrossCase(*stored, *positions, case.heads, case.scale)
        np.testing.assert_array_equal(run(host_cross, alone, dtype)[0], together[i])


def test_splits_follow_from_the_sizes(host_cross):
    """Few queries and many keys are split, into parts of two tiles of 64 at least."""
    assert host_cross.splits(1, 64, 1024, 8) == 8
    assert host_cross.splits(8, 64, 1024, 8) == 2
    assert host_cross.splits(64, 64, 1024, 8) == 1
    assert host_cross.splits(1, 1024, 1024, 12) == 1
    assert host_cross.splits(1, 64, 64, 8) == host_cross.splits(1, 1, 192, 1) == 1
    assert host_cross.splits(1, 1, 193, 1) == 2


def test_the_workspace_of_a_profile_serves_all_below_it(host_cross):
    """More clicks may need less: they are not split. So a profile asks for the most of all."""
    most = (16, 130, 2048, 4, 128)
    enough = host_cross.workspace_bytes(*most)
    needs = {}
    for batch in range(1, 17):
        for queries in (1, 63, 64, 65, 130):
            for keys in (1, 64, 300, 2048):
                splits = host_cross.splits(batch, queries, keys, 4)
                sizes = (batch, queries, keys, 4, 128)
                needs[sizes] = host_cross.workspace_bytes(*sizes, splits) * (splits > 1)
    assert max(needs.values()) <= enough
    assert needs[most] < max(needs.values()), "then this test shows nothing"
    assert host_cross.workspace_bytes(64, 1024, 64, 8, 256) == 0


def values_of(change: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    somewhere = torch.zeros(64).data_ptr()
    sizes = dict.fromkeys(SIZES, 1) | {"splits": 0, "half": 0}
    pointers = dict.fromkeys(POINTERS, somewhere)
    for name, value in change.items():
        (sizes if name in sizes else pointers)[name] = value
    return pointers, sizes


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"batch": 0}, "-1: a size out of range"),
        ({"batch": 65536}, "-1: a size out of range"),
        ({"width": 129}, "-1: a size out of range"),
        ({"heads": 2}, "-1: a size out of range"),
        ({"splits": -1}, "-1: a size out of range"),
        ({"key_position_rows": 2}, "-1: a size out of range"),
        ({"value": 0}, "-2: a null pointer"),
        ({"keys": 65, "splits": 2, "workspace": 0}, "-2: a null pointer"),
    ],
)
def test_refusals(host_cross, change, found):
    with pytest.raises(ExecutorError) as error:
        host_cross.launch(*values_of(change), 1.0)
    assert error.value.what == "a cross attention was refused by the kernel"
    assert found in error.value.found


@TYPES
@pytest.mark.parametrize("positions", ["none", "both", "one row"])
def test_the_plugins_own_interface(host_cross_plugin, positions, dtype):
    """Create, clone, serialise, deserialise, shapes, enqueue: without TensorRT, on the host."""
    for size in (CrossSize(2, 9, 20, 3, 16), CrossSize(1, 6, 300, 2, 32)):
        case = random_cross_case(8, size, positions)
        assert_close(run(host_cross_plugin, case, dtype, through_plugin=True), case, dtype)


def test_the_plugin_names_what_it_refuses(host_cross_plugin):
    pointers, sizes = values_of({"width": 130, "query_position": 0, "key_position": 0})
    with pytest.raises(ExecutorError) as error:
        host_cross_plugin.launch(pointers, sizes, 1.0, through_plugin=True)
    assert error.value.what == "a cross attention was refused by the plugin, at configurePlugin"
    assert "130 channels are not 1 heads of at most 128" in error.value.found


def test_a_library_without_the_plugin_says_so(host_cross):
    case = random_cross_case(9, CrossSize(1, 1, 1, 1, 8))
    with pytest.raises(ExecutorError, match="has no TensorRT plugin in it"):
        run(host_cross, case, SINGLE, through_plugin=True)


def test_strides_and_mixed_types_are_refused(host_cross):
    q, k = torch.zeros(2, 4, 8), torch.zeros(2, 8, 5).transpose(1, 2)
    empty = torch.empty(0)
    with pytest.raises(ExecutorError, match="cannot read"):
        host_cross(q, k, k, None, None, 1, 1.0, q.clone(), empty)
    k = torch.zeros(2, 5, 8, dtype=HALF)
    with pytest.raises(ExecutorError, match="of one type"):
        host_cross(q, k, k, None, None, 1, 1.0, q.clone(), empty)


def test_the_operators_call_takes_views(host_cross):
    """`run_kernel` makes tensors contiguous and of the query's type."""
    case = random_cross_case(10, CrossSize(2, 5, 7, 2, 8), "both")
    q, k, v, at_q, at_k = (torch.from_numpy(x) for x in case.tensors())
    views = (q, k.transpose(1, 2).contiguous().transpose(1, 2), v.double(), at_q.half(), at_k)
    found = run_kernel(host_cross, *views, case.heads, case.scale)
    assert_close(found.double().numpy(), case, SINGLE)


def test_a_library_that_is_none_is_refused(tmp_path):
    with pytest.raises(ExecutorError) as error:
        CrossAttentionLibrary(tmp_path / "none.so")
    assert error.value.do == "build it here: tilefix plugin build --out DIR"
