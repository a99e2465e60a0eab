import cross_view
import pytest
import torch

from edge.errors import CheckpointError
from training.models.joint_attention import LOWEST_LOGIT
from training.models.strict_loading import load_strict
from training.models.swin import SwinSmall
from training.models.trogeo import TROGeo, TROGeoOptions, one_backbone
from training.vision_ops import import_torchvision

WINDOW_PX = 96


def fresh() -> TROGeo:
    torch.manual_seed(7)
    return TROGeo()


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return cross_view.pictures(window_px=WINDOW_PX)


@pytest.fixture(scope="module")
def model(backbones) -> TROGeo:
    """As if trained: an untrained CVOPM does not let the query through."""
    with backbones():
        model = fresh().eval()
    torch.nn.init.normal_(model.cross_attention.proj_out.weight, std=0.1)
    return model


def test_parameters_of_the_parts():
    with torch.device("meta"):
        model = TROGeo()
    counted = {
        name: cross_view.parameters(getattr(model, name)) for name, _ in model.named_children()
    }
    assert counted["query_model"] == 48_835_722
    assert counted["cross_attention"] == 12_992_256
    assert counted["fcn_out"] == 4_736_301
    assert counted["coodrs_out"] == 4_719_361
    assert counted["combine_clickptns_conv"] == 195
    assert cross_view.parameters(model) == 71_283_835


@pytest.mark.parametrize(
    ("frame_hw", "whole", "backbone_cached"),
    [
        ((256, 256), 231.19, 37.90),
        ((256, 512), 243.49, 50.20),
    ],
)
def test_multiply_accumulates(frame_hw, whole, backbone_cached):
    """Ours caches past the self-attention and leaves the mask out: below the specification's."""
    with torch.device("meta"):
        found = cross_view.giga_macs(TROGeo().eval(), frame_hw)
    assert found[0] == pytest.approx(whole, abs=0.006)
    before_query = 1024 * 768**2 * (1 + 4) + 2 * 1024**2 * 768  # proj_in, attn1
    mask_head = 1024 * 768 * 384 * 16 + 4096 * 384
    assert found[1] == pytest.approx(backbone_cached - (before_query + mask_head) / 1e9, abs=0.012)


def test_published_names():
    """Those of the specification, section 6, under the prefix that we keep."""
    with torch.device("meta"):
        names = set(TROGeo().state_dict())
        tower = import_torchvision().models.swin_s(weights=None).features
    swin = {f"query_model.model.features.{k}" for k in tower.state_dict()}
    block = "cross_attention.transformer_blocks.0."
    wanted = {f"{block}{a}.to_{n}.weight" for a in ("attn1", "attn2") for n in "qkv"}
    with_bias = [f"{block}{a}.to_out.0" for a in ("attn1", "attn2")]
    with_bias += [f"{block}{n}" for n in ("ff.net.0.proj", "ff.net.2", "norm1", "norm2", "norm3")]
    with_bias += [f"cross_attention.{n}" for n in ("norm", "proj_in", "proj_out")]
    with_bias += [
        f"{n}.{i}" for n in ("combine_clickptns_conv", "fcn_out", "coodrs_out") for i in (0, 2)
    ]
    wanted |= {f"{n}.{kind}" for n in with_bias for kind in ("weight", "bias")}
    assert names == wanted | swin


def test_shapes(model, pair):
    clicks = cross_view.clicks_of_one_pair()
    with torch.no_grad():
        maps = model(*pair, clicks)
        features = model.encode_reference(pair[1])
    assert maps.boxes.shape == (3, 9, 5, 6, 6)
    assert maps.similarity.shape == maps.attention.shape == (3, 6, 6)
    assert maps.mask_logit.shape == (3, 6, 6)
    assert {k: tuple(v.shape) for k, v in features.items()} == {
        "reference": (1, 768, 3, 3),
        "tokens": (1, 9, 768),
    }


def test_cached_equals_whole_bit_for_bit(model, pair):
    cross_view.check_cached_equals_whole(model, *pair, lowest=LOWEST_LOGIT)


def test_segment_is_the_training_mask(model, pair):
    clicks = cross_view.clicks_of_one_pair()
    with torch.no_grad():
        wanted = model(*pair, clicks).mask_logit
        features = {k: v[0] for k, v in model.encode_reference(pair[1]).items()}
        assert torch.equal(model.segment(pair[0][0], clicks.xy_px, features), wanted)


def test_clicks_do_not_see_each_other(model, pair):
    cross_view.check_clicks_do_not_see_each_other(model, *pair)


def test_constant_pictures_and_a_training_step(backbones):
    with backbones():
        model = fresh()
    cross_view.check_constant_pictures(model, WINDOW_PX)
    cross_view.check_one_step_lowers_the_loss(model, WINDOW_PX)


def test_published_checkpoint_loads_from_either_prefix(model):
    ours = model.state_dict()
    swin = {k.removeprefix("query_model."): v for k, v in ours.items() if "query_model" in k}
    rest = {k: v for k, v in ours.items() if not k.startswith("query_model.")}
    for prefixes in (["query_model."], ["reference_model."], ["query_model.", "reference_model."]):
        published = {**rest, **{p + k: v for p in prefixes for k, v in swin.items()}}
        merged = one_backbone(published, "best.pth.tar")
        assert merged.keys() == ours.keys()
        load_strict(model, merged, "best.pth.tar")
    changed = dict(published)
    name = "reference_model.model.features.0.0.bias"
    changed[name] = published[name] + 1
    with pytest.raises(CheckpointError, match=rf"best\.pth\.tar(.|\n)*1 that differ, first {name}"):
        one_backbone(changed, "best.pth.tar")


def test_imagenet_weights_load_without_their_classifier(backbones):
    with torch.device("meta"), backbones():
        whole = import_torchvision().models.swin_s(weights=None)
    tensors = {k: torch.zeros_like(v, device="cpu") for k, v in whole.state_dict().items()}
    with backbones():
        backbone = SwinSmall()
    backbone.load_imagenet(tensors, "swin_s.pth")
    assert not any(p.any() for p in backbone.parameters())
    del tensors["features.0.0.bias"]
    with pytest.raises(CheckpointError, match=r"missing: \W*features\.0\.0\.bias"):
        backbone.load_imagenet(tensors, "swin_s.pth")


def test_other_strides_are_refused():
    with pytest.raises(ValueError, match="stride_px is 16, got 32"):
        TROGeo(TROGeoOptions(stride_px=32))
