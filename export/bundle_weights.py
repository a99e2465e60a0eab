"""The torch model out of a bundle: a `lite` rebuilt from the constants of its float32 graphs.

A bundle carries no checkpoint. Its graphs do carry every weight, each under its parameter's name,
but batch norms are folded into the convolutions before them. They come back as identities that add
the folded bias: the model answers as the graphs do, and trains on without statistics
(`training.models.folded_norms`).
"""

from __future__ import annotations

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.decoding import Head
from edge.errors import BundleError
from training.models.lite import Lite, LiteOptions

BACKBONE = "efficientnet_lite0"
# Last part of a convolution's name -> that of the batch norm folded into it.
NORM_OF = {
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
    "expand": "bn_expand",
    "depthwise": "bn_depthwise",
    "project": "bn_project",
    "reduce": "bn",
}
FOLDED = "weight_bias"  # how the exporter calls the bias that folding makes
MODEL = "model."


def lite_from_bundle(bundle: Bundle) -> Lite:
    """Rebuild the model of a bundle, in eval mode.

    Raises:
        BundleError: a bundle of another model, without float32 graphs or head, or graphs that do
            not hold the weights of a `lite` under their names.
    """
    manifest = bundle.manifest
    if manifest.model != "lite":
        raise _refusal(bundle, f"it holds the model {manifest.model}")
    encoder, localizer = (onnx.load(bundle.graph(kind)).graph for kind in (ENCODER, LOCALIZER))
    weights = {**_constants(localizer), **_constants(encoder)}
    head = Head.load(bundle.file("graphs/fp32/head.npz"))
    try:
        model = Lite(_options(bundle, weights, head))
        state = {**_unfolded(model, weights), **_head(head), **_places(model, localizer)}
        model.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise _refusal(bundle, str(error)) from error
    return model.eval()


def _options(bundle: Bundle, weights: dict[str, Tensor], head: Head) -> LiteOptions:
    manifest = bundle.manifest
    channels = {feature.name: feature.shape[0] for feature in manifest.features}
    places = len(weights.get("gather.offset_cells", [0]))
    square = manifest.frame.width_px == manifest.frame.height_px
    return LiteOptions(
        frame_px=manifest.frame.width_px,
        frame_height_px=None if square else manifest.frame.height_px,
        window_px=manifest.window.width_px,
        backbone=BACKBONE,
        stride_px=manifest.head.stride_px,
        click_reach_cells=(round(places**0.5) - 1) // 2,
        embedding=channels["v"],
        hidden=channels["u"],
        width=len(weights["reference_neck.reduce.weight"]),
        reference_depth=_depth(weights, "reference_neck"),
        query_depth=_depth(weights, "query_neck"),
        anchors_wh_px=manifest.head.anchors_wh_px,
        click_var=float(head.click_var),
        centre_var=float(head.centre_var),
        floor_var_px2=float(head.floor_var_px2),
    )


def _depth(weights: dict[str, Tensor], neck: str) -> int:
    return sum(
        name.startswith(f"{neck}.blocks.") and name.endswith("expand.weight") for name in weights
    )


def _unfolded(model: Lite, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """State of all but the head: convolutions as folded, batch norms as identities plus a bias."""
    state = {}
    wanted = model.state_dict()
    for name in wanted:
        if name.startswith(("head.", "gather.")) or name.split(".")[-2] in NORM_OF.values():
            continue
        state[name] = weights[name]
        parent, _, last = name.removesuffix(".weight").rpartition(".")
        norm = f"{parent}.{NORM_OF[last]}" if last in NORM_OF else ""
        if norm:
            eps = model.get_submodule(norm).eps
            like = wanted[f"{norm}.weight"]
            state[f"{norm}.weight"] = torch.full_like(like, (1 + eps) ** 0.5)
            bias = weights.get(f"{parent}.{last}.{FOLDED}")
            state[f"{norm}.bias"] = torch.zeros_like(like) if bias is None else bias
            for rest in ("running_mean", "running_var", "num_batches_tracked"):
                state[f"{norm}.{rest}"] = wanted[f"{norm}.{rest}"]
    return state


def _head(head: Head) -> dict[str, Tensor]:
    anchors, sides, channels = head.w_box.shape
    arrays = {
        "alpha": head.alpha,
        "beta": head.beta,
        "w_a": head.w_a,
        "b": head.b,
        "tau": head.tau,
        "conf.weight": head.w_conf,
        "conf.bias": head.c_conf,
        "box.weight": head.w_box.reshape(anchors * sides, channels),
        "box.bias": head.b_box.reshape(anchors * sides),
    }
    return {f"head.{k}": torch.as_tensor(v, dtype=torch.float32) for k, v in arrays.items()}


def _places(model: Lite, graph: onnx.GraphProto) -> dict[str, Tensor]:
    """The logits of the places around a click, from their softmax: what is summed after a product.

    The softmax of constants is folded, and its name is the exporter's own.
    """
    if not model.options.click_reach_cells:
        return {}
    summed = {node.input[0] for node in graph.node if node.op_type == "ReduceSum"}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    shape = (1, len(model.gather.offset_cells), 1)
    for node in graph.node:
        if node.op_type == "Mul" and node.output[0] in summed and node.input[1] in constants:
            weights = torch.tensor(numpy_helper.to_array(constants[node.input[1]]))
            if weights.shape == shape:
                return {"gather.place_logit": weights.flatten().log()}
    raise KeyError(f"the weights {list(shape)} of the places around a click")


def _constants(graph: onnx.GraphProto) -> dict[str, Tensor]:
    return {
        tensor.name.removeprefix(MODEL): torch.tensor(numpy_helper.to_array(tensor))
        for tensor in graph.initializer
    }


def _refusal(bundle: Bundle, found: str) -> BundleError:
    return BundleError(
        f"no torch model can be made of the bundle {bundle.path}",
        expected=f"a `lite` on {BACKBONE}, whose float32 graphs name their weights",
        found=found,
        do="export from the checkpoint instead: tilefix export --checkpoint FILE",
    )
