"""Whole models on a GPU in float16: one frame against a cached window, and both branches.

Weights are random: they do not matter for the time. Frame, clicks and window are on the GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.acceptance_record import Requirement, Skip
from benchmarks.gpu.clock import in_graph, median_us

Kernels = Any  # export.plugin.launcher.KernelLibrary; imported on call, as torch is
CrossKernels = Any  # export.plugin.cross_attention_launcher.CrossAttentionLibrary
Tensor = Any  # torch.Tensor
Dtype = Any  # torch.dtype
CLICKS = 8
LIMIT_MS = {"lite": 0.6, "ocgnet": 1.2}  # cached path on an H200-class GPU
JOINT = ("attengeo", "trogeo")  # no head for TileAttention: plain torch past the backbones
MODELS = ("lite", "detgeo", "ocgnet", "mogeo", *JOINT)
ATTENDING = ("ocgnet", *JOINT)


def time_model(
    name: str, library: Kernels, cross_library: CrossKernels
) -> tuple[dict[str, Any], list[Requirement]]:
    """Median times of one model's cached path and of both its branches, called and in a graph.

    Models with an attention are timed with torch's, and once more with CrossAttention in its place.
    """
    import torch

    try:
        halves = halves_of(name, library, "cuda", torch.float16)
    except ModuleNotFoundError as error:
        raise Skip(f"{name} cannot be built here: {error}") from error
    values = times_ms(halves)
    if name in ATTENDING:
        from export.plugin.attention_swap import swap_attention
        from export.plugin.cross_attention_cuda import register_cuda

        register_cuda(cross_library)
        swap_attention(halves.model)
        swapped = times_ms(halves)
        values |= {f"CrossAttention, {path}": ms for path, ms in swapped.items()}
    if name not in LIMIT_MS:
        return values, []
    took = values["cached, graph, ms"]
    return values, [Requirement(f"{name}: cached path, ms", took, LIMIT_MS[name], True)]


def times_ms(halves: Halves) -> dict[str, float]:
    """Median times by path."""
    import torch

    values: dict[str, float] = {}
    with torch.inference_mode():
        features = halves.encode()

        def cached() -> object:
            return halves.localize(features)

        def both() -> object:
            return halves.localize(halves.encode())

        for path, call in (("cached", cached), ("both branches", both)):
            values[f"{path}, called, ms"] = median_us(call) / 1e3
            values[f"{path}, graph, ms"] = median_us(in_graph(call)) / 1e3
    return values


Features = dict[str, Any]  # name -> tensor


@dataclass(frozen=True, slots=True)
class Halves:
    """A model around the kernel, with one frame, its clicks and one window."""

    model: Any
    frame: Tensor  # [3, h, w]
    clicks: Tensor  # [N, 2]
    encode: Callable[[], Features]  # what is cached of the window
    localize: Callable[[Features], tuple[Tensor, ...]]  # the kernel's outputs


def halves_of(name: str, library: Kernels, device: str, dtype: Dtype, **options: Any) -> Halves:
    """Build a model with random weights.

    Args:
        name: of the model.
        library: with the kernel; the host's imitation goes with device "cpu".
        device: of everything.
        dtype: of the model.
        options: of the model.
    """
    import torch

    from export.plugin.cuda_op import run_kernel
    from export.plugin.heads import lite_head, mogeo_head, published_head
    from training.models import build

    torch.manual_seed(0)
    model = build(name, **options).to(device, dtype).eval()
    o = model.options
    if name in ("detgeo", "ocgnet", *JOINT):  # their click map squares distances, beyond float16
        model.click_map.register_forward_hook(lambda module, given, drawn: drawn.to(dtype))
    frame_hw = (o.frame_px, o.frame_px) if name == "lite" else o.frame_hw_px
    frame = 255 * torch.rand(3, *frame_hw, device=device, dtype=dtype)
    window = 255 * torch.rand(1, 3, o.window_px, o.window_px, device=device, dtype=dtype)
    scale = torch.tensor([frame_hw[1], frame_hw[0]], device=device)
    clicks = torch.rand(CLICKS, 2, device=device) * scale

    def encode() -> Features:
        return {k: t[0].contiguous() for k, t in model.encode_reference(window).items()}

    if name in JOINT:
        return Halves(model, frame, clicks, encode, partial(joint_answers, model, frame, clicks))
    head, settings = {"lite": lite_head, "mogeo": mogeo_head}.get(name, published_head)(model)
    weights = tuple(torch.from_numpy(x).to(device) for x in head.arrays())
    first = torch.zeros(CLICKS, dtype=torch.long, device=device)
    xy_px, inv_var = torch.zeros(CLICKS, 2, device=device), torch.zeros(CLICKS, device=device)

    def query_of(features: Features) -> torch.Tensor:
        if name == "lite":
            return model.gather(model.encode_query(frame.unsqueeze(0)), clicks, first)
        if name == "mogeo":
            return model.query_vectors(frame.unsqueeze(0), clicks.to(dtype), first)
        extra = {
            k: t.unsqueeze(0).expand(CLICKS, *t.shape)
            for k, t in features.items()
            if k not in ("v", "u")
        }
        return model.query_vectors(frame.expand(CLICKS, *frame.shape), clicks, extra)

    def localize(features: Features) -> tuple[Tensor, ...]:
        query = query_of(features).to(dtype)
        inputs = (query, features["v"], features["u"], *weights, xy_px, inv_var)
        return run_kernel(library, inputs, settings)

    return Halves(model, frame, clicks, encode, localize)


def joint_answers(
    model: Any, frame: Tensor, clicks: Tensor, features: Features
) -> tuple[Tensor, ...]:
    """`JointAttentionModel.localize` in the model's own type; boxes and peaks in float32."""
    from training.models.anchor_head import decode_maps
    from training.models.peaks import peaks

    n = len(clicks)
    own = {k: t.expand(n, *t.shape) for k, t in features.items()}
    maps = model.fuse(model.encode_query(frame.expand(n, *frame.shape), clicks), own)
    stride_px = model.options.stride_px
    box, logit = decode_maps(maps.boxes.float(), model.anchors_wh_px.float(), stride_px)
    return (box, logit, *peaks(maps.similarity.float(), model.lowest_similarity))
