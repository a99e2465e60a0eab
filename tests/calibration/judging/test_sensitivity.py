"""Sensitivity on two convolutions in a row, by ONNX Runtime, and its resumption by block."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration.judging import sensitivity
from calibration.judging.sensitivity import _Case, reliefs, sensitivities
from calibration.quantization.blocks import Block
from calibration.quantization.qdq import Form
from calibration.ranges.record import Ranges, TensorRange
from edge.executors.onnxruntime import OnnxRuntimeExecutor

KIND = "reference_encoder"
COARSE = 8.0  # a range a hundred times what the first convolution reads: its levels are few


def two_convolutions() -> onnx.ModelProto:
    draw = np.random.default_rng(1)
    weights = {
        "first.weight": draw.normal(0, 0.3, (8, 3, 3, 3)),
        "second.weight": draw.normal(0, 0.3, (8, 8, 3, 3)),
    }
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Conv", ["image", "first.weight"], ["middle"]),
                helper.make_node("Conv", ["middle", "second.weight"], ["v"]),
            ],
            "two",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])],
            [helper.make_tensor_value_info("v", TensorProto.FLOAT, [1, 8, 12, 12])],
            [numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 19)],
        ir_version=9,
    )


def ranges(first: float, middle: float) -> Ranges:
    entries = tuple(
        TensorRange(
            tensor=name,
            amax=amax,
            lowest=-amax,
            highest=amax,
            saturated_share=0.0,
            method="minmax",
            graph=KIND,
        )
        for name, amax in (("image", first), ("middle", middle), ("v", 10.0))
    )
    return Ranges(
        graph_sha256={}, selection_sha256="s", method="minmax", preprocessing="p", entries=entries
    )


@pytest.fixture
def graphs(monkeypatch, tmp_path):
    model = two_convolutions()
    path = tmp_path / "two.onnx"
    onnx.save(model, str(path))
    image = np.random.default_rng(0).normal(0, 0.02, (1, 3, 16, 16)).astype(np.float32)
    executor = OnnxRuntimeExecutor(path, "fp32", threads=1)
    cases = {KIND: [_Case({"image": image}, executor.run({"image": image}))]}
    monkeypatch.setattr(sensitivity, "_cases", lambda *_: cases)
    files = {f"graphs/fp32/{kind}.onnx": "sha" for kind in (KIND, "localizer")}
    return SimpleNamespace(
        bundle=SimpleNamespace(manifest=SimpleNamespace(files=files)),
        blocks=(
            Block(f"{KIND}/first", KIND, ("first.weight",), 10),
            Block(f"{KIND}/second", KIND, ("second.weight",), 20),
        ),
        model=lambda kind, precision: model,
        shifts={},
        amax=float(np.abs(image).max()),
    )


FOLDER = SimpleNamespace(selection=SimpleNamespace(digest=lambda: "s"))


def test_the_block_that_reads_a_coarse_range_is_the_worst_alone(graphs, tmp_path):
    fine = sensitivities(graphs, ranges(graphs.amax, 0.3), FOLDER, tmp_path)
    assert all(0.0005 < each.relative_error < 0.03 for each in fine)
    found = sensitivities(graphs, ranges(COARSE, 0.3), FOLDER, tmp_path)
    assert [each.block for each in found] == [f"{KIND}/first", f"{KIND}/second"]
    assert found[0].relative_error > 0.3
    second = next(each for each in fine if each.block == f"{KIND}/second")
    assert found[1].relative_error == second.relative_error  # the first one is float32 there
    assert (found[1].macs, found[1].convolutions, found[1].latency_ms) == (20, 1, None)


def test_finished_blocks_are_not_run_again(graphs, tmp_path, monkeypatch):
    whole = sensitivities(graphs, ranges(graphs.amax, 0.3), FOLDER, tmp_path / "whole")
    done = sensitivity._errors
    ran = []

    def stopped(graphs, ranges, tried, cases, work):
        if ran:
            raise KeyboardInterrupt
        ran.extend(tried.convolutions)
        return done(graphs, ranges, tried, cases, work)

    monkeypatch.setattr(sensitivity, "_errors", stopped)
    with pytest.raises(KeyboardInterrupt):
        sensitivities(graphs, ranges(graphs.amax, 0.3), FOLDER, tmp_path)
    monkeypatch.setattr(
        sensitivity, "_errors", lambda *given: ran.extend(given[2].convolutions) or done(*given)
    )
    assert sensitivities(graphs, ranges(graphs.amax, 0.3), FOLDER, tmp_path) == whole
    assert ran == ["first.weight", "second.weight"]


def test_measured_latencies_are_carried_along(graphs, tmp_path):
    saved = {f"{KIND}/first": 0.25}
    found = sensitivities(graphs, ranges(graphs.amax, 0.3), FOLDER, tmp_path, latency_ms=saved)
    assert {each.block: each.latency_ms for each in found} == {
        f"{KIND}/first": 0.25,
        f"{KIND}/second": None,
    }


def test_a_block_is_tried_with_its_own_bias_shifts(graphs, tmp_path):
    """A shift far too large shows, at its block alone; and what was found without is not reused."""
    given = ranges(graphs.amax, 0.3), FOLDER, tmp_path
    plain = {each.block: each.relative_error for each in sensitivities(graphs, *given)}
    graphs.shifts = {KIND: {"second.weight": np.full(8, 5.0, np.float32)}}
    shifted = {each.block: each.relative_error for each in sensitivities(graphs, *given)}
    assert shifted[f"{KIND}/second"] > 10
    assert shifted[f"{KIND}/first"] == plain[f"{KIND}/first"]


def chosen_of(graphs):
    """As `FloatGraphs.chosen` finds them."""
    return lambda kind, left: frozenset(
        name
        for block in graphs.blocks
        if block.graph == kind and block.name not in left
        for name in block.convolutions
    )


def test_the_block_that_reads_a_coarse_range_relieves_most(graphs, tmp_path):
    graphs.chosen = chosen_of(graphs)
    found = reliefs(graphs, ranges(COARSE, 0.3), FOLDER, tmp_path, ())
    assert [each.block for each in found] == [f"{KIND}/first", f"{KIND}/second"]
    assert found[0].relative_error > 0.3 and found[1].relative_error < 0.05
    assert (found[0].macs, found[0].convolutions, found[0].latency_ms) == (10, 1, None)


def test_blocks_that_are_left_already_are_not_tried_and_change_what_others_relieve(
    graphs, tmp_path, monkeypatch
):
    graphs.chosen = chosen_of(graphs)
    given = ranges(COARSE, 0.3), FOLDER, tmp_path
    both = {each.block: each.relative_error for each in reliefs(graphs, *given, ())}
    tried = []
    done = sensitivity._errors
    monkeypatch.setattr(
        sensitivity, "_errors", lambda *given: tried.append(given[2]) or done(*given)
    )
    rest = reliefs(graphs, *given, (f"{KIND}/first",))
    assert [each.block for each in rest] == [f"{KIND}/second"]
    assert rest[0].relative_error != both[f"{KIND}/second"]
    assert [each.convolutions for each in tried] == [("second.weight",), ()]
    assert {each.form for each in tried} == {Form.ONNXRUNTIME}
    tried.clear()
    assert reliefs(graphs, *given, (f"{KIND}/first",)) == rest and not tried  # kept


def test_a_block_that_relieves_an_output_which_is_not_the_worst_counts(
    graphs, tmp_path, monkeypatch
):
    """v is off by more with all blocks in INT8, and stays so; u is off by what the first spoils."""
    graphs.chosen = chosen_of(graphs)
    found = {
        ("first.weight", "second.weight"): {"v": 0.5, "u": 0.3},
        ("second.weight",): {"v": 0.5, "u": 0.1},
        ("first.weight",): {"v": 0.6, "u": 0.3},
    }
    monkeypatch.setattr(sensitivity, "_errors", lambda *given: found[given[2].convolutions])
    first, second = reliefs(graphs, ranges(0.1, 0.3), FOLDER, tmp_path, ())
    assert (first.block, second.block) == (f"{KIND}/first", f"{KIND}/second")
    assert first.relative_error == pytest.approx(0.2) and second.relative_error == 0.0
