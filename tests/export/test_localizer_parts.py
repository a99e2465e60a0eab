"""A localizer cut in parts: the same answers, and no part of another localizer."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.bundle import (
    FRAME_PART,
    LOCALIZER,
    PARTS,
    QUERIES_PART,
    Bundle,
    is_part,
    shipped_bundle_path,
    write_bundle,
)
from edge.errors import ExecutorError
from edge.executors.localizer_parts import LocalizerInParts
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.localizer import Localizer
from export.localizer_parts import localizer_parts, values_at_cut


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open(shipped_bundle_path())


@pytest.fixture(scope="module")
def whole(shipped) -> OnnxRuntimeExecutor:
    return OnnxRuntimeExecutor(shipped.graph(LOCALIZER), "fp32", threads=1)


@pytest.fixture(scope="module")
def parts(shipped) -> LocalizerInParts:
    return LocalizerInParts.open(shipped, LOCALIZER, "fp32", threads=1)


def inputs_of(executor, clicks: int, seed: int) -> dict[str, np.ndarray]:
    """A frame, clicks with priors for some, and a window of unit vectors."""
    rng = np.random.default_rng(seed)
    made = {spec.name: spec for spec in executor.inputs}
    v = rng.normal(size=made["v"].shape)
    return {
        "frame": rng.integers(0, 256, made["frame"].shape, np.uint8),
        "frame_affine": np.eye(2, 3, dtype=np.float32),
        "click_xy_px": rng.uniform(0, 512, (clicks, 2)).astype(np.float32),
        "v": (v / np.linalg.norm(v, axis=0)).astype(np.float16),
        "u": rng.normal(size=made["u"].shape).astype(np.float16),
        "prior_xy_px": rng.uniform(0, 1024, (clicks, 2)).astype(np.float32),
        "prior_inv_var": rng.choice([0, 0.001, 0.1], clicks).astype(np.float32),
    }


def test_the_shipped_parts_are_cut_of_the_shipped_localizer(shipped):
    cut = localizer_parts(shipped.graph(LOCALIZER).read_bytes(), "fp32")
    assert set(cut) == {f"graphs/fp32/{kind}.onnx" for kind in PARTS}
    for name, content in cut.items():
        assert shipped.file(name).read_bytes() == content


@pytest.mark.parametrize("clicks", [1, 3, 16])
def test_the_parts_answer_as_the_whole(whole, parts, clicks):
    inputs = inputs_of(whole, clicks, seed=clicks)
    wanted, found = whole.run(inputs), parts.run(inputs)
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_parts_take_and_give_what_the_whole_does(whole, parts):
    assert {str(spec) for spec in parts.inputs} == {str(spec) for spec in whole.inputs}
    assert parts.outputs == whole.outputs
    assert (parts.name, parts.precision, parts.click_limit) == ("onnxruntime", "fp32", None)


def test_what_depends_on_the_frame_alone_is_in_its_part_and_nothing_else(shipped):
    """Else it would run once more for every window and every group of clicks, for nothing."""
    frame, queries = (onnx.load(shipped.graph(kind)) for kind in PARTS)
    assert [value.name for value in frame.graph.input] == ["frame"]
    cut = [value.name for value in frame.graph.output]
    assert sorted(values_at_cut(queries, cut)) == sorted(cut)
    count = {
        kind: sum(node.op_type == "Conv" for node in part.graph.node)
        for kind, part in zip(PARTS, (frame, queries), strict=True)
    }
    whole = onnx.load(shipped.graph(LOCALIZER)).graph.node
    convolutions = sum(node.op_type == "Conv" for node in whole)
    assert count == {FRAME_PART: convolutions, QUERIES_PART: 0}


def small_localizer(*head: tuple[str, str, str], query: str = "query_vector") -> bytes:
    """relu(frame), clicks @ that = the queries, and after these the nodes of `head`."""
    value = helper.make_tensor_value_info
    nodes = [
        ("Relu", "frame", "seen"),
        ("MatMul", "click_xy_px seen", query),
        *head,
    ]
    made = [
        helper.make_node(kind, taken.split(), [given], name=f"the {kind}", **_to(kind))
        for kind, taken, given in nodes
    ]
    graph = helper.make_graph(
        made,
        "localizer",
        [
            value("frame", TensorProto.FLOAT, [2, 5]),
            value("frame_affine", TensorProto.FLOAT, [2, 3]),
            value("click_xy_px", TensorProto.FLOAT, ["clicks", 2]),
            value("v", TensorProto.FLOAT16, [5, 7]),
        ],
        [value(query, TensorProto.FLOAT, ["clicks", 5]), value(made[-1].output[0], 1, None)],
        [helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])],
    )
    opset = [helper.make_opsetid("", 18)]
    model: bytes = helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()
    return model


def _to(kind: str) -> dict[str, int]:
    return {"to": TensorProto.FLOAT} if kind == "Cast" else {}


HEAD = (("Cast", "v", "wide"), ("MatMul", "query_vector wide", "attention"))


def test_the_cut_lies_where_the_frame_meets_the_clicks_and_where_the_queries_are():
    frame, queries = map(
        onnx.load_model_from_string, localizer_parts(small_localizer(*HEAD), "x").values()
    )
    assert [node.op_type for node in frame.graph.node] == ["Relu"]
    assert [node.op_type for node in queries.graph.node] == ["MatMul"]
    assert [value.name for value in queries.graph.output] == ["query_vector"]
    assert {value.name for value in queries.graph.input} >= {"seen", "click_xy_px"}


def test_a_localizer_without_a_way_from_frame_to_queries_is_refused():
    unnamed = small_localizer(("Cast", "v", "wide"), ("MatMul", "q wide", "attention"), query="q")
    with pytest.raises(ExecutorError, match="cannot be cut in parts") as caught:
        localizer_parts(unnamed, "fp32")
    assert caught.value.expected.startswith("an output query_vector, and something")
    assert caught.value.found == "outputs q, attention"
    model = onnx.load_model_from_string(small_localizer(*HEAD))
    model.graph.node[1].input[1] = "frame"
    del model.graph.node[0]
    with pytest.raises(ExecutorError, match="cannot be cut in parts") as caught:
        localizer_parts(model.SerializeToString(), "fp32")
    assert "is computed from frame alone" in caught.value.expected


def test_a_head_in_int8_is_refused():
    """The head on the CPU has the float weights of head.npz: it would answer otherwise."""
    quantised = small_localizer(
        ("Cast", "v", "wide"),
        ("QuantizeLinear", "query_vector one", "levels"),
        ("DequantizeLinear", "levels one", "again"),
        ("MatMul", "again wide", "attention"),
    )
    with pytest.raises(ExecutorError, match="cannot be cut in parts") as caught:
        localizer_parts(quantised, "int8+fp32")
    assert caught.value.expected == "a head in float"
    assert caught.value.found == (
        "2 quantised values after the queries, such as the QuantizeLinear"
    )


@pytest.fixture(scope="module")
def older(shipped, tmp_path_factory) -> Bundle:
    """As bundles were before: the head was two graphs, of a window's part and of the clicks'."""
    files = {name: shipped.file(name).read_bytes() for name in shipped.manifest.files}
    del files[f"graphs/fp32/{QUERIES_PART}.onnx"]
    files |= {f"graphs/fp32/localizer_{kind}.onnx": b"a graph" for kind in ("window", "clicks")}
    return write_bundle(tmp_path_factory.mktemp("older") / "lite", shipped.manifest, files)


def test_parts_of_an_older_version_are_not_joined_and_the_user_is_told(older, shipped):
    localizer = Localizer.open(older, threads=1)
    (note,) = (each for each in localizer.notes if "parts" in each)
    assert note == (
        "the localizer of lite runs whole, which is slower: its parts are of an older version of "
        "tilefix (export or calibrate it again)"
    )
    assert not any("parts" in each for each in Localizer.open(shipped, threads=1).notes)
    assert not older.in_parts("fp32") and older.in_old_parts("fp32")
    assert not shipped.in_old_parts("fp32") and not shipped.in_old_parts("fp16")


def test_parts_of_any_version_are_known_by_their_names(older):
    old = {name for name in older.manifest.files if is_part(name)}
    assert {name.rpartition("_")[2] for name in old} == {
        "frame.onnx", "window.onnx", "clicks.onnx"
    }  # fmt: skip
    assert not any(map(is_part, ("graphs/fp32/localizer.onnx", "graphs/fp32/head.npz")))
