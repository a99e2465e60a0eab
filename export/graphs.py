"""From a model to its two ONNX graphs, with pre- and post-processing inside.

The contract is in `edge.executors.base`: images enter as uint8 [H, W, 3] RGB, clicks as pixels of
the original frame with the affine of the letterbox, boxes leave as pixels of the window. The
number of clicks is dynamic; all else is fixed, so that a TensorRT profile has one free dimension.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training.models.lite import Lite

OPSET = 18
ENCODER_OUTPUTS = ("v", "u")
LOCALIZER_INPUTS = (
    "frame",
    "frame_affine",
    "click_xy_px",
    "v",
    "u",
    "prior_xy_px",
    "prior_inv_var",
)
LOCALIZER_OUTPUTS = (
    "box_xyxy_px",
    "confidence_logit",
    "peak_similarity",
    "second_peak_similarity",
    "cell_similarity",
    "attention",
    "query_vector",
)


def planes(image: Tensor) -> Tensor:
    """[H, W, 3] uint8 -> [1, 3, H, W] float32, 0..255."""
    return image.permute(2, 0, 1).unsqueeze(0).float()


class ReferenceEncoder(nn.Module):
    """image uint8 [H, W, 3] -> v float16 [D, H/16, W/16], u float16 [C, H/16, W/16]."""

    def __init__(self, model: Lite) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Encode one window; float16 is what is stored, so cached and fresh features are equal."""
        out = self.model.encode_reference(planes(image))
        return out["v"][0].half(), out["u"][0].half()


class Localizer(nn.Module):
    """The frame, its clicks and a window's tensors -> one box per click."""

    def __init__(self, model: Lite) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        frame: Tensor,
        frame_affine: Tensor,
        click_xy_px: Tensor,
        v: Tensor,
        u: Tensor,
        prior_xy_px: Tensor,
        prior_inv_var: Tensor,
    ) -> tuple[Tensor, ...]:
        """Shapes and units as in the module's text."""
        boxed = click_xy_px @ frame_affine[:, :2].t() + frame_affine[:, 2]
        query_map = self.model.encode_query(planes(frame))[0]
        out = self.model.localize(query_map, boxed, {"v": v, "u": u}, prior_xy_px, prior_inv_var)
        return tuple(getattr(out, name) for name in LOCALIZER_OUTPUTS)


def export_graphs(model: Lite, folder: Path) -> dict[str, Path]:
    """Write `reference_encoder.onnx` and `localizer.onnx` (float32) and `head.npz` into a folder.

    Returns:
        Paths by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    o = model.options
    model = model.cpu().eval()
    window = torch.zeros(o.window_px, o.window_px, 3, dtype=torch.uint8)
    cells = o.window_px // o.stride_px
    count = torch.export.Dim("clicks", min=1, max=256)
    example = (
        torch.zeros(o.frame_px, o.frame_px, 3, dtype=torch.uint8),
        torch.eye(2, 3),
        torch.full((3, 2), 100.0),
        torch.zeros(o.embedding, cells, cells, dtype=torch.float16),
        torch.zeros(o.hidden, cells, cells, dtype=torch.float16),
        torch.zeros(3, 2),
        torch.zeros(3),
    )
    dynamic = (None, None, {0: count}, None, None, {0: count}, {0: count})
    paths = {
        "reference_encoder": folder / "reference_encoder.onnx",
        "localizer": folder / "localizer.onnx",
        "head": folder / "head.npz",
    }
    _write(
        ReferenceEncoder(model),
        (window,),
        ("image",),
        ENCODER_OUTPUTS,
        None,
        paths["reference_encoder"],
    )
    _write(
        Localizer(model), example, LOCALIZER_INPUTS, LOCALIZER_OUTPUTS, dynamic, paths["localizer"]
    )
    write_head(model, paths["head"])
    return paths


def _write(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    dynamic: object,
    path: Path,
) -> None:
    import onnx

    program = torch.onnx.export(
        module.eval(),
        example,
        dynamo=True,
        opset_version=OPSET,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_shapes=dynamic,
        optimize=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    proto = program.model_proto
    for node in proto.graph.node:  # source paths of the exporting machine have no place in a graph
        del node.metadata_props[:]
        node.doc_string = ""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del value.metadata_props[:]
    onnx.checker.check_model(proto)
    onnx.save_model(proto, str(path))


def write_head(model: Lite, path: Path) -> None:
    """The head's numbers for the numpy reference executor."""
    head, o = model.head, model.options
    anchors = len(o.anchors_wh_px)
    arrays = {
        "alpha": head.alpha,
        "beta": head.beta,
        "w_a": head.w_a,
        "b": head.b,
        "w_conf": head.conf.weight,
        "c_conf": head.conf.bias,
        "tau": head.tau,
        "w_box": head.box.weight.reshape(anchors, 4, o.hidden),
        "b_box": head.box.bias.reshape(anchors, 4),
        "anchors_wh_px": model.anchors_wh_px,
    }
    np.savez(
        path,
        stride_px=np.float32(o.stride_px),
        click_var=np.float32(o.click_var),
        centre_var=np.float32(o.centre_var),
        floor_var_px2=np.float32(o.floor_var_px2),
        **{k: v.detach().cpu().numpy() for k, v in arrays.items()},
    )
