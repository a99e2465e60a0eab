"""A tiny bundle with taps, in fp32 and in an fp16 whose weights a test may spoil."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge.bundle import ENCODER, LOCALIZER, Bundle, write_bundle

# graph -> tap -> the operator whose first output becomes it, and an input that it must have
TAPS = {
    ENCODER: {"stem": ("Conv", "t2"), "unit": ("LpNormalization", ""), "folded": ("Conv", "unit")},
    LOCALIZER: {
        "query_stem": ("Conv", ""),
        "query_unit": ("LpNormalization", ""),
        "similarity_map": ("MatMul", "query_vector"),
        "hidden": ("LeakyRelu", ""),
    },
}
Spoil = Callable[[str, onnx.ModelProto], None]


def tapped(kind: str, model: onnx.ModelProto) -> onnx.ModelProto:
    """Rename interior tensors to taps."""
    for tap, (operator, needed) in TAPS[kind].items():
        wanted = f"tap.{needed}" if needed in TAPS[kind] else needed
        node = next(
            n
            for n in model.graph.node
            if n.op_type == operator and (not wanted or wanted in n.input)
        )
        old, new = node.output[0], f"tap.{tap}"
        for each in model.graph.node:
            for names in (each.input, each.output):
                for place, name in enumerate(names):
                    if name == old:
                        names[place] = new
    return model


def change(model: onnx.ModelProto, name: str, edit: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace one weight."""
    (tensor,) = [t for t in model.graph.initializer if t.name == name]
    edited = edit(numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(edited, name))


def weight_of(model: onnx.ModelProto, output: str) -> str:
    """The weight that the node making `output` takes, or the node before it."""
    weights = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    made_by = {out: node for node in model.graph.node for out in node.output}
    node = made_by[output]
    while not (own := [name for name in node.input if name in weights]):
        node = made_by[node.input[0]]
    return own[0]


def rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The weights of a float32 graph in the precision of float16."""
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            value = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return model


@pytest.fixture(scope="session")
def make_tapped(make_tiny_bundle) -> Callable[..., Bundle]:
    """`make(folder, spoil=None, fp16=True) -> Bundle`; `spoil(kind, model)` edits fp16 graphs."""

    def make(folder: Path, spoil: Spoil | None = None, fp16: bool = True) -> Bundle:
        plain = make_tiny_bundle(folder / "plain")
        files: dict[str, bytes | Path] = {name: plain.file(name) for name in plain.manifest.files}
        for kind in (ENCODER, LOCALIZER):
            model = tapped(kind, onnx.load(str(plain.graph(kind))))
            files[f"graphs/fp32/{kind}.onnx"] = model.SerializeToString()
            if fp16:
                rounded(model)
                if spoil is not None:
                    spoil(kind, model)
                files[f"graphs/fp16/{kind}.onnx"] = model.SerializeToString()
        return write_bundle(folder / "tapped", plain.manifest, files)

    return make


@pytest.fixture(scope="session")
def tapped_tiny(make_tapped, tmp_path_factory) -> Bundle:
    """A bundle of which fp16 is as near to fp32 as it should be; do not write into it."""
    return make_tapped(tmp_path_factory.mktemp("tapped"))


@pytest.fixture(scope="session")
def conftest_parts() -> ModuleType:
    """`change` and `weight_of` of this file, for tests that spoil a graph."""
    return sys.modules[__name__]
