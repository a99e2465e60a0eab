"""From a graph module to an ONNX file: exported, taps named, types decided, checked."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch

from edge.errors import ExecutorError
from export.graph_signature import CLICKS, OPSET, GraphModule
from export.plugin import cross_attention_onnx, tile_attention_onnx
from export.quiet_torch import quiet_torch
from export.taps import Tap, Tapped
from export.type_report import report_types
from export.typed_graph import to_float16

PRECISIONS = ("fp32", "fp16")


def write_graph(
    exported: onnx.ModelProto, taps: tuple[Tap, ...], precision: str, path: Path
) -> None:
    """Write an exported graph to `path`, its types those of a precision.

    Args:
        exported: what `export_module` gave; it stays as it is.
        taps: interior values that have names in it.
        precision: "fp32" keeps the types of the module; "fp16" gives those of
            `export.precision.POLICY`.
        path: of the file.

    Raises:
        ExecutorError: a tap that was lost, too few heavy operators in float16, or what
            `to_float16` raises.
    """
    model = onnx.ModelProto()
    model.CopyFrom(exported)
    if precision == "fp16":
        to_float16(model)
    tile_attention_onnx.add_bodies(model)
    cross_attention_onnx.add_bodies(model)
    forget_where_from(model)
    _check_taps(model, taps)
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))
    if precision == "fp16":
        report_types(path).check()


def export_module(graph: GraphModule, taps: tuple[Tap, ...]) -> onnx.ModelProto:
    """The ONNX graph of a module in the module's own types; its taps are interior values.

    Raises:
        ExecutorError: an export with a fixed number of clicks.
    """
    dynamic = graph.dynamic_shapes()
    with quiet_torch():
        program = torch.onnx.export(
            Tapped(graph.module, taps).eval(),
            graph.example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=[*graph.outputs, *(tap.value for tap in taps)],
            dynamic_shapes=None if dynamic is None else (dynamic,),
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model = program.model_proto
    _check_clicks(graph, model)
    tapped = [value for value in model.graph.output if value.name not in graph.outputs]
    for value in tapped:
        model.graph.output.remove(value)
        model.graph.value_info.append(value)
    prefix = "module."  # of `Tapped`
    names = {t.name: t.name.removeprefix(prefix) for t in model.graph.initializer}
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
    for value in model.graph.value_info:
        value.name = names.get(value.name, value.name)
    return model


def _check_clicks(graph: GraphModule, model: onnx.ModelProto) -> None:
    """`torch.onnx` tries again with fixed sizes where dynamic ones fail, and does not say so."""
    for value, sizes in zip(model.graph.input, graph.dynamic_shapes() or (), strict=False):
        dimension = value.type.tensor_type.shape.dim[0]
        if sizes is not None and not dimension.dim_param:
            raise ExecutorError(
                f"the export of the {graph.kind} fixed the number of clicks",
                expected=f"{value.name} [{CLICKS}, ...]",
                found=f"{value.name} [{dimension.dim_value}, ...]",
                do="take sizes from `tensor.shape`, not `len(tensor)`, in the model's code",
            )


def forget_where_from(model: onnx.ModelProto) -> None:
    """Leave out source lines: paths of the exporting machine have no place in a graph."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]


def _check_taps(model: onnx.ModelProto, taps: tuple[Tap, ...]) -> None:
    made = {name for node in model.graph.node for name in node.output}
    lost = [tap.value for tap in taps if tap.value not in made]
    if lost:
        raise ExecutorError(
            "an interior value that shall be compared is not in the graph",
            expected=", ".join(tap.value for tap in taps),
            found=f"without {', '.join(lost)}",
            do="tap another value: this one is an output, an input or a cast that was dropped",
        )
