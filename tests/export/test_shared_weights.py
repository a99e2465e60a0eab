"""Weights that two graphs hold, stored once: the answers, the identities and the file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.shared_weights import WEIGHTS_SHA256, content_sha256, share_weights, whole_graph

SIDE = 24  # 24 x 24 float32 are 2304 bytes
RANDOM = np.random.default_rng(0)
COMMON = RANDOM.normal(size=(SIDE, SIDE)).astype(np.float32)
ALSO = RANDOM.normal(size=(SIDE, SIDE + 1)).astype(np.float32)  # 2400 bytes: ends off a multiple
OTHER = RANDOM.normal(size=(SIDE + 1, SIDE)).astype(np.float32)


def write_product(path: Path, weights: dict[str, np.ndarray]) -> Path:
    """A graph of x times one matrix after another."""
    nodes, last = [], "x"
    for name in weights:
        nodes.append(helper.make_node("MatMul", [last, name], [f"{name}.out"]))
        last = f"{name}.out"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, SIDE])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def answer(path: Path) -> bytes:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(3, SIDE)).astype(np.float32)
    return session.run(None, {"x": x})[0].tobytes()


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    return [
        write_product(tmp_path / "a.onnx", {"q": ALSO, "own": OTHER, "p": COMMON}),
        write_product(tmp_path / "b.onnx", {"another name": COMMON, "twice": COMMON, "r": ALSO}),
    ]


def test_answers_stay_and_what_is_common_is_stored_once(pair) -> None:
    before = [answer(path) for path in pair]
    was = sum(path.stat().st_size for path in pair)
    weights = share_weights(pair)
    assert weights == pair[0].with_name("weights.bin")
    assert [answer(path) for path in pair] == before
    assert weights.stat().st_size == 38 * 64 + COMMON.nbytes
    now = sum(path.stat().st_size for path in (*pair, weights))
    assert was - now > 2 * COMMON.nbytes + ALSO.nbytes - 1500, "notes where to find them are short"
    inside = [
        t.name
        for t in onnx.load(pair[0], load_external_data=False).graph.initializer
        if t.HasField("raw_data")
    ]
    assert inside == ["own"]


def test_places_are_aligned_and_hold_what_was_inside(pair) -> None:
    weights = share_weights(pair)
    content = weights.read_bytes()
    for path in pair:
        for tensor in onnx.load(path, load_external_data=False).graph.initializer:
            place = {entry.key: entry.value for entry in tensor.external_data}
            if not place:
                continue
            start, length = int(place["offset"]), int(place["length"])
            assert start % 64 == 0 and place["location"] == "weights.bin"
            wanted = ALSO if tensor.name in ("q", "r") else COMMON
            assert content[start : start + length] == wanted.tobytes()


def test_a_graph_names_the_weights_and_its_content_stays_known(pair) -> None:
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pair]
    assert [content_sha256(path) for path in pair] == before, "nothing is shared yet"
    weights = share_weights(pair)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    for path, was in zip(pair, before, strict=True):
        found = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        assert found == {WEIGHTS_SHA256: sha256}
        assert content_sha256(path) == was != hashlib.sha256(path.read_bytes()).hexdigest()
        assert not whole_graph(path).metadata_props


def test_shared_again_they_are_the_same_files(pair) -> None:
    weights = share_weights(pair)
    before = [path.read_bytes() for path in (*pair, weights)]
    assert share_weights(pair) == weights
    assert [path.read_bytes() for path in (*pair, weights)] == before


def test_other_weights_make_another_graph(tmp_path) -> None:
    """Though only the file beside it differs: a graph is known by its own sha256."""
    files = []
    for name, value in (("one", COMMON), ("two", COMMON + 1)):
        (tmp_path / name).mkdir()
        pair = [write_product(tmp_path / name / n, {"p": value}) for n in ("a.onnx", "b.onnx")]
        share_weights(pair)
        files.append(pair[0].read_bytes())
    assert files[0] != files[1] and len(files[0]) == len(files[1])


def test_bytes_of_another_type_and_small_tensors_are_not_shared(tmp_path) -> None:
    few = np.ones((SIDE, 1), np.float32)
    pair = [
        write_product(tmp_path / "a.onnx", {"p": COMMON, "few": few}),
        write_product(tmp_path / "b.onnx", {"p": COMMON.view(np.int32), "few": few}),
    ]
    before = [path.read_bytes() for path in pair]
    assert share_weights(pair) is None
    assert [path.read_bytes() for path in pair] == before
    assert not (tmp_path / "weights.bin").exists()


def test_without_its_weights_a_graph_does_not_open(pair) -> None:
    share_weights(pair).unlink()
    with pytest.raises(Exception, match=r"weights\.bin"):
        answer(pair[0])
