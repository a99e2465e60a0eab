"""The published models' graphs against torch, in both precisions, on shallow backbones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exported_once import small_published
from small_backbones import small_model
from torch import nn

from calibration.quantization.convolutions import carried_over
from calibration.quantization.policy import Sorted, sort_convolutions, tensors_to_observe
from calibration.quantization.qdq import Form, quantize_graph
from edge.bundle import ENCODER, LOCALIZER
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.scoring import iou
from export.graph_signature import LOCALIZER_OUTPUTS
from export.graphs import graph_modules, torch_run
from export.model_taps import taps_of
from export.type_report import report_types
from tests.support.quick_ranges import quick_ranges
from training.models.contract import CrossViewModel

COSINE = {"detgeo": {}, "ocgnet": {"fold_head": False}, "mogeo": {"min_max": True}}
JOINT = {
    "attengeo": {"iterations": 1},
    "trogeo": {},
    "detgeo_ported": {"iterations": 1, "mhsam": True},
    "detgeo_ported, mhsam alone": {"cvcam": False, "mhsam": True},
}
# DetGeo's ways are OCGNet's too; TROGeo has twice as many nodes as any other.
LONG = ("detgeo", "trogeo", "detgeo_ported")
NAMES = [
    pytest.param(name, marks=pytest.mark.full_size) if name in LONG else name
    for name in (*COSINE, *JOINT)
]
pytestmark = pytest.mark.slow
INV_VAR = np.float32([0, 0, 1 / 9, 1 / 400, 0])


@dataclass(frozen=True, slots=True)
class Exported:
    name: str
    model: CrossViewModel
    paths: dict[tuple[str, str], Path]  # (precision, kind)

    def loaded(self, precision: str, kind: str) -> onnx.ModelProto:
        return onnx.load(str(self.paths[precision, kind]))


@pytest.fixture(scope="module", params=NAMES)
def exported(request: pytest.FixtureRequest, once) -> Exported:
    name = request.param
    return Exported(name, *small_published(once, name.split(",")[0], **{**COSINE, **JOINT}[name]))


def run(path: Path, fed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, fed), strict=True))


def patches(side: tuple[int, int], seed: int) -> np.ndarray:
    """Smooth coloured patches: noise of single pixels is nothing that a network resolves."""
    small = np.random.default_rng(seed).integers(0, 255, (side[0] // 8, side[1] // 8, 3))
    return small.repeat(8, 0).repeat(8, 1).astype(np.uint8)


def answers(exported: Exported, precision: str, fill: int | None = None) -> dict[str, np.ndarray]:
    """Both graphs of one precision in a row: what the localizer says, with what it was fed."""
    window, frame = patches((256, 256), 1), patches((64, 128), 2)
    if fill is not None:
        window[:], frame[:] = fill, fill
    features = run(exported.paths[precision, ENCODER], {"image": window})
    fed = {
        "frame": frame,
        "frame_affine": np.float32([[0.5, 0, 0], [0, 0.5, 4]]),
        "click_xy_px": np.float32([[10, 10], [200, 100], [100, 50], [255, 119], [0, 0]]),
        **features,
        "prior_xy_px": np.float32([[30, 40], [30, 40], [200, 60], [60, 200], [9, 9]]),
        "prior_inv_var": INV_VAR,
    }
    return {**fed, "image": window, **run(exported.paths[precision, LOCALIZER], fed)}


@pytest.fixture(scope="module")
def single(exported) -> dict[str, np.ndarray]:
    return answers(exported, "fp32")


@pytest.fixture(scope="module")
def half(exported) -> dict[str, np.ndarray]:
    return answers(exported, "fp16")


def in_torch(model: nn.Module, values: dict[str, np.ndarray], names: list[str]):
    return torch_run(model, {name: torch.from_numpy(values[name]) for name in names})


def input_names(path: Path) -> list[str]:
    return [value.name for value in onnx.load(path).graph.input]


def test_float32_graphs_answer_as_torch_does(exported, single) -> None:
    for kind in (ENCODER, LOCALIZER):
        names = input_names(exported.paths["fp32", kind])
        outputs, _ = in_torch(exported.model, single, names)
        for name, wanted in outputs.items():
            scale = max(1.0, wanted.abs().max().item())
            apart = np.abs(single[name].astype(np.float64) - wanted.double().numpy()).max()
            assert apart < 2e-3 * scale, (kind, name)


def test_without_a_prior_the_graph_is_the_model(exported, single) -> None:
    """`localize`, the model's own, against the graph's clicks that have no prior."""
    model = exported.model
    frame = torch.from_numpy(single["frame"]).permute(2, 0, 1).float()
    affine = torch.from_numpy(single["frame_affine"])
    clicks = torch.from_numpy(single["click_xy_px"]) @ affine[:, :2].t() + affine[:, 2]
    window = torch.from_numpy(single["image"]).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        features = {k: t[0].half() for k, t in model.encode_reference(window).items()}
        wanted = model.localize(frame, clicks, features)
    free = INV_VAR == 0
    for name in ("box_xyxy_px", "confidence_logit", "peak_similarity", "second_peak_similarity"):
        ours, theirs = single[name][free], getattr(wanted, name).numpy()[free]
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-2, err_msg=name)


def test_priors_act(exported, single) -> None:
    """A prior of 3 px outweighs any confidence here: it chooses the cell, or one beside it."""
    x1, y1, x2, y2 = single["box_xyxy_px"][2]
    apart = np.abs(np.array([(x1 + x2) / 2, (y1 + y2) / 2]) - single["prior_xy_px"][2])
    assert apart.max() <= 1.5 * exported.model.options.stride_px


def test_float16_agrees_with_float32(single, half) -> None:
    pairs = zip(single["box_xyxy_px"].tolist(), half["box_xyxy_px"].tolist(), strict=True)
    assert np.median([iou(tuple(a), tuple(b)) for a, b in pairs]) >= 0.99
    for name in LOCALIZER_OUTPUTS[1:]:
        assert half[name].dtype == np.float32 and half[name].shape == single[name].shape
        scale = max(1.0, np.abs(single[name]).max())
        assert np.abs(half[name] - single[name]).max() < 0.03 * scale, name


@pytest.mark.parametrize("fill", [0, 255])
def test_flat_images_give_numbers_in_float16(exported, fill) -> None:
    found = answers(exported, "fp16", fill)
    for name, value in found.items():
        assert np.isfinite(value).all(), name


def test_heavy_operators_run_in_float16(exported) -> None:
    for kind in (ENCODER, LOCALIZER):
        report = report_types(exported.paths["fp16", kind])
        report.check()
        node = kind == LOCALIZER and exported.name in COSINE
        assert report.custom_nodes == int(node)
    plain = report_types(exported.paths["fp32", LOCALIZER])
    assert plain.half_share == 0 and plain.custom_nodes == 0


def test_features_enter_tile_attention_as_they_are_stored(exported) -> None:
    graph = onnx.load(exported.paths["fp16", LOCALIZER]).graph
    nodes = [node for node in graph.node if node.op_type == "TileAttention"]
    assert [list(node.input[1:3]) for node in nodes] == [["v", "u"]] * (exported.name in COSINE)


def test_taps_have_the_same_names_and_nearly_the_same_values(exported, single) -> None:
    for kind in (ENCODER, LOCALIZER):
        names = input_names(exported.paths["fp32", kind])
        _, wanted = in_torch(exported.model, single, names)
        assert list(wanted) == [tap.value for tap in taps_of(exported.model) if tap.graph == kind]
        assert len(wanted) >= 4
        for precision, bound in (("fp32", 2e-3), ("fp16", 0.05)):
            model = onnx.load(exported.paths[precision, kind])
            assert not {value.name for value in model.graph.output} & set(wanted)
            model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
            for value in model.graph.output:
                if value.name in wanted:
                    stated = [v for v in model.graph.value_info if v.name == value.name]
                    value.CopyFrom(stated[0])
                    model.graph.value_info.remove(stated[0])
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), providers=["CPUExecutionProvider"]
            )
            found = session.run(list(wanted), {name: single[name] for name in names})
            for name, ours in zip(wanted, found, strict=True):
                theirs = wanted[name].double().numpy()
                scale = max(1.0, np.abs(theirs).max())
                apart = np.abs(ours.astype(np.float64) - theirs).max()
                assert apart < bound * scale, (precision, name)


@pytest.mark.parametrize("name", LONG)
def test_taps_of_torch_have_the_names_of_the_graphs(name) -> None:
    """Without an export, which is long for these."""
    model = small_model(name)
    for graph in graph_modules(model).values():
        fed = dict(zip(graph.inputs, graph.example, strict=True))
        outputs, taps = torch_run(model, fed)
        assert list(outputs) == list(graph.outputs)
        assert list(taps) == [tap.value for tap in taps_of(model) if tap.graph == graph.kind]
        assert len(taps) >= 4


# Of all multiply-accumulates of both graphs, what the policy lets run in INT8. What follows the
# meeting of the views stays float16: most of the joint models.
INT8_SHARE = {
    "detgeo": (0.9, 1.0),
    "ocgnet": (0.9, 1.0),
    "mogeo": (0.5, 1.0),
    "attengeo": (0.05, 0.9),
    "trogeo": (0.001, 0.5),
    "detgeo_ported": (0.05, 1.0),
}


@dataclass(frozen=True, slots=True)
class SortedGraph:
    """What the policy says of a float32 graph, and ranges of what it would quantise."""

    plain: onnx.ModelProto
    convolutions: Sorted
    amax: dict[str, float]


@pytest.fixture(scope="module")
def sorted_graphs(exported, single) -> dict[str, SortedGraph]:
    found = {}
    for kind in (ENCODER, LOCALIZER):
        plain = exported.loaded("fp32", kind)
        convolutions = sort_convolutions(plain)
        names = tensors_to_observe(convolutions.eligible)
        amax = quick_ranges(plain, names, single) if names else {}
        found[kind] = SortedGraph(plain, convolutions, amax)
    return found


@pytest.mark.parametrize("form", list(Form))
def test_both_int8_forms_lie_near_float32(exported, single, sorted_graphs, form, tmp_path) -> None:
    """Every model goes through; ranges are those of this very input."""
    shares = []
    for kind, sorts in sorted_graphs.items():
        plain, found, amax = sorts.plain, sorts.convolutions, sorts.amax
        if not found.eligible:
            assert exported.name == "trogeo", kind
            continue
        model = plain
        if form is Form.TENSORRT:
            model = exported.loaded("fp16", kind)
            amax = carried_over(amax, plain, model)
        chosen = {each.name for each in found.eligible}
        path = tmp_path / f"{kind}.onnx"
        onnx.save(quantize_graph(model, amax, chosen, form), str(path))
        graph = OnnxRuntimeExecutor(path, form.value, 1)
        outputs = graph.run({spec.name: single[spec.name] for spec in graph.inputs})
        for name, value in outputs.items():
            assert np.isfinite(value).all() and value.shape == single[name].shape, name
        for name in set(outputs) - set(LOCALIZER_OUTPUTS):  # features: real numbers, not choices
            one, other = (each.astype(np.float64).ravel() for each in (single[name], outputs[name]))
            cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            assert 0.8 < cosine < 1 - 1e-7, (kind, name, cosine)
        shares.append(found.int8_share_of_macs)
    low, high = INT8_SHARE[exported.name.split(",")[0]]
    assert low <= max(shares) <= high, shares
