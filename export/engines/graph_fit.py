"""The few changes that a graph needs before TensorRT parses it; its meaning stays the same."""

from __future__ import annotations

from onnx import ModelProto, NodeProto, TensorProto, helper

MOVES = ("Transpose", "Unsqueeze", "Squeeze", "Reshape", "Identity")  # change no value
CASTED = ".cast_first"


def fit_graph(model: ModelProto, *, keep_functions: bool) -> tuple[str, ...]:
    """Change a graph in place for TensorRT.

    * uint8 may enter a TensorRT network and then only be cast: a cast that follows a transpose is
      moved before it.
    * where a function body would beat the plugin (TensorRT before 10.7) the bodies are removed.

    Args:
        model: the graph.
        keep_functions: False before TensorRT 10.7.

    Returns:
        What was changed, for people.
    """
    notes = []
    for value in model.graph.input:
        if value.type.tensor_type.elem_type == TensorProto.UINT8:
            moved = _cast_first(model, value.name)
            if moved:
                notes.append(f"the cast of {value.name} was moved before {moved}")
    if model.functions and not keep_functions:
        names = ", ".join(sorted({function.name for function in model.functions}))
        del model.functions[:]
        notes.append(f"function bodies removed, so that the plugin is taken: {names}")
    return tuple(notes)


def _cast_first(model: ModelProto, name: str) -> str:
    """Move the one cast of an input before the nodes that only move its values."""
    chain: list[NodeProto] = []
    tensor = name
    while True:
        users = [node for node in model.graph.node if tensor in node.input]
        if len(users) != 1 or tensor != users[0].input[0]:
            return ""
        if users[0].op_type == "Cast":
            break
        if users[0].op_type not in MOVES:
            return ""
        chain.append(users[0])
        tensor = users[0].output[0]
    if not chain:
        return ""
    cast = users[0]
    to = next(each.i for each in cast.attribute if each.name == "to")
    stale = {node.output[0] for node in chain}  # their types are no longer uint8
    kept = [value for value in model.graph.value_info if value.name not in stale]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    moved = ", ".join(node.op_type for node in chain)
    first = helper.make_node("Cast", [name], [name + CASTED], name=cast.name, to=to)
    chain[0].input[0] = name + CASTED
    chain[-1].output[0] = cast.output[0]
    model.graph.node.remove(cast)
    model.graph.node.insert(0, first)
    return moved
