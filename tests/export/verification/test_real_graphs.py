"""A small `lite`, exported in both precisions: the taps of torch and of the files compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from exported_once import settled_graphs

from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from export.verification.cases import probe_cases, random_cases
from export.verification.runs import RunName, open_run
from export.verification.tapped import tap_names, tapped_bundle
from export.verification.tolerances import TOLERANCES
from export.verification.verify import verify
from tests.support.settled_lite import settled_bundle
from training.checkpoints.weights import save_weights
from training.models.lite import Lite

pytestmark = pytest.mark.slow

FP32, FP16 = RunName("onnxruntime", "fp32"), RunName("onnxruntime", "fp16")
TORCH = RunName("torch", "fp32")


@pytest.fixture(scope="module")
def settled(once) -> tuple[Lite, dict[str, Path]]:
    return settled_graphs(once)


@pytest.fixture(scope="module")
def model(settled) -> Lite:
    return settled[0]


@pytest.fixture(scope="module")
def files(settled) -> dict[str, Path]:
    return settled[1]


@pytest.fixture
def bundle(files: dict[str, Path], tmp_path: Path):
    """Write the small graphs as a bundle: `bundle(other={name: bytes})`."""

    def write(other: dict[str, bytes] | None = None) -> Bundle:
        written = settled_bundle({**files, **(other or {})}, tmp_path / "bundle")
        return tapped_bundle(written, written.precisions, tmp_path / "tapped")

    return write


def compared(bundle: Bundle, *candidates: RunName, checkpoint: Path | None = None):
    return verify(
        bundle,
        FP32,
        candidates,
        random_cases(bundle, 2),
        probe_cases(bundle),
        TOLERANCES,
        inputs="random",
        opener=lambda name: open_run(name, bundle, 1, checkpoint),
    )


@pytest.fixture(scope="module")
def checkpoint(model: Lite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(model, path, {})
    return path


def test_float16_and_torch_agree_with_float32_in_every_tap(bundle, checkpoint) -> None:
    found = compared(bundle(), FP16, TORCH, checkpoint=checkpoint)
    assert found.passed, (found.sentence, *found.comparisons[0].tensors)
    for comparison in found.comparisons:
        assert comparison.only_reference == ()
        for graph in (ENCODER, LOCALIZER):
            taps = [t for t in comparison.tensors if t.graph == graph and t.name[:4] == "tap."]
            assert len(taps) >= 4
            assert all(each.relative > 0 for each in taps), "not the same numbers twice"
    half, torch_one = found.comparisons
    assert max(t.relative for t in torch_one.tensors if t.name[:4] == "tap.") < 1e-4
    assert max(t.relative for t in half.tensors) > 3e-4, "float16 rounds"


def test_one_weight_of_a_middle_layer_is_found_at_its_stage(bundle, files) -> None:
    """A weight of the second block of the encoder's neck in float16: the first block passes."""
    name = f"graphs/fp16/{ENCODER}.onnx"
    graph = onnx.load(str(files[name]))
    assert [*tap_names(graph)][1:4] == ["tap.neck_1", "tap.neck_2", "tap.neck_3"]
    outputs = [node.output[0] for node in graph.graph.node]
    start, end = (outputs.index(f"tap.neck_{block}") for block in (1, 2))
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    convolution = next(node for node in graph.graph.node[start + 1 : end] if node.op_type == "Conv")
    tensor = weights[convolution.input[1]]
    value = onnx.numpy_helper.to_array(tensor).copy()
    assert value.dtype == np.float16
    value[0] *= -30
    tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    found = compared(bundle({name: graph.SerializeToString()}), FP16)
    first = found.comparisons[0].first_divergence
    assert not found.passed
    assert (first.graph, first.name) == (ENCODER, "tap.neck_2")
    assert f"at tap.neck_2 of the {ENCODER}" in found.sentence


def test_the_wrong_checkpoint_is_found_where_it_differs(bundle, model, tmp_path) -> None:
    """With weights of the query neck changed, the block that has them is named."""
    other = Lite(model.options).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        other.query_neck.blocks[0].project.weight.mul_(1.5)
    wrong = tmp_path / "wrong.safetensors"
    save_weights(other, wrong, {})
    first = compared(bundle(), TORCH, checkpoint=wrong).comparisons[0].first_divergence
    assert (first.graph, first.name) == (LOCALIZER, "tap.neck_1")


def test_torch_runs_the_shipped_bundle_with_the_weights_of_its_own_graphs() -> None:
    shipped = Bundle.open(shipped_bundle_path())
    found = verify(
        shipped, FP32, [TORCH], random_cases(shipped, 1), [], TOLERANCES, inputs="random"
    )
    assert found.passed, found.sentence
    (comparison,) = found.comparisons
    assert comparison.boxes.iou_share == 1
    names = [each.name for each in comparison.tensors]
    assert not comparison.only_candidate, "torch's taps are no news where none were asked for"
    assert {"v", "u", "query_vector"} <= set(names)
