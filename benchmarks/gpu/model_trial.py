"""Whole models on a GPU in float16: one frame against a cached window, and both branches.

Weights are random: they do not matter for the time. Frame, clicks and window are on the GPU.

A `lite` runs in several forms, of which each has its own rows and the quickest counts: as built;
"folded", its norms absorbed and its memory channels last; "folded and compiled", that by
torch.compile; "arranged", in fewer kernels (`export.arranged_lite`). All but the first let cuDNN
try its algorithms before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
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
AS_BUILT, FOLDED, ARRANGED = "as built", "folded", "arranged"
COMPILED = "folded and compiled"
PATHS = ("cached", "both branches")
ERROR_LIMIT = 1e-2  # of a form's query vectors against float64, in float16


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
    requirements: list[Requirement] = []
    if name == "lite":
        others, requirements = time_forms(library)
        values |= others | fastest(values | others)
    if name not in LIMIT_MS:
        return values, requirements
    took = values.get("cached, fastest form, ms", values["cached, graph, ms"])
    asked = Requirement(f"{name}: cached path, ms", took, LIMIT_MS[name], True)
    return values, [asked, *requirements]


def time_forms(library: Kernels) -> tuple[dict[str, Any], list[Requirement]]:
    """Times of a `lite` in its other forms, and how near what they compute is to float64."""
    import torch

    with torch.inference_mode():
        wanted = computed(halves_of("lite", library, "cuda", torch.float64))
    values: dict[str, Any] = {}
    requirements = []
    for form in (FOLDED, ARRANGED, COMPILED):
        with trying_algorithms():
            try:
                halves = halves_of("lite", library, "cuda", torch.float16, form)
                paths = PATHS[:1] if form == COMPILED else PATHS
                values |= {f"{form}, {path}": ms for path, ms in times_ms(halves, paths).items()}
            except Exception as error:
                if form != COMPILED:  # which wants a C compiler and Python's headers
                    raise
                values["not compiled"] = f"{type(error).__name__}: {error}"[:500]
                continue
            with torch.inference_mode():
                found = computed(halves)
            for name, tensor in wanted.items():
                error = float((found[name].double() - tensor).norm() / tensor.norm())
                title = f"{form}: relative error of {name}"
                requirements.append(Requirement(title, error, ERROR_LIMIT, True))
    return values, requirements


def computed(halves: Halves) -> Features:
    """Query vectors and the window's features."""
    return {"query": halves.ask({}), **halves.encode()}


@contextlib.contextmanager
def trying_algorithms() -> Iterator[None]:
    """Let cuDNN time its algorithms at the first call of each convolution, and keep the best."""
    import torch

    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def row_of(form: str, path: str) -> str:
    """Name of the value that has a form's time of a path in a graph."""
    return f"{'' if form == AS_BUILT else form + ', '}{path}, graph, ms"


def fastest(values: dict[str, Any]) -> dict[str, Any]:
    """The quickest form of each path in a graph, and its time."""
    found: dict[str, Any] = {}
    for path in PATHS:
        times = {
            form: values[key]
            for form in (AS_BUILT, FOLDED, ARRANGED, COMPILED)
            if (key := row_of(form, path)) in values
        }
        form = min(times, key=lambda form: times[form])
        found |= {f"{path}, fastest form": form, f"{path}, fastest form, ms": times[form]}
    return found


def times_ms(halves: Halves, paths: tuple[str, ...] = PATHS) -> dict[str, float]:
    """Median times by path."""
    import torch

    values: dict[str, float] = {}
    with torch.inference_mode():
        features = halves.encode()
        calls = {
            "cached": lambda: halves.localize(features),
            "both branches": lambda: halves.localize(halves.encode()),
        }
        for path in paths:
            values[f"{path}, called, ms"] = median_us(calls[path]) / 1e3
            values[f"{path}, graph, ms"] = median_us(in_graph(calls[path])) / 1e3
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
    ask: Callable[[Features], Tensor] | None = None  # its query vectors, where it has any


def halves_of(
    name: str,
    library: Kernels,
    device: str,
    dtype: Dtype,
    form: str = AS_BUILT,
    **options: Any,
) -> Halves:
    """Build a model with random weights.

    Args:
        name: of the model.
        library: with the kernel; the host's imitation goes with device "cpu".
        device: of everything.
        dtype: of the model.
        form: of a `lite`, see the module; all others are as built.
        options: of the model.
    """
    import torch

    from export.plugin.cuda_op import run_kernel
    from export.plugin.heads import lite_head, mogeo_head, published_head
    from training.models import build

    torch.manual_seed(0)
    model = build(name, **options).eval()
    shown = reformed(model, form).to(device, dtype)
    model = model.to(device, dtype)
    o = model.options
    if name in ("detgeo", "ocgnet", *JOINT):  # their click map squares distances, beyond float16
        model.click_map.register_forward_hook(lambda module, given, drawn: drawn.to(dtype))
    frame_hw = o.frame_hw_px
    shapes = (3, *frame_hw), (1, 3, o.window_px, o.window_px)
    # whole numbers, as a camera's: the same in every type
    frame, window = ((255 * torch.rand(s, device=device)).round().to(dtype) for s in shapes)
    if form in (FOLDED, COMPILED):
        window = window.contiguous(memory_format=torch.channels_last)
    scale = torch.tensor([frame_hw[1], frame_hw[0]], device=device)
    clicks = torch.rand(CLICKS, 2, device=device) * scale

    def encode() -> Features:
        return {k: t[0].contiguous() for k, t in shown.encode_reference(window).items()}

    if name in JOINT:
        return Halves(model, frame, clicks, encode, partial(joint_answers, model, frame, clicks))
    head, settings = {"lite": lite_head, "mogeo": mogeo_head}.get(name, published_head)(model)
    weights = tuple(torch.from_numpy(x).to(device) for x in head.arrays())
    first = torch.zeros(CLICKS, dtype=torch.long, device=device)
    xy_px, inv_var = torch.zeros(CLICKS, 2, device=device), torch.zeros(CLICKS, device=device)

    def ask_lite(images: Tensor, clicks: Tensor, first: Tensor) -> Tensor:
        read: Tensor = shown.gather(shown.encode_query(images), clicks, first)
        return read

    images = frame.unsqueeze(0)
    if form in (FOLDED, COMPILED):
        images = images.contiguous(memory_format=torch.channels_last)
    if form == COMPILED:
        ask_lite = torch.compile(ask_lite, dynamic=False)

    def query_of(features: Features) -> torch.Tensor:
        if name == "lite":
            return ask_lite(images, clicks, first)
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

    return Halves(model, frame, clicks, encode, localize, query_of)


def reformed(model: Any, form: str) -> Any:
    """What answers in a model's place; in the folded forms the model itself is changed."""
    if form == AS_BUILT:
        return model
    if form == ARRANGED:
        from export.arranged_lite import ArrangedLite

        return ArrangedLite(model)
    import torch

    from training.models.folded_norms import absorb_batch_norms

    absorb_batch_norms(model)
    return model.to(memory_format=torch.channels_last)


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
