"""The table of an engine's layers, from the builder's log or from the engine inspector.

Without a GPU no engine can be deserialised, but the builder of TensorRT-RTX ends its verbose log
with the whole table, one line for each kernel:

    Name: conv1_myl0_1, LayerType: correlation, Inputs: [ { Name: x, Dimensions: [1,4,64,64], ...
    Datatype: Half, ... }], Constants: [...], Outputs: [...], ..., Metadata: [ONNX Layer: conv1]

Full TensorRT builds on a device, where the inspector gives the same as JSON. The table repeats
itself for each optimisation profile; from the second on, tensors of the graph say "[profile 1]" and
so on in their names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from edge.errors import ExecutorError

PRODUCTS = ("gemm", "runtime_fusion", "MatrixMultiply", "CaskGemmMatrixMultiply")
PLUGINS = ("custom_layer", "PluginV3", "PluginV2")
CONVOLUTIONS = (
    "correlation",
    "convolution",
    "Convolution",
    "Deconvolution",
    "CaskConvolution",
    "CaskDeconvolution",
    "CaskDeconvolutionV2",
    "CaskGemmConvolution",
)
NO_WORK = ("signal", "wait", "NoOp", "Constant", "Reformat", "ReformatCopy")
LINE = re.compile(r"^Name: (?P<name>.+?), LayerType: (?P<kind>\w+), (?P<rest>.*)$")
TENSOR = re.compile(
    r"Name: (?P<name>[^{}]+?), Dimensions: \[(?P<shape>[-\d,]*)\].*?Datatype: (?P<dtype>\w+)"
)
# What the compiler adds to a tensor's name in the graph: "x [profile 1].1_12_myl1"
ADDED = re.compile(r"(?: \[profile \d+\])?(?:\.\d+(?:_\d+)?_myl\d+)?$")
# Something may follow a node: "[ONNX Layer: conv_992]__gemm_from_conv"
NODE = re.compile(r"\[ONNX Layer: (.+?)\](?=\[|$|\s|\x1e|_)")
PROFILE = re.compile(r"\[profile (\d+)\]")
BLOCK = re.compile(r"_myl(\d+)_\d+$")
# How the inspector's JSON writes a type, at the start of "Format/Datatype" -> as the log does.
WORDS = {
    "FP32": "Float",
    "Float": "Float",
    "FP16": "Half",
    "Half": "Half",
    "INT8": "Int8",
    "Int8": "Int8",
    "BF16": "BFloat16",
    "BFloat16": "BFloat16",
    "FP8": "FP8",
}
NOT_SAID = "not said"  # of "N/A due to dynamic shapes", which a context does not always cure


class LayerTensor(msgspec.Struct, frozen=True):
    """One input or output of a layer."""

    dtype: str  # "Half"
    shape: tuple[int, ...]
    name: str = ""  # in the graph; one of the compiler's own where it is none of the graph's


class Layer(msgspec.Struct, frozen=True):
    """One kernel of an engine."""

    name: str
    kind: str  # TensorRT's LayerType
    inputs: tuple[LayerTensor, ...]
    outputs: tuple[LayerTensor, ...]
    nodes: tuple[str, ...]  # of the ONNX graph that it does the work of
    profile: int = 0


def layers_of_log(lines: Iterable[str]) -> tuple[Layer, ...]:
    """The table in a verbose log.

    Args:
        lines: the log, with or without marks of severity before its first line.

    Raises:
        ExecutorError: there is no table.
    """
    rows = [match for line in lines if (match := LINE.match(line.rstrip("\n")))]
    # A block of the compiler is of one profile, and some tensor of it says which.
    profiles: dict[str, int] = {}
    for match in rows:
        marked = PROFILE.search(match[0])
        if marked:
            profiles[_block(match["name"])] = int(marked[1])
    found = []
    for match in rows:
        inputs, _, rest = match["rest"].partition("Constants:")
        outputs = rest.partition("Outputs:")[2].partition("TacticName:")[0]
        found.append(
            Layer(
                match["name"],
                match["kind"],
                _tensors(inputs),
                _tensors(outputs),
                tuple(dict.fromkeys(NODE.findall(rest.partition("Metadata:")[2]))),
                profiles.get(_block(match["name"]), 0),
            )
        )
    if not found:
        raise _no_table("lines with 'LayerType' at the end of the verbose log", "none")
    return tuple(found)


def layers_of_inspector(texts: Sequence[str]) -> tuple[Layer, ...]:
    """The tables in the engine inspector's JSON, made with detailed profiling verbosity.

    Args:
        texts: one for each optimisation profile. Some versions list the layers of all profiles,
            marked by name, in each of them; others those of the context's alone.

    Raises:
        ExecutorError: no such table.
    """
    return tuple(
        layer for profile, text in enumerate(texts) for layer in layers_of_profile(text, profile)
    )


def layers_of_profile(text: str, profile: int) -> tuple[Layer, ...]:
    """The table of one optimisation profile in the inspector's JSON.

    Raises:
        ExecutorError: no such table.
    """
    try:
        rows: list[dict[str, Any]] = json.loads(text)["Layers"]
        listed = tuple(_row(row) for row in rows)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        expected = "JSON with a detailed row for each layer"
        raise _no_table(expected, f"{type(error).__name__}: {error}; {text[:200]!r}") from error
    layers = [each for each in listed if each.profile == profile]
    if not layers:  # no marks: all are of the context's profile
        layers = [each for each in listed if each.profile == 0]
    if not layers:
        raise _no_table(f"at least one layer of profile {profile}", text[:200])
    return tuple(msgspec.structs.replace(each, profile=profile) for each in layers)


def _row(row: dict[str, Any]) -> Layer:
    weights = row.get("Weights")  # a convolution multiplies in the type of its weights
    known = WORDS.get(str(weights.get("Type")), "") if isinstance(weights, dict) else ""
    inputs = map(_json_tensor, row["Inputs"])
    return Layer(
        str(row["Name"]),
        str(row["LayerType"]),
        tuple(
            msgspec.structs.replace(each, dtype=known) if known and each.dtype == NOT_SAID else each
            for each in inputs
        ),
        tuple(map(_json_tensor, row["Outputs"])),
        tuple(dict.fromkeys(NODE.findall(str(row.get("Metadata", "")).replace("\x1e", " ")))),
        _profile(str(row["Name"])),
    )


def _json_tensor(tensor: dict[str, Any]) -> LayerTensor:
    # 10.3 writes "Format/Datatype": "Channel major FP16 format ...", later ones have "Datatype" too
    told = " ".join(str(tensor.get(key, "")) for key in ("Datatype", "Format/Datatype", "Format"))
    word = next((word for word in re.findall(r"\w+", told) if word in WORDS), told.strip())
    if word.startswith("N/A"):
        word = NOT_SAID
    shape = tuple(map(int, tensor.get("Dimensions", ())))
    return LayerTensor(WORDS.get(word, word), shape, ADDED.sub("", str(tensor["Name"])))


def _tensors(text: str) -> tuple[LayerTensor, ...]:
    return tuple(
        LayerTensor(
            match["dtype"],
            tuple(map(int, filter(None, match["shape"].split(",")))),
            ADDED.sub("", match["name"]),
        )
        for match in TENSOR.finditer(text)
    )


def _block(name: str) -> str:
    """ "conv1_myl2_7" is of the compiler's block "2"."""
    found = BLOCK.search(name)
    return found[1] if found else name


def _profile(name: str) -> int:
    found = PROFILE.search(name)
    return int(found[1]) if found else 0


def _no_table(expected: str, found: str) -> ExecutorError:
    return ExecutorError(
        "the engine was built, and its layer table cannot be read",
        expected=expected,
        found=found,
        do="report this with the version of TensorRT; an engine that was not checked is not kept",
    )
