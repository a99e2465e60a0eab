"""CrossAttention's kernel on a GPU: right, deterministic, capturable, and how fast beside what."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.acceptance_record import Requirement
from benchmarks.gpu.clock import graph_us, in_graph, median_us

Kernels = Any  # export.plugin.cross_attention_launcher.CrossAttentionLibrary; imported on call
Case = Any  # export.plugin.cross_attention_cases.CrossCase
Size = Any  # export.plugin.cross_attention_cases.CrossSize
Tensor = Any  # torch.Tensor
Dtype = Any  # torch.dtype
CACHE_BYTES = 200e6  # rotate among inputs of more bytes than any L2 cache has
# batch, queries, keys, heads, channels of a head; the last two go by float32 arithmetic
SMALL = (
    (1, 1, 1, 1, 8),
    (2, 5, 70, 3, 32),
    (3, 33, 130, 2, 64),
    (1, 70, 300, 2, 40),
    (2, 17, 260, 1, 128),
    (2, 9, 67, 2, 13),
    (1, 1, 1000, 1, 4),
)
# every kernel once, alone and in parts that are merged: each width of tensor cores, and float32
FEWEST = ((1, 33, 130, 2, 32), (1, 5, 130, 1, 64), (1, 17, 130, 1, 128), (1, 9, 130, 2, 13))
SPLITS = (1, 2, 4, 8, 16)
POSITIONED = "attengeo"  # the model whose attentions have positions
ERROR_LIMITS = {"float16": 2e-3, "float32": 1e-5}  # of |found - expected| / |expected|
SHARP = 1e4  # a spread of logits that no sum of exponentials survives, and float32 has 1e-3 of
SHARP_LIMIT = 1e-2


def tensors(case: Case, dtype: Dtype, device: str = "cuda") -> list[Tensor]:
    """The operator's five tensors on a device; None for positions that there are not."""
    import torch

    given = case.tensors()
    return [None if x is None else torch.from_numpy(x).to(device, dtype) for x in given]


def check(
    library: Kernels,
    seeds: int,
    through_plugin: bool = False,
    sizes: str = "all",
    device: str = "cuda",
) -> tuple[dict[str, Any], list[Requirement]]:
    """Against float64 over sizes, types, positions, sharp and flat logits, splits and seeds.

    Args:
        library: with the kernel.
        seeds: of the models' sizes; the small sizes take one.
        through_plugin: by the plugin's own interface, which chooses the splits itself.
        sizes: "all", "small", or "fewest", which is quick under a sanitizer.
        device: "cpu" goes with the host's imitation of the kernel.
    """
    import torch

    from export.plugin.cross_attention_cases import MODEL_SIZES, CrossSize, random_cross_case
    from export.plugin.cross_attention_cuda import run_kernel
    from export.plugin.cross_attention_op import evaluate

    fewest = sizes == "fewest"
    small = [CrossSize(*size) for size in (FEWEST if fewest else SMALL)]
    kinds = ("none", "both") if fewest else ("none", "both", "one row")
    plan = [(size, p, 1.0, 0) for size in small for p in kinds]
    plan += [] if fewest else [(size, "none", SHARP, 0) for size in small]
    if sizes == "all":
        plan += [
            (size, "both" if seed % 2 else "none", 1.0, seed)
            for size in MODEL_SIZES.values()
            for seed in range(seeds)
        ]
    limits = ERROR_LIMITS | {f"{name}, large logits": SHARP_LIMIT for name in ERROR_LIMITS}
    worst = dict.fromkeys(limits, 0.0)
    calls = 0
    for size, positions, sharpness, seed in plan:
        case = random_cross_case(seed, size, positions, sharpness)
        for name in ERROR_LIMITS:
            inputs = tensors(case, getattr(torch, name), device)
            wide = evaluate(*inputs, case.heads, case.scale, dtype=torch.float64)
            for splits in (0,) if through_plugin else (0, 3) if fewest else (0, 1, 3):
                call = partial(run_kernel, library, *inputs, case.heads, case.scale)
                one, other = (call(splits, through_plugin) for _ in range(2))
                if not torch.equal(one, other):
                    raise RuntimeError(f"two equal calls differ: {size} {name} {splits} splits")
                error = float((one.double() - wide).norm() / wide.norm())
                kind = f"{name}, large logits" if sharpness == SHARP else name
                worst[kind] = max(worst[kind], error if error == error else float("inf"))
                calls += 1
    return {"calls": calls}, [
        Requirement(f"{kind}: relative error", worst[kind], limit, True)
        for kind, limit in limits.items()
    ]


def check_graph(library: Kernels) -> tuple[dict[str, Any], list[Requirement]]:
    """A captured graph answers as a call does, also after its inputs have changed."""
    import torch

    from export.plugin.cross_attention_cases import MODEL_SIZES, random_cross_case
    from export.plugin.cross_attention_cuda import run_kernel

    for name in ("ocgnet", "attengeo, query side"):  # in one part, and in several
        first, second = (random_cross_case(s, MODEL_SIZES[name]) for s in range(2))
        inputs = tensors(first, torch.float16)
        call = partial(run_kernel, library, *inputs, first.heads, first.scale)
        kept: list[Tensor] = []
        replay = in_graph(lambda c=call, k=kept: k.append(c()))
        for to, value in zip(inputs, tensors(second, torch.float16), strict=True):
            to.copy_(value)
        replay()
        if not torch.equal(kept[-1], call()):
            raise RuntimeError(f"a replayed graph answers otherwise than a call: {name}")
    return {}, []


def time_kernel(library: Kernels, copy_gb_per_s: float) -> tuple[dict[str, Any], list[Requirement]]:
    """Times at the models' sizes beside torch's SDPA and the compulsory bytes.

    Cold is out of memory: calls in turn on more inputs than the cache holds. Warm is on one input,
    as in a model, where the layer before has just written it.
    """
    from export.plugin.cross_attention_cases import MODEL_SIZES
    from export.plugin.cross_attention_cuda import run_kernel

    table: list[dict[str, Any]] = []
    by_splits: dict[str, dict[str, float]] = {}
    for name, size in MODEL_SIZES.items():
        inputs, settings = inputs_of(name, size)
        sets = int(CACHE_BYTES / size.float16_bytes) + 1
        copies = [[None if t is None else t.clone() for t in inputs] for _ in range(sets)]
        kernel = partial(run_kernel, library)
        row: dict[str, Any] = {
            "size": name,
            "splits": library.splits(size.batch, size.queries, size.keys, size.heads),
        }
        for rival, function in (("kernel", kernel), ("sdpa", by_sdpa)):
            cold = graph_us([partial(function, *given, *settings) for given in copies])
            row[f"{rival}_cold_us"] = cold
            row[f"{rival}_warm_us"] = graph_us([partial(function, *inputs, *settings)] * 20)
        gb_per_s = size.float16_bytes / (1e3 * row["kernel_cold_us"])
        table.append(row | {"gb_per_s": gb_per_s, "of_copy": gb_per_s / copy_gb_per_s})
        if row["splits"] > 1:
            by_splits[name] = {
                str(n): graph_us([partial(kernel, *inputs, *settings, n)] * 20) for n in SPLITS
            }
    values = {"copy_gb_per_s": copy_gb_per_s, "table": table, "warm_us_by_splits": by_splits}
    return values, []


def time_rivals(library: Kernels) -> tuple[dict[str, Any], list[Requirement]]:
    """Plain torch, and torch.compile of it and of SDPA, at each model's size; warm."""
    import torch

    from export.plugin.cross_attention_cases import MODEL_SIZES
    from export.plugin.cross_attention_cuda import run_kernel
    from export.plugin.cross_attention_op import evaluate

    values: dict[str, dict[str, Any]] = {}
    for name in ("ocgnet", "attengeo, query side", "trogeo"):
        inputs, settings = inputs_of(name, MODEL_SIZES[name])
        plain = partial(evaluate, dtype=torch.float16)
        rivals: dict[str, Callable[..., Tensor]] = {
            "kernel": partial(run_kernel, library),
            "plain": plain,
            "sdpa": by_sdpa,
            "plain, compiled": torch.compile(plain, dynamic=False),
            "sdpa, compiled": torch.compile(by_sdpa, dynamic=False),
        }
        times = {}
        for rival, function in rivals.items():
            call = partial(function, *inputs, *settings)
            try:
                times[f"{rival}, called, us"] = median_us(call)
                times[f"{rival}, graph, us"] = graph_us([call] * 20)
            except Exception as error:  # torch.compile wants a C compiler and Python's headers
                if not rival.endswith("compiled"):
                    raise
                values["not compiled"] = {rival: f"{type(error).__name__}: {error}"[:500]}
        values[name] = times
    return values, []


def inputs_of(name: str, size: Size) -> tuple[list[Tensor], tuple[int, float]]:
    """Tensors of a model's size in float16, with positions where it has them; heads and scale."""
    import torch

    from export.plugin.cross_attention_cases import random_cross_case

    positions = "both" if name.startswith(POSITIONED) else "none"
    case = random_cross_case(0, size, positions)
    return tensors(case, torch.float16), (case.heads, case.scale)


def by_sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_position: Tensor | None,
    key_position: Tensor | None,
    heads: int,
    scale: float,
) -> Tensor:
    """The same by torch's scaled_dot_product_attention."""
    from torch.nn import functional

    q = query if query_position is None else query + query_position
    k = key if key_position is None else key + key_position
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, value))
    mixed = functional.scaled_dot_product_attention(q, k, v, scale=scale)
    return mixed.transpose(1, 2).flatten(2)
