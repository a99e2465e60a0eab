"""Weights that both graphs of a precision hold, stored once beside them.

Encoder and localizer of a model with one backbone hold it twice. Here such tensors move into
`weights.bin` in the graphs' folder, as ONNX's external data: ONNX Runtime finds it by the path of a
graph, `onnx.load` reads it in. The sha256 of a graph is its identity, in stored features and
engines; so that it still depends on every weight, a graph carries the sha256 of its `weights.bin`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto

WEIGHTS_FILE = "weights.bin"
WEIGHTS_SHA256 = "tilefix.weights_sha256"  # key of a graph's metadata
LEAST_BYTES = 1024  # a smaller tensor is hardly longer than the note where to find it
ALIGNED_BYTES = 64  # a line of the processor's cache


def share_weights(graphs: Sequence[Path]) -> Path | None:
    """Move the tensors that several of these graphs hold, byte for byte, into one file.

    Args:
        graphs: files in one folder; those that share are written again.

    Returns:
        The file of weights; None where nothing is shared, and all stays as it was.
    """
    models = [whole_graph(path) for path in graphs]
    holders: dict[bytes, set[int]] = {}
    for index, model in enumerate(models):
        for tensor in model.graph.initializer:
            if len(tensor.raw_data) >= LEAST_BYTES:
                holders.setdefault(_digest(tensor), set()).add(index)
    shared = {digest for digest, indices in holders.items() if len(indices) > 1}
    if not shared:
        return None
    content = bytearray()
    offsets: dict[bytes, int] = {}
    for model in models:
        for tensor in model.graph.initializer:
            digest = _digest(tensor)
            if digest not in shared:
                continue
            if digest not in offsets:
                content.extend(bytes(-len(content) % ALIGNED_BYTES))
                offsets[digest] = len(content)
                content.extend(tensor.raw_data)
            _point(tensor, offsets[digest])
    sha256 = hashlib.sha256(content).hexdigest()
    for path, model in zip(graphs, models, strict=True):
        if any(each.external_data for each in model.graph.initializer):
            model.metadata_props.add(key=WEIGHTS_SHA256, value=sha256)
            path.write_bytes(model.SerializeToString(deterministic=True))
    weights = graphs[0].with_name(WEIGHTS_FILE)
    weights.write_bytes(content)
    return weights


def whole_graph(path: Path) -> ModelProto:
    """A graph with all its weights inside, as it was before any were shared."""
    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        tensor.ClearField("data_location")
    kept = [each for each in model.metadata_props if each.key != WEIGHTS_SHA256]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    return model


def content_sha256(path: Path) -> str:
    """Sha256 of what a graph computes with, wherever its weights are stored.

    It is the sha256 of the file of `whole_graph`: of `path` itself where nothing is shared.
    """
    return hashlib.sha256(whole_graph(path).SerializeToString(deterministic=True)).hexdigest()


def _digest(tensor: TensorProto) -> bytes:
    """Of type and bytes; tensors of one digest may differ in name and shape."""
    return tensor.data_type.to_bytes(1, "big") + hashlib.sha256(tensor.raw_data).digest()


def _point(tensor: TensorProto, offset: int) -> None:
    where = {"location": WEIGHTS_FILE, "offset": offset, "length": len(tensor.raw_data)}
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in where.items():
        tensor.external_data.add(key=key, value=str(value))
