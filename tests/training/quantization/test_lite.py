"""`lite` with fake quantisation against its own INT8 graphs, run by ONNX Runtime."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from small_lite import FRAME_PX, WINDOW_PX, shallow_efficientnet, small_lite

from calibration.quantization.policy import sort_convolutions
from calibration.quantization.qdq import Form, quantize_graph
from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from edge.errors import CalibrationError, UsageError
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from export.bundle_weights import lite_from_bundle
from export.graph_writing import export_module
from export.graphs import graph_modules
from training.checkpoints.weights import load_weights, save_weights
from training.models import build
from training.models.efficientnet_lite import InvertedResidual
from training.models.necks import DepthwiseResidual
from training.quantization.convolution import FakeQuantConv
from training.quantization.lite import QuantizedLite
from training.quantization.scales import fake_weights, weight_scales


def pictures(frame_px: int, window_px: int) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 [H, W, 3] in patches: a frame and a window."""
    rng = np.random.default_rng(3)
    made = []
    for side in (frame_px, window_px):
        patches = rng.integers(0, 256, (side // 16, side // 16, 3), dtype=np.uint8)
        made.append(torch.from_numpy(patches.repeat(16, 0).repeat(16, 1)))
    return made[0], made[1]


def planes(picture: torch.Tensor) -> torch.Tensor:
    return picture.permute(2, 0, 1)[None].float()


def observed(model: QuantizedLite, frame: torch.Tensor, window: torch.Tensor) -> QuantizedLite:
    """With the largest values of these two as ranges, a little cut off so that some saturate."""
    model.view.observing = True
    with torch.no_grad():
        model.encode_query(planes(frame))
        model.encode_reference(planes(window))
    model.view.observing = False
    cut = {k: {n: 0.9 * v for n, v in ranges.items()} for k, ranges in model.amax.items()}
    model.set_amax(cut)
    return model


def quantized_graph(model: QuantizedLite, graphs, kind: str):
    """The float32 graph with the Q/DQ of TensorRT's form, and its convolutions by module."""
    graph = onnx.load(str(graphs(kind)))
    eligible = sort_convolutions(graph).eligible
    names = {c.name.removeprefix("model.").removesuffix(".weight"): c for c in eligible}
    assert names.keys() == model.amax[kind].keys(), "the policy chooses the same"
    amax = {c.source: model.amax[kind][name] for name, c in names.items()}
    return quantize_graph(graph, amax, [c.name for c in eligible], Form.TENSORRT), names


def residual_firsts(model: QuantizedLite) -> set[str]:
    """Convolutions that read the same value as the addition of their block."""
    blocks = {n: m for n, m in model.named_modules() if isinstance(m, InvertedResidual) and m.adds}
    necks = {n for n, m in model.named_modules() if isinstance(m, DepthwiseResidual)}
    return {f"{name}._expand_conv" for name in blocks} | {f"{name}.expand" for name in necks}


def test_every_convolution_of_the_shipped_model_reads_what_its_int8_graph_reads(tmp_path) -> None:
    """From the graph's own values each time: a value on the border of two levels may go either way,
    and over sixty layers that grows."""
    bundle = Bundle.open(shipped_bundle_path())
    frame, window = pictures(512, 128)
    model = observed(QuantizedLite(lite_from_bundle(bundle)), frame, window)
    graph, convolutions = quantized_graph(model, bundle.graph, LOCALIZER)
    sources = list(dict.fromkeys(c.source for c in convolutions.values()))
    graph.graph.output.extend(onnx.helper.make_tensor_value_info(s, 1, None) for s in sources)
    onnx.save(graph, tmp_path / "all.onnx")
    inputs = {
        **{"frame": frame.numpy(), "frame_affine": np.eye(2, 3, dtype=np.float32)},
        **{"click_xy_px": np.float32([[99, 80]]), "prior_xy_px": np.zeros((1, 2), np.float32)},
        **{name: np.zeros((c, 128, 128), np.float16) for name, c in (("v", 128), ("u", 64))},
        "prior_inv_var": np.zeros(1, np.float32),
    }
    wanted = OnnxRuntimeExecutor(tmp_path / "all.onnx", Form.TENSORRT.value, 1).run(inputs)
    apart: dict[str, float] = {}

    def compare_and_take(name: str):
        def hook(module: torch.nn.Module, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
            scale = model.quantized[name].range.scale[LOCALIZER]
            value = torch.from_numpy(wanted[convolutions[name].source])
            apart[name] = float(((given[0] - value).abs() > 1e-3 * scale).float().mean())
            return (value,)

        return hook

    firsts = residual_firsts(model)
    for name in convolutions:  # the addition has to take the graph's value too
        at = model.get_submodule(name.rpartition(".")[0] if name in firsts else name)
        at.register_forward_pre_hook(compare_and_take(name), prepend=True)
    with torch.no_grad():
        model.encode_query(planes(frame))
    assert apart.keys() == convolutions.keys()
    assert len(apart) == 41
    # a weight on such a border is one output channel; another scale or place would be most of them
    assert max(apart.values()) < 0.01, apart


@pytest.fixture(
    params=[shallow_efficientnet, pytest.param(contextlib.nullcontext, marks=pytest.mark.full_size)]
)
def backbone(request: pytest.FixtureRequest) -> Iterator[None]:
    with request.param():
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("backbone")
def test_a_trained_model_is_exported_as_it_was_trained(tmp_path) -> None:
    """Batch norms folded, one step trained, saved, loaded, exported: the same INT8 weights."""
    frame, window = pictures(FRAME_PX, WINDOW_PX)
    model = observed(QuantizedLite(small_lite()), frame, window)
    step(model, frame, window)
    save_weights(model, tmp_path / "tuned.safetensors", {})
    tuned, _ = load_weights(tmp_path / "tuned.safetensors")
    onnx.save(export_module(graph_modules(tuned)[ENCODER], ()), tmp_path / "fp32.onnx")
    graph, convolutions = quantized_graph(model, lambda _: tmp_path / "fp32.onnx", ENCODER)
    constants = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}
    for name, each in convolutions.items():
        weights = model.quantized[name].weight
        assert np.array_equal(constants[f"{each.name}.scale"], weight_scales(weights).numpy())
        levels = fake_weights(weights) / weight_scales(weights).view(-1, 1, 1, 1)
        apart = (levels - torch.tensor(constants[f"{each.name}.quantized"])).abs()
        assert float((apart > 0.5).float().mean()) < 1e-3, name
    onnx.save(graph, tmp_path / "int8.onnx")
    fed = {"image": window.numpy()}
    wanted = OnnxRuntimeExecutor(tmp_path / "int8.onnx", Form.TENSORRT.value, 1).run(fed)
    plain = OnnxRuntimeExecutor(tmp_path / "fp32.onnx", "fp32", 1).run(fed)
    rounded = graph_modules(model)[ENCODER]
    with torch.no_grad():
        ours = dict(zip(rounded.outputs, rounded.module(window), strict=True))
    assert ours.keys() == wanted.keys()
    for name, value in wanted.items():  # borders of levels, see above
        apart = np.abs(ours[name].double().numpy() - value).mean()
        assert apart < 0.25 * np.abs(plain[name].astype(np.float64) - value).mean(), name


def step(model: QuantizedLite, frame: torch.Tensor, window: torch.Tensor) -> None:
    """One step of plain descent on made-up targets."""
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-4)
    query, reference = model.encode_query(planes(frame)), model.encode_reference(planes(window))
    loss = (query - 1).square().mean() + (reference["u"] - 1).square().mean()
    (loss + (reference["v"] - 0.1).square().mean()).backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    model.eval()


def test_gradients_reach_the_folded_weights_of_every_quantised_convolution() -> None:
    frame, window = pictures(FRAME_PX, WINDOW_PX)
    model = observed(QuantizedLite(small_lite()), frame, window)
    before = {name: module.weight.detach().clone() for name, module in model.quantized.items()}
    step(model, frame, window)
    for name, module in model.quantized.items():
        assert not torch.equal(before[name], module.weight), name
        assert module.weight.unique().numel() > 255 * 0.2, "the weights themselves are float"
    kinds = {type(m) for m in model.modules() if isinstance(m, torch.nn.Conv2d)}
    assert kinds == {FakeQuantConv}


def test_the_checkpoint_is_a_plain_one(tmp_path) -> None:
    frame, window = pictures(FRAME_PX, WINDOW_PX)
    start = small_lite()
    model = observed(QuantizedLite(start), frame, window)
    save_weights(model, tmp_path / "a.safetensors", {})
    loaded, _ = load_weights(tmp_path / "a.safetensors")
    assert type(loaded) is type(start)
    assert loaded.options == start.options
    assert list(model.state_dict()) == list(start.state_dict())
    with torch.no_grad():
        found, wanted = (m.encode_reference(planes(window))["v"] for m in (loaded, start))
        rounded = model.encode_reference(planes(window))["v"]
        plain = model.plain().encode_reference(planes(window))["v"]
    assert (found - wanted).abs().max() < 1e-4
    assert torch.equal(found, plain)
    assert (rounded - wanted).abs().max() > 1e-3


def test_without_ranges_it_is_the_float_model_and_each_view_has_its_own() -> None:
    frame, window = pictures(FRAME_PX, WINDOW_PX)
    start = small_lite()
    model = QuantizedLite(start)
    with torch.no_grad():
        query, v = start.encode_query(planes(frame)), start.encode_reference(planes(window))["v"]
        assert (model.encode_query(planes(frame)) - query).abs().max() < 1e-4
        observed(model, frame, window)
        assert model.amax[LOCALIZER].keys() < {*model.amax[ENCODER], "query_embedding"} | {
            name for name in model.quantized if name.startswith("query_neck")
        }
        model.set_amax({LOCALIZER: model.amax[LOCALIZER]})
        assert (model.encode_reference(planes(window))["v"] - v).abs().max() < 1e-4
        assert (model.encode_query(planes(frame)) - query).abs().max() > 1e-3


def test_a_copy_has_a_view_of_its_own() -> None:
    """Averaged weights are a copy: it must not look at what the first one computes."""
    model = observed(QuantizedLite(small_lite()), *pictures(FRAME_PX, WINDOW_PX))
    twin = copy.deepcopy(model)
    assert {id(m.view) for m in twin.quantized.values()} == {id(twin.view)} != {id(model.view)}
    assert twin.amax == model.amax


def test_what_cannot_be_quantised_is_refused() -> None:
    empty = small_lite()
    with torch.no_grad():
        for module in empty.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.zero_()
    with pytest.raises(UsageError) as caught:
        QuantizedLite(empty)
    assert "at least 64 weights that are not all zero" in caught.value.expected
    assert "leave --qat out" in caught.value.do
    other = build("lite", backbone="xfeat", width=16, embedding=16, hidden=16)
    with pytest.raises(UsageError, match="one on xfeat"):
        QuantizedLite(other)


@pytest.mark.parametrize("ranges", [{"head": 1.0}, {"reference_hidden": 1e9}])
def test_ranges_that_are_none_of_this_model_are_refused(ranges) -> None:
    with pytest.raises(CalibrationError) as caught:
        QuantizedLite(small_lite()).set_amax({ENCODER: ranges})
    assert next(iter(ranges)) in caught.value.what
    assert ENCODER in caught.value.found
