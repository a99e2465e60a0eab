"""From a model to its two ONNX graphs in a precision, with pre- and post-processing inside.

What the graphs take and give is in `graph_signature`; the types of a float16 graph are decided by
`precision`; interior values that can be compared are named by `model_taps`.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

from edge.bundle import ENCODER, LOCALIZER
from edge.errors import UsageError
from export.graph_signature import LOCALIZER_OUTPUTS, GraphModule
from export.graph_writing import PRECISIONS, export_module, write_graph
from export.lite_graphs import lite_modules
from export.model_taps import taps_of
from export.plugin.attention_swap import swap_attention
from export.published_graphs import published_modules
from export.taps import collected
from training.models import Model, name_of
from training.models.lite import Lite

__all__ = [
    "LOCALIZER_OUTPUTS",
    "PRECISIONS",
    "export_graphs",
    "export_precisions",
    "graph_modules",
    "torch_run",
]

HEAD = "head"


def graph_modules(model: Model, precision: str = "fp32") -> dict[str, GraphModule]:
    """The torch form of a model's graphs, "reference_encoder" and "localizer".

    Raises:
        UsageError: a precision that no graph is exported in.
    """
    if precision not in PRECISIONS:
        raise UsageError(
            f"no graph is exported in the precision {precision!r}",
            expected=f"one of: {', '.join(PRECISIONS)}",
            found=repr(precision),
            do="choose one of these with --precision",
        )
    make = lite_modules if name_of(model) == "lite" else published_modules
    modules = make(model, precision)
    return {graph.kind: graph for graph in modules}


def export_graphs(
    model: Model, folder: Path, precision: str = "fp32", attention_plugin: bool = False
) -> dict[str, Path]:
    """Write `reference_encoder.onnx`, `localizer.onnx` and, of a `lite`, `head.npz` into a folder.

    Args:
        model: any; it stays as it is.
        folder: of the files.
        precision: one of `PRECISIONS`.
        attention_plugin: every attention between the views as one node CrossAttention, in place of
            plain operators, which TensorRT fuses by itself. Not measured which is faster.

    Returns:
        Paths by name.

    Raises:
        UsageError: a precision that no graph is exported in, or a model without such an attention.
        ExecutorError: a model that the precision's policy does not cover.
    """
    return export_precisions(model, {precision: folder}, attention_plugin)[precision]


def export_precisions(
    model: Model,
    folders: Mapping[str, Path],
    attention_plugin: bool = False,
    kinds: Collection[str] = (ENCODER, LOCALIZER),
) -> dict[str, dict[str, Path]]:
    """As `export_graphs` into a folder per precision; what precisions share is traced once.

    `kinds` says which of the graphs.

    Returns:
        Paths by precision and name.
    """
    if attention_plugin:
        model = _with_attention_nodes(model)
    traced: dict[tuple[str, str], onnx.ModelProto] = {}
    paths: dict[str, dict[str, Path]] = {}
    for precision, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        paths[precision] = {}
        for kind, graph in graph_modules(model, precision).items():
            if kind not in kinds:
                continue
            taps = tuple(tap for tap in taps_of(model) if tap.graph == kind)
            key = kind, graph.form
            if key not in traced:
                traced[key] = export_module(graph, taps)
            paths[precision][kind] = folder / f"{kind}.onnx"
            write_graph(traced[key], taps, precision, paths[precision][kind])
        if isinstance(model, Lite):
            paths[precision][HEAD] = folder / "head.npz"
            write_head(model, paths[precision][HEAD])
    return paths


def _with_attention_nodes(model: Model) -> Model:
    swapped = copy.deepcopy(model).eval()
    if not swap_attention(swapped):
        raise UsageError(
            f"{name_of(model)} has no attention that the plugin CrossAttention could be",
            expected="a model with one: ocgnet, attengeo, trogeo, detgeo_ported",
            found=name_of(model),
            do="export it without --attention-plugin",
        )
    return swapped


def torch_run(
    model: Model, inputs: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The outputs of a graph by name, and its taps, as the torch model computes them in float32.

    Args:
        model: in any mode; it is set to eval.
        inputs: of one graph, by its names: `image`, or all that the localizer takes.

    Raises:
        UsageError: inputs of neither graph.
    """
    for graph in graph_modules(model).values():
        if set(graph.inputs) == set(inputs):
            taps = tuple(tap for tap in taps_of(model) if tap.graph == graph.kind)
            with torch.no_grad(), collected(graph.module, taps) as found:
                answers = graph.module(*(inputs[name] for name in graph.inputs))
            return dict(zip(graph.outputs, answers, strict=True)), found
    known = {graph.kind: ", ".join(graph.inputs) for graph in graph_modules(model).values()}
    raise UsageError(
        f"these are not the inputs of a graph of {name_of(model)}",
        expected=f"{ENCODER}: {known[ENCODER]}; or {LOCALIZER}: {known[LOCALIZER]}",
        found=", ".join(inputs),
        do="give every input of one graph by its name",
    )


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
