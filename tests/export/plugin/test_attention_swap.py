"""A model whose attention is CrossAttention answers as the model itself does."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import onnx
import onnxruntime
import pytest
import torch
from quick_weights import quick_random_weights
from small_backbones import shallow_backbones
from torch import nn

from edge.errors import UsageError
from export.plugin.attention_swap import PositionedAttention, swap_attention, swap_cvcam
from export.plugin.cross_attention_onnx import OPSET, add_bodies
from export.plugin.cross_attention_op import CrossAttention
from training.models import build
from training.models.cvcam import Attention, Cvcam, CvcamOptions, NormOrder
from training.models.cvopm import Cvopm
from training.models.ocgnet import MultiHeadCrossAttention

FRAME_HW = (64, 96)
WINDOW_PX = {"ocgnet": 256}  # below, it pools its reference to one token
# name -> model, options, attentions
CASES = {
    "ocgnet": ("ocgnet", {}, 1),
    "attengeo, mha": ("attengeo", {"iterations": 2, "attention": "mha"}, 5),
    "attengeo, linear": ("attengeo", {"iterations": 1, "attention": "linear", "ffn": 512}, 3),
    "attengeo, unscaled": ("attengeo", {"iterations": 1, "scaling": "none"}, 3),
    "attengeo, unscaled, linear": (
        "attengeo",
        {"iterations": 1, "scaling": "none", "attention": "linear"},
        3,
    ),
    "attengeo, pre-norm": ("attengeo", {"iterations": 1, "norm": "pre", "first_index": 1}, 3),
    "detgeo with cvcam": ("detgeo_ported", {"iterations": 1}, 3),
    "trogeo": ("trogeo", {}, 2),
}


@pytest.fixture(scope="module", autouse=True)
def quick_models() -> Iterator[None]:
    with quick_random_weights(), shallow_backbones():
        yield


def made(name: str, options: dict[str, object]) -> nn.Module:
    """A model whose answers depend on its attention: nothing in it is zero as new ones are."""
    torch.manual_seed(0)
    side_px = WINDOW_PX.get(name, 160)
    model = build(name, frame_hw_px=FRAME_HW, window_px=side_px, **options).eval()
    for module in model.modules():
        if isinstance(module, (Cvcam, Cvopm)):
            for parameter_name, parameter in module.named_parameters():
                if parameter.dim() == 1 and "norm" not in parameter_name:
                    nn.init.normal_(parameter, std=0.3)
        if isinstance(module, Cvopm):
            nn.init.normal_(module.proj_out.weight, std=0.05)
        if isinstance(module, nn.MultiheadAttention):
            nn.init.normal_(module.in_proj_weight, std=0.08)
    return model


@torch.inference_mode()
@pytest.mark.parametrize("case", CASES)
def test_a_swapped_model_equals_the_original(case):
    name, options, attentions = CASES[case]
    model = made(name, options)
    swapped = copy.deepcopy(model)
    assert swap_attention(swapped) == attentions
    assert sum(isinstance(m, CrossAttention) for m in swapped.modules()) == attentions
    frame = 255 * torch.rand(3, *FRAME_HW)
    window = 255 * torch.rand(1, 3, model.options.window_px, model.options.window_px)
    clicks = torch.tensor([[20.0, 30.0], [70.0, 11.0]])
    own, other = (
        {k: t[0] for k, t in m.encode_reference(window).items()} for m in (model, swapped)
    )
    assert {k: t.shape for k, t in own.items()} == {k: t.shape for k, t in other.items()}
    before, after = (m.localize(frame, clicks, f) for m, f in ((model, own), (swapped, other)))
    for field in ("box_xyxy_px", "confidence_logit", "peak_similarity", "attention"):
        a, b = getattr(before, field), getattr(after, field)
        scale = float(a.abs().max())
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5 * max(scale, 1.0), msg=field)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["ocgnet", "mha", "linear", "pre", "trogeo"])
def test_a_swapped_part_equals_the_original(kind):
    """On tokens as far apart as a trained model's; and the answer depends on the attention."""
    torch.manual_seed(3)
    if kind == "ocgnet":
        part, inputs = (
            MultiHeadCrossAttention(32, 4),
            (torch.randn(2, 32, 2, 3), torch.randn(2, 6, 32), torch.randn(2, 6, 32)),
        )
    elif kind == "trogeo":
        part, inputs = Cvopm(128, 64), (torch.randn(2, 128, 4, 5), torch.randn(2, 64, 2, 3))
    else:
        norm = NormOrder.PRE if kind == "pre" else NormOrder.POST
        form = Attention.LINEAR if kind == "linear" else Attention.MHA
        options = CvcamOptions(32, ffn=64, iterations=2, heads=4, norm=norm, attention=form)
        part, inputs = Cvcam(options), (torch.randn(2, 32, 2, 3), torch.randn(2, 32, 4, 5))
    for name, parameter in part.named_parameters():
        if "norm" not in name:
            nn.init.normal_(parameter, std=0.3)
    model = nn.Sequential(part.eval()).eval()
    before = part(*inputs)
    swapped = swap_cvcam(part, (2, 3), (4, 5)) if isinstance(part, Cvcam) else swap_attention(model)
    steps = [m for m in model.modules() if isinstance(m, CrossAttention)]
    assert swapped == len(steps) == {"ocgnet": 1, "trogeo": 2}.get(kind, 5)
    assert (model[0](*inputs) - before).norm() < 1e-5 * before.norm()
    for step in steps:
        step.scale *= 0.5
        assert (model[0](*inputs) - before).norm() > 1e-2 * before.norm()
        step.scale *= 2.0


def test_swapping_twice_finds_nothing_more():
    model = made("trogeo", {})
    assert swap_attention(model) == 2
    assert swap_attention(model) == 0
    assert swap_attention(made("detgeo", {})) == 0


def test_positions_are_projected_once():
    """W P in the module is what W (x + P) adds to W x."""
    torch.manual_seed(1)
    old = nn.MultiheadAttention(16, 2, batch_first=True).eval()
    at_query, at_key = torch.randn(3, 16), torch.randn(5, 16)
    new = PositionedAttention(old, at_query, at_key).eval()
    x, z = torch.randn(2, 3, 16), torch.randn(2, 5, 16)
    with torch.no_grad():
        expected, _ = old(x + at_query, z + at_key, z, need_weights=False)
        torch.testing.assert_close(new(x, z), expected, rtol=1e-5, atol=1e-5)
    assert [tuple(b.shape) for b in new.buffers()] == [(3, 16), (5, 16)]


def test_another_grid_is_refused():
    model = made("attengeo", {"iterations": 1})
    swap_attention(model)
    with pytest.raises(UsageError) as error:
        model.fuse(torch.zeros(1, 256, 2, 2), {"reference": torch.zeros(1, 256, 5, 5)})
    assert error.value.expected == "6 tokens that read 25"
    assert error.value.found == "4 that read 25"


def test_training_and_unknown_grids_are_refused():
    with pytest.raises(UsageError) as error:
        swap_attention(made("trogeo", {}).train())
    assert error.value.what == "the attention of a model in training cannot be swapped"
    with pytest.raises(UsageError) as error:
        swap_attention(nn.Sequential(Cvcam(CvcamOptions(width=16, heads=2, ffn=16))).eval())
    assert error.value.expected == "a model of attengeo, detgeo_ported"


@torch.inference_mode()
def test_a_swapped_part_exports_to_nodes():
    """CVCAM's three blocks become three nodes; ONNX Runtime runs them by the body."""
    torch.manual_seed(2)
    part = Cvcam(CvcamOptions(32, ffn=64, iterations=1, heads=4)).eval()
    inputs = torch.randn(2, 32, 2, 3), torch.randn(2, 32, 5, 5)
    expected = part(*inputs)
    assert swap_cvcam(part, (2, 3), (5, 5)) == 3
    clicks = torch.export.Dim("clicks", min=1, max=64)
    model = torch.onnx.export(
        part,
        inputs,
        dynamo=True,
        opset_version=OPSET,
        input_names=["query", "reference"],
        dynamic_shapes=({0: clicks}, {0: clicks}),
        verbose=False,
    ).model_proto
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("CrossAttention") == 3
    assert not {"Softmax", "Sin", "Cos"} & set(kinds), "attention or positions are still computed"
    assert add_bodies(model) == 3
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for n in (2, 1):
        given = {"query": inputs[0][:n].numpy(), "reference": inputs[1][:n].numpy()}
        (found,) = session.run(None, given)
        torch.testing.assert_close(torch.from_numpy(found), expected[:n], rtol=1e-4, atol=1e-4)
