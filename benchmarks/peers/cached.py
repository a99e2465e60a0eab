"""A published model as tilefix runs it: window cached, head folded, all clicks in one batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.scene import PeerQuery
from benchmarks.peers.way import PeerRequest, Way
from edge.letterbox import apply_affine, letterbox
from edge.types import Array, Uint8

NOTE = "window encoded beforehand, head folded, all clicks of a frame at once"


def cached_model(name: str) -> Any:
    """A model as tilefix exports it: no dead layers, head folded."""
    import torch

    from training.models import build

    torch.manual_seed(0)
    return build(name).eval()


def eager(request: PeerRequest, name: str) -> Way:
    """`localize` of the torch model on the encoded window."""
    import torch

    torch.set_num_threads(request.threads)
    model = cached_model(name)
    high, wide = model.options.frame_hw_px
    encoded: dict[str, dict[str, Any]] = {}

    @torch.inference_mode()
    def locate(query: PeerQuery) -> object:
        window = query.window.window
        if window.window_id not in encoded:
            encoded[window.window_id] = encoded_window(model, window.image)
        box = letterbox(query.frame.image, wide, high)
        clicks = apply_affine(box.affine, query.click_xy_px).astype(np.float32)
        frame = _planes(box.image)[0]
        return model.localize(frame, torch.from_numpy(clicks), encoded[window.window_id])

    return Way(locate, NOTE)


def encoded_window(model: Any, image: Uint8) -> dict[str, Any]:
    """What `encode_reference` gives of one window, [H, W, 3]."""
    features = model.encode_reference(_planes(np.ascontiguousarray(image)))
    return {name: tensor[0] for name, tensor in features.items()}


def onnx(request: PeerRequest, name: str) -> Way:
    """The two graphs of `export` in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request.threads
    encoder, localizer = (
        onnxruntime.InferenceSession(
            str(request.folder / f"{kind}.onnx"), options, ["CPUExecutionProvider"]
        )
        for kind in ("reference_encoder", "localizer")
    )
    names = [output.name for output in encoder.get_outputs()]
    shapes = {each.name: each.shape for each in localizer.get_inputs()}
    high, wide = shapes["frame"][:2]
    encoded: dict[str, dict[str, Array]] = {}

    def locate(query: PeerQuery) -> object:
        window = query.window.window
        if window.window_id not in encoded:
            found = encoder.run(names, {"image": np.ascontiguousarray(window.image)})
            encoded[window.window_id] = dict(zip(names, found, strict=True))
        box = letterbox(query.frame.image, wide, high)
        count = len(query.click_xy_px)
        inputs = {
            "frame": box.image,
            "frame_affine": box.affine,
            "click_xy_px": query.click_xy_px.astype(np.float32),
            "prior_xy_px": np.zeros((count, 2), np.float32),
            "prior_inv_var": np.zeros(count, np.float32),
            **encoded[window.window_id],
        }
        return localizer.run(["box_xyxy_px", "confidence_logit"], inputs)

    return Way(locate, NOTE)


def export(folder: Path, name: str) -> None:
    """Write both graphs in float32."""
    from export.graphs import export_graphs

    export_graphs(cached_model(name), folder)


def _planes(image: Any) -> Any:
    import torch

    from export.graph_signature import planes

    return planes(torch.from_numpy(image))
