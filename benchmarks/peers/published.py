"""DetGeo and OCGNet as published: both branches for every click, dead layers and all.

The models are ours, equal to the authors' layer by layer; weights do not matter for time, so they
are random. A frame of N clicks is N forwards: the click enters before the query's backbone, and the
authors' code runs one pair at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.scene import PeerQuery
from benchmarks.peers.way import PeerRequest, Way
from edge.letterbox import apply_affine, letterbox
from edge.types import Float32, Uint8

GRAPH = "whole.onnx"
WINDOW_PX = 1024


def published(name: str, window_px: int = WINDOW_PX) -> Any:
    """A model in its published form: every layer is run, nothing is folded."""
    import torch

    from training.models import build

    torch.manual_seed(0)
    return build(name, full_darknet=True, fold_head=False, window_px=window_px).eval()


def eager(request: PeerRequest, name: str) -> Way:
    """The training path of the model, with its decoding."""
    import torch

    torch.set_num_threads(request.threads)
    model = published(name)
    return Way(torch_locate(model, model), "", whole=True)


def compiled(request: PeerRequest, name: str) -> Way:
    """The same through torch.compile with its default backend; compiling is not timed."""
    import torch

    torch.set_num_threads(request.threads)
    model = published(name)
    locate = torch_locate(model, torch.compile(model))
    return Way(locate, "compiled before the first timed forward", whole=True)


def onnx(request: PeerRequest, name: str) -> Way:
    """The graph of `export` in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request.threads
    path = str(request.folder / GRAPH)
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape  # frame [h, w, 3]

    def locate(query: PeerQuery) -> object:
        frame, click = fitted(query, (size[1], size[0]))
        inputs = {"frame": frame, "window": query.window.window.image, "click_xy_px": click}
        return session.run(None, inputs)

    note = "exported whole as one graph; the exporter leaves out what feeds no output"
    return Way(locate, note, whole=True)


def export(folder: Path, name: str, window_px: int = WINDOW_PX) -> None:
    """Write the whole forward of one click as one ONNX graph."""
    import torch

    from export.graph_signature import OPSET
    from export.quiet_torch import quiet_torch

    model = published(name, window_px)
    side, (high, wide) = model.options.window_px, model.options.frame_hw_px
    example = (
        torch.zeros(high, wide, 3, dtype=torch.uint8),
        torch.zeros(side, side, 3, dtype=torch.uint8),
        torch.full((1, 2), 100.0),
    )
    with quiet_torch():
        torch.onnx.export(
            _whole_module(model).eval(),
            example,
            str(folder / GRAPH),
            dynamo=True,
            opset_version=OPSET,
            input_names=["frame", "window", "click_xy_px"],
            output_names=["box_xyxy_px", "confidence_logit"],
            optimize=True,
            verbose=False,
        )


def fitted(query: PeerQuery, size_wh_px: tuple[int, int]) -> tuple[Uint8, Float32]:
    """The frame in the model's size, and its first click in the pixels of that, [1, 2]."""
    box = letterbox(query.frame.image, *size_wh_px)
    return box.image, apply_affine(box.affine, query.click_xy_px[:1]).astype(np.float32)


def torch_locate(model: Any, forward: Callable[..., Any]) -> Callable[[PeerQuery], object]:
    """What runs one click of a query through `forward`, the model or what was compiled of it."""
    import torch

    from export.graph_signature import planes
    from training.models.anchor_head import decode_maps
    from training.models.contract import Clicks

    high, wide = model.options.frame_hw_px
    none = torch.zeros(1, dtype=torch.long)

    @torch.no_grad()
    def locate(query: PeerQuery) -> object:
        frame, click = fitted(query, (wide, high))
        window = np.ascontiguousarray(query.window.window.image)
        clicks = Clicks(torch.from_numpy(click), none, none)
        maps = forward(planes(torch.from_numpy(frame)), planes(torch.from_numpy(window)), clicks)
        return decode_maps(maps.boxes, model.anchors_wh_px, model.options.stride_px)

    return locate


def _whole_module(model: Any) -> Any:
    """frame, window uint8 [h, w, 3] and one click -> its box and confidence."""
    import torch
    from torch import Tensor

    from export.graph_signature import planes
    from training.models.anchor_head import decode_maps
    from training.models.contract import Clicks

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, frame: Tensor, window: Tensor, click: Tensor) -> tuple[Tensor, ...]:
            none = torch.zeros(1, dtype=torch.long)
            maps = self.model(planes(frame), planes(window), Clicks(click, none, none))
            box, logit = decode_maps(
                maps.boxes, self.model.anchors_wh_px, self.model.options.stride_px
            )
            return box, logit

    return Whole()
