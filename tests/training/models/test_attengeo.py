import cross_view
import numpy as np
import pytest
import torch

from training.models.attengeo import F2, AttenGeo, AttenGeoOptions
from training.models.contract import CVOGL_ANCHORS_WH_PX
from training.models.conv_block import ConvBlock
from training.models.cvcam import CrossAttentionBlock, UnscaledAttention
from training.models.joint_attention import LOWEST_LOGIT

WINDOW_PX = 192  # smaller ones are smaller than the kernels of MHSAM
SMALL = {"width": 32, "ffn": 48, "iterations": 1, "mhsam_hidden": 24, "head_hidden": 16}


def build(**options) -> AttenGeo:
    torch.manual_seed(7)
    return AttenGeo(AttenGeoOptions(**{**SMALL, **options}))


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return cross_view.pictures(window_px=WINDOW_PX)


@pytest.fixture(scope="module")
def model(made, pair) -> AttenGeo:
    return cross_view.settle(made(), *pair)


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({}, 44_582_719),
        (F2, 42_218_815),
        ({"cvcam": False}, 44_582_719 - 9 * 789_760),
        ({"mhsam": False}, 44_582_719 - 9_177_344),
        ({"projection": "conv-norm"}, 44_582_719 + 512),
        ({"click_activation": "relu", "head_activation": "relu", "scaling": "none"}, 44_582_719),
    ],
)
def test_parameters(options, total):
    with torch.device("meta"):
        assert cross_view.parameters(AttenGeo(AttenGeoOptions(**options))) == total


@pytest.mark.parametrize(
    ("options", "frame_hw", "whole", "cached"),
    [
        ({}, (256, 256), 111.102, 17.805),
        ({}, (256, 512), 117.445, 24.149),
        (F2, (256, 256), 109.81, 109.81 * (1 - 0.8496)),
        (F2, (256, 512), 116.09, 116.09 * (1 - 0.8037)),
    ],
)
def test_multiply_accumulates(options, frame_hw, whole, cached):
    """Figures of the reconstruction; its second place is rounded for F2."""
    with torch.device("meta"):
        model = AttenGeo(AttenGeoOptions(**options)).eval()
    found = cross_view.giga_macs(model, frame_hw)
    assert found == pytest.approx((whole, cached), abs=0.012)


def test_shapes_of_the_two_variants(model, made, pair):
    clicks = cross_view.clicks_of_one_pair()
    with torch.no_grad():
        maps = model(*pair, clicks)
        assert maps.boxes.shape == (3, len(CVOGL_ANCHORS_WH_PX), 5, 6, 6)
        assert maps.similarity.shape == maps.attention.shape == (3, 6, 6)
        assert torch.equal(maps.similarity, maps.boxes[:, :, 4].max(1).values)
        assert 0 < float(maps.attention.min()) < float(maps.attention.max()) < 1
        doubled = made(**F2).eval()(*pair, clicks)
        assert doubled.boxes.shape == (3, 9, 5, 12, 12)
        assert doubled.attention.shape == (3, 6, 6)


@pytest.mark.parametrize("options", [{}, F2, {"cvcam": False, "mhsam": False}])
def test_cached_equals_whole_bit_for_bit(options, made, pair):
    cross_view.check_cached_equals_whole(
        cross_view.settle(made(**options), *pair), *pair, lowest=LOWEST_LOGIT
    )


def test_one_window_feature_is_cached(model, pair):
    features = model.encode_reference(pair[1])
    assert {k: tuple(v.shape) for k, v in features.items()} == {"reference": (1, 32, 6, 6)}


def test_clicks_do_not_see_each_other(model, pair):
    cross_view.check_clicks_do_not_see_each_other(model, *pair)


def test_pairs_of_a_batch_do_not_mix(model):
    cross_view.check_pairs_of_a_batch_do_not_mix(model, WINDOW_PX)


def test_constant_pictures_and_a_training_step(made):
    model = made()
    cross_view.check_constant_pictures(model, WINDOW_PX)
    cross_view.check_one_step_lowers_the_loss(model, WINDOW_PX)


def test_without_cvcam_is_a_plain_sum(made, pair):
    """R plus the query's mean, or plus its resized map: through a bare head, both by hand."""
    clicks = cross_view.clicks_of_one_pair()
    bare = made(cvcam=False, mhsam=False).eval()
    with torch.no_grad():
        reference = bare.encode_reference(pair[1])["reference"]
        query = bare.encode_query(pair[0].expand(3, -1, -1, -1), clicks.xy_px)
        mean = query.reshape(3, 32, -1).sum(2) / (query.shape[2] * query.shape[3])
        wanted = bare.head.maps(reference + mean[:, :, None, None])
        assert torch.allclose(bare(*pair, clicks).boxes, wanted, atol=1e-5)
        resized = made(cvcam=False, mhsam=False, sum_query="resize").eval()
        found = resized(*pair, clicks).boxes
    assert found.shape == wanted.shape
    assert not torch.allclose(found, wanted, atol=1e-3)


@pytest.mark.parametrize("part", ["click_fusion", "head.0"])
@pytest.mark.parametrize("activation", ["leaky-relu", "relu"])
def test_blocks_of_click_fusion_and_head_end_as_the_option_says(part, activation, made):
    option = "click_activation" if part == "click_fusion" else "head_activation"
    model = made(**{option: activation}).eval()
    block = model.get_submodule(part)
    x = torch.randn(2, block.conv.in_channels, 3, 4)
    weight = block.conv.weight.detach().numpy()[:, :, 0, 0]
    summed = np.einsum("oc,nchw->nohw", weight, x.numpy()) / np.sqrt(1 + block.bn.eps)
    slope = 0.1 if activation == "leaky-relu" else 0.0
    with torch.no_grad():
        found = block(x).numpy()
    assert np.allclose(found, np.where(summed > 0, summed, slope * summed), atol=1e-5)
    others = [m for n, m in model.named_modules() if isinstance(m, ConvBlock) and n != part]
    assert [m.activation.value for m in others] == ["leaky-relu"], "the other block keeps its own"


def test_projections_are_a_convolution_or_one_with_a_norm(made, pair):
    bare = made(cvcam=False, mhsam=False)
    normed = cross_view.settle(made(cvcam=False, mhsam=False, projection="conv-norm"), *pair)
    sides = ("query_projection", "reference_projection")
    for side in sides:
        conv, norm = getattr(normed, side)
        assert conv.bias is None and conv.weight.shape == getattr(bare, side).weight.shape
        x = torch.randn(1, 768, 2, 3)
        kernel, scale = conv.weight[:, :, 0, 0], norm.weight / (norm.running_var + norm.eps).sqrt()
        with torch.no_grad():
            raw = torch.einsum("oc,nchw->nohw", kernel, x) - norm.running_mean.view(1, -1, 1, 1)
            wanted = raw * scale.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
            assert torch.allclose(getattr(normed, side)(x), wanted, atol=1e-4)
    assert normed.query_projection[0].weight is not normed.reference_projection[0].weight


def test_scaling_reaches_every_block(made, pair):
    model, plain = made().eval(), made(scaling="none").eval()
    plain.load_state_dict(model.state_dict())
    clicks = cross_view.clicks_of_one_pair()
    with torch.no_grad():
        assert not torch.allclose(model(*pair, clicks).boxes, plain(*pair, clicks).boxes, atol=1e-4)
    blocks = [m for m in plain.modules() if isinstance(m, CrossAttentionBlock)]
    assert len(blocks) == 3
    assert all(isinstance(b.attention, UnscaledAttention) for b in blocks)


def test_panorama_frames_and_other_click_maps(made, pair):
    model = made(click_encoding="gaussian", sigma=0.05).eval()
    frame = cross_view.pictures((64, 128))[0]
    answers = cross_view.answers(model, frame, pair[1], torch.tensor([[120.0, 3.0]]))
    assert answers.box_xyxy_px.shape == (1, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride_px": 8}, "stride_px is 32 .F1. or 16 .F2., got 8"),
        ({"attention": "linaer"}, "unknown attention 'linaer'; nearest: 'linear'"),
        ({"norm": "past"}, "unknown norm 'past'; nearest: 'post'; known: post, pre"),
        ({"reads": "in parallel"}, "nearest: 'parallel'"),
        ({"activation": "relo"}, "nearest: 'relu'"),
        ({"positions": "halve"}, "nearest: 'halves'"),
        ({"sum_query": "men"}, "nearest: 'mean'"),
        ({"upsample": "near"}, "nearest: 'nearest'"),
        ({"scaling": "sqrt"}, "unknown scaling 'sqrt'; nearest: 'sqrt-d'; known: sqrt-d, none"),
        ({"click_activation": "leaky"}, "unknown click_activation 'leaky'; nearest: 'leaky-relu'"),
        ({"head_activation": "rellu"}, "unknown head_activation 'rellu'; nearest: 'relu'"),
        ({"projection": "conv-bn"}, "nearest: 'conv-norm'"),
    ],
)
def test_unknown_choices_name_the_nearest(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
