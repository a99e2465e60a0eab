"""TileAttention's kernel on a GPU: right, deterministic, capturable, and how fast beside what."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.acceptance_record import Requirement
from benchmarks.gpu.clock import graph_us, in_graph, median_us

Kernels = Any  # export.plugin.launcher.KernelLibrary; imported on call, as torch is
Case = Any  # export.plugin.random_cases.TileCase
Tensor = Any  # torch.Tensor
Dtype = Any  # torch.dtype
CACHE_BYTES = 200e6  # rotate among inputs of more bytes than any L2 cache has
FULL = (512, 256, (64, 64))  # D, C, grid of DetGeo, OCGNet and MOGeo
LITE = (128, 64, (128, 128))
Size = tuple[int, int, tuple[int, int]]
# 64 shares of a window: ranks come five windows after its cosines, answers eight after those
BATCH: Size = (64, 32, (64, 64))
BATCH_WINDOWS, BATCH_CLICKS = 16, 3
SMALL = ((8, 8, (1, 1)), (24, 40, (7, 11)), (1032, 520, (3, 8)), (64, 32, (33, 20)))
# Every kernel once, with clicks: tensor cores on aligned and other grids of several tiles, float32
# arithmetic for each group of clicks, and on more channels than are kept.
FEWEST = (
    ((32, 32, (9, 16)), 9),
    ((32, 32, (7, 11)), 3),
    ((24, 40, (7, 11)), 1),
    ((24, 40, (7, 11)), 3),
    ((1032, 520, (3, 8)), 9),
)
ERROR_LIMIT = 2e-3
SAME_CELL_LIMIT = 0.999
SAME_BOX_PX = 2.0  # boxes of one cell differ by less: float32 rounding of a few hundred pixels
REPLAYS = 50  # of a captured graph, with two kinds of inputs by turns
MANY_WINDOWS = 128  # fill a GPU: what a call begins and ends with is a few per cent of it
TIE = 1e-5  # logits nearer than this are one


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far answers are from the reference, over the clicks with its winning cell."""

    clicks: int
    same_cell: int  # ties count as the same
    worst_error: float  # of |found - expected| / |expected| over outputs


def compare(found: dict[str, Any], expected: dict[str, Any]) -> Agreement:
    """Compare numpy arrays by output name; expected is float64.

    The kernel does not name its cell. A box of another cell has its centre elsewhere, however large
    it is, or its sides; so the cell is the same where both agree.
    """
    import numpy as np

    boxes = (values["box_xyxy_px"] for values in (found, expected))
    (centre, side), (true_centre, true_side) = (
        ((box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]) for box in boxes
    )
    same = (np.abs(centre - true_centre) <= SAME_BOX_PX).all(1)
    same &= (np.abs(side - true_side) <= np.maximum(SAME_BOX_PX, 1e-2 * true_side)).all(1)
    gap = np.abs(found["confidence_logit"] - expected["confidence_logit"])
    tied = ~same & (gap <= TIE * np.maximum(1, np.abs(expected["confidence_logit"])))
    errors = []
    rows = slice(None) if same.all() else same  # the usual case copies no map of 64 clicks
    for name, values in expected.items():
        if name not in found or not same.any():
            continue
        difference = np.linalg.norm(found[name][rows] - values[rows])
        errors.append(difference / max(np.linalg.norm(values[rows]), 1e-30))
    broken = not all(np.isfinite(values).all() for values in found.values())
    worst = float("inf") if broken else max(errors, default=0.0)
    return Agreement(len(same), int((same | tied).sum()), float(worst))


def tensors(case: Case, dtype: Dtype, device: str = "cuda") -> tuple[Tensor, ...]:
    """The operator's nine inputs on a device; query, v and u in `dtype`."""
    import torch

    stored = (torch.from_numpy(x).to(device, dtype) for x in (case.query, case.v, case.u))
    rest = (*case.head.arrays(), case.prior_xy_px, case.prior_inv_var)
    return (*stored, *(torch.from_numpy(x).to(device) for x in rest))


def check(
    library: Kernels,
    seeds: int,
    through_plugin: bool = False,
    sizes: str = "all",
    device: str = "cuda",
) -> tuple[dict[str, Any], list[Requirement]]:
    """Against float64 over variants, sizes, types, click counts and seeds.

    Args:
        library: with the kernel.
        seeds: of the full size; the small sizes take one.
        through_plugin: by the plugin's own interface.
        sizes: "all", "small", or "fewest", which is quick under a sanitizer.
        device: "cpu" goes with the host's imitation of the kernel.
    """
    import torch

    from export.plugin.cuda_op import run_kernel
    from export.plugin.random_cases import VARIANTS, random_case
    from export.plugin.tile_attention import OUTPUTS
    from export.plugin.tile_attention_op import evaluate

    few = FEWEST if sizes == "fewest" else [(size, n) for size in SMALL for n in (1, 5, 64)]
    plan = [(size, n, 0) for size, n in few]
    if sizes == "all":
        plan += [(size, n, s) for size in (FULL, LITE) for n in (1, 8, 64) for s in range(seeds)]
    results: dict[str, Agreement] = {}
    for (embedding, hidden, grid_hw), n, seed in plan:
        drawn: dict[float, Case] = {}  # by cells' size: all else of a variant changes no number
        for variant, settings in VARIANTS.items():
            if settings.stride_px not in drawn:
                drawn[settings.stride_px] = random_case(
                    seed, n, embedding, hidden, grid_hw, 9, settings, seed % 2 == 1
                )
            for dtype in (torch.float16, torch.float32):
                inputs = tensors(drawn[settings.stride_px], dtype, device)
                answers = run_kernel(library, inputs, settings, through_plugin)
                again = run_kernel(library, inputs, settings, through_plugin)
                if not all(torch.equal(a, b) for a, b in zip(answers, again, strict=True)):
                    raise RuntimeError(f"two equal calls differ: {variant} {dtype} {grid_hw} {n}")
                wide = evaluate(*inputs, settings, dtype=torch.float64)
                found, expected = (
                    {k: t.double().cpu().numpy() for k, t in zip(OUTPUTS, ts, strict=True)}
                    for ts in (answers, wide)
                )
                name = f"{variant} {str(dtype).removeprefix('torch.')}"
                one, before = compare(found, expected), results.get(name, Agreement(0, 0, 0.0))
                results[name] = Agreement(
                    before.clicks + one.clicks,
                    before.same_cell + one.same_cell,
                    max(before.worst_error, one.worst_error),
                )
    requirements = []
    for name, r in results.items():
        share = r.same_cell / r.clicks
        requirements += [
            Requirement(f"{name}: relative error", r.worst_error, ERROR_LIMIT, True),
            Requirement(f"{name}: winning cell equal", share, SAME_CELL_LIMIT, False),
        ]
    return {name: {"clicks": r.clicks} for name, r in results.items()}, requirements


def check_batch(
    library: Kernels,
    size: Size = BATCH,
    windows: int = BATCH_WINDOWS,
    turns: int = 5,
    device: str = "cuda",
    variants: Sequence[str] = ("detgeo", "mogeo", "lite"),
) -> tuple[dict[str, Any], list[Requirement]]:
    """A batch of different windows answers as each of them alone, in float16.

    So many that blocks have cosines of one window and ranks of another.

    Raises:
        RuntimeError: it does not.
    """
    import torch

    from export.plugin.cuda_op import run_kernel
    from export.plugin.random_cases import VARIANTS, random_case

    for variant in variants:
        settings = VARIANTS[variant]
        cases = [random_case(s, BATCH_CLICKS, *size, 9, settings) for s in range(windows)]
        each = [tensors(case, torch.float16, device) for case in cases]
        head = each[0][3:7]  # one for the batch
        alone = [run_kernel(library, (*x[:3], *head, *x[7:]), settings) for x in each]
        batch = tuple(
            head[i - 3] if 3 <= i < 7 else torch.stack([x[i] for x in each]) for i in range(9)
        )
        for _ in range(turns):
            together = run_kernel(library, batch, settings)
            for window, answers in enumerate(alone):
                pairs = zip(together, answers, strict=True)
                if not all(torch.equal(both[window], one) for both, one in pairs):
                    raise RuntimeError(f"{variant}: window {window} answers otherwise in a batch")
    return {"windows": windows}, []


def check_graph(library: Kernels) -> tuple[dict[str, Any], list[Requirement]]:
    """A captured graph answers as a call does, whatever its memory holds of other inputs.

    A block that took what the replay before had left for what this one makes would give that
    replay's answers.
    """
    import torch

    from export.plugin.cuda_op import run_kernel
    from export.plugin.random_cases import VARIANTS, random_case

    for settings in VARIANTS.values():
        first, second = (random_case(s, 8, *FULL, 9, settings) for s in range(2))
        given = [tensors(case, torch.float16) for case in (first, second)]
        direct = [run_kernel(library, each, settings) for each in given]
        inputs = tuple(tensor.clone() for tensor in given[0])
        kept: list[tuple[Tensor, ...]] = []
        replay = in_graph(lambda i=inputs, s=settings, k=kept: k.append(run_kernel(library, i, s)))
        for turn in range(1, REPLAYS + 1):
            for to, value in zip(inputs, given[turn % 2], strict=True):
                to.copy_(value)
            replay()
            if not all(torch.equal(a, b) for a, b in zip(kept[-1], direct[turn % 2], strict=True)):
                raise RuntimeError("a replayed graph answers otherwise than a call")
    return {}, []


def time_kernel(library: Kernels, copy_gb_per_s: float) -> tuple[dict[str, Any], list[Requirement]]:
    """Times by click count, alone and in batches of windows, against compulsory bytes."""
    import torch

    from export.plugin.cuda_op import run_kernel
    from export.plugin.random_cases import VARIANTS, random_case

    table: list[dict[str, Any]] = []
    requirements = []
    for name, variant, size in (("full", "detgeo", FULL), ("lite", "lite", LITE)):
        settings = VARIANTS[variant]
        one_bytes = 2 * (size[0] + size[1]) * size[2][0] * size[2][1]
        sets = int(CACHE_BYTES / one_bytes) + 1
        for n in (1, 2, 4, 8, 16, 64):
            single = tensors(random_case(n, n, *size, 9, settings), torch.float16)
            for windows in (1, sets, MANY_WINDOWS):
                if windows == 1:
                    copies = [tuple(t.clone() for t in single) for _ in range(sets)]
                    calls = [partial(run_kernel, library, i, settings) for i in copies]
                    took_us = graph_us(calls)
                else:
                    batch = tuple(
                        t if 3 <= i < 7 else torch.stack([t] * windows)
                        for i, t in enumerate(single)
                    )
                    took_us = graph_us([partial(run_kernel, library, batch, settings)]) / windows
                gb_per_s = one_bytes / (1e3 * took_us)
                row = {"size": name, "clicks": n, "windows": windows, "us_per_window": took_us}
                table.append(row | {"gb_per_s": gb_per_s, "of_copy": gb_per_s / copy_gb_per_s})
                if name == "full" and windows == MANY_WINDOWS and n <= 16:
                    share = gb_per_s / copy_gb_per_s
                    requirements.append(
                        Requirement(f"{n} clicks: share of copy bandwidth", share, 0.7, False)
                    )
    return {"copy_gb_per_s": copy_gb_per_s, "table": table}, requirements


def time_rivals(library: Kernels) -> tuple[dict[str, Any], list[Requirement]]:
    """torch eager and torch.compile beside the kernel: full size, 8 clicks, float16 features."""
    import torch

    from export.plugin.cuda_op import run_kernel
    from export.plugin.random_cases import VARIANTS, random_case
    from export.plugin.tile_attention_op import evaluate

    settings = VARIANTS["detgeo"]
    inputs = tensors(random_case(0, 8, *FULL, 9, settings), torch.float16)
    times: dict[str, float] = {"kernel": median_us(lambda: run_kernel(library, inputs, settings))}
    times["kernel, graph"] = graph_us([lambda: run_kernel(library, inputs, settings)])
    for name, dtype in (("float32", torch.float32), ("float16", torch.float16)):
        times[f"eager, {name}"] = median_us(lambda d=dtype: evaluate(*inputs, settings, dtype=d))
    values: dict[str, Any] = {"us": times}
    best = float("nan")  # which meets no requirement
    try:
        times |= compiled_us(evaluate, inputs, settings)
        best = min(times[f"compiled, {name}, graph"] for name in ("float32", "float16"))
    except Exception as error:  # torch.compile wants a C compiler and Python's headers
        values["not compiled"] = f"{type(error).__name__}: {error}"[:500]
    eager = min(times[f"eager, {name}"] for name in ("float32", "float16"))
    spread = statistics.pstdev(
        [graph_us([lambda: run_kernel(library, inputs, settings)]) for _ in range(3)]
    )
    return values | {"spread_us": spread}, [
        Requirement("8 clicks: eager over kernel", eager / times["kernel"], 3.0, False),
        Requirement("8 clicks: compiled over kernel", best / times["kernel, graph"], 1.5, False),
    ]


def compiled_us(
    function: Callable[..., object], inputs: tuple[Tensor, ...], settings: Any
) -> dict[str, float]:
    """Times of torch.compile's twin of the equations, in either type, called and in a graph."""
    import torch

    compiled = torch.compile(function, dynamic=False)
    times: dict[str, float] = {}
    for name, dtype in (("float32", torch.float32), ("float16", torch.float16)):
        call = partial(compiled, *inputs, settings, dtype=dtype)
        times[f"compiled, {name}"] = median_us(call)
        times[f"compiled, {name}, graph"] = graph_us([call])
    return times
