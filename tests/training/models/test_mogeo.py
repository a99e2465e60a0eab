import cross_view
import numpy as np
import pytest
import torch
from settled import settled

from training.models.conv_block import ConvBlock
from training.models.folded_head import folded_confidence
from training.models.mogeo import MOGeo, MOGeoOptions

WINDOW_PX = 96
ABLATIONS = [{}, {"query_backbone": "B"}, {"mope": False}, {"cvmf": False}, {"min_max": True}]
ABLATIONS += [{"reference_layer": "linear", "pooling": "max"}]


def build(**options) -> MOGeo:
    torch.manual_seed(7)
    return MOGeo(MOGeoOptions(**options))


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return cross_view.pictures(window_px=WINDOW_PX)


@pytest.fixture(scope="module")
def model(made, pair) -> MOGeo:
    return cross_view.settle(made(), *pair)


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({"full_darknet": True}, 65_271_114),
        ({"full_darknet": True, "query_backbone": "B"}, 73_795_914),
        ({}, 57_745_741),
        ({"query_backbone": "B"}, 66_270_541),
        ({"neighbourhood": "learnable"}, 57_745_741 + 2),
        ({"cvmf": False}, 57_745_741 - 256),
        ({"mope": False}, 57_745_741 - 512 + 18),
        ({"reference_layer": "linear"}, 57_745_741 - 512),
        ({"pooling": "max"}, 57_745_741),
    ],
)
def test_parameters(options, total):
    with torch.device("meta"):
        assert cross_view.parameters(MOGeo(MOGeoOptions(**options))) == total


@pytest.mark.parametrize(
    ("backbone", "frame_hw", "query"),
    [
        ("A", (256, 256), 1.832),
        ("A", (256, 512), 3.664),
        ("B", (256, 256), 3.979),
        ("B", (256, 512), 7.959),
    ],
)
def test_multiply_accumulates(backbone, frame_hw, query):
    """Reference 200.615, query as given, 0.587 an object; folded, 9 of 45 head channels, 0.012."""
    with torch.device("meta"):
        o = MOGeoOptions(query_backbone=backbone, full_darknet=True)
        model = MOGeo(o).eval()
    one, three = (cross_view.giga_macs(model, frame_hw, clicks=n) for n in (1, 3))
    assert one[0] == pytest.approx(200.615 + query + 0.587, abs=0.003)
    assert three[0] - one[0] == pytest.approx(2 * 0.587, abs=0.003)
    assert one[1] == pytest.approx(query + 0.0115, abs=0.002)
    assert three[1] - one[1] == pytest.approx(2 * (512 + 9 * 256) * 4096 / 1e9, abs=0.001)


def test_shapes_and_cache(model, pair):
    with torch.no_grad():
        maps = model(*pair, cross_view.clicks_of_one_pair())
        features = model.encode_reference(pair[1])
    assert maps.boxes.shape == (3, 9, 5, 6, 6)
    assert maps.similarity.shape == (3, 6, 6)
    assert torch.equal(maps.similarity, maps.attention)
    assert -1 <= float(maps.similarity.min()) < float(maps.similarity.max()) <= 1
    assert {k: tuple(v.shape) for k, v in features.items()} == {
        "v": (1, 512, 6, 6),
        "u": (1, 256, 6, 6),
    }


@pytest.mark.parametrize("options", ABLATIONS)
def test_cached_equals_whole(options, backbones, made, pair):
    """Bit for bit without folding; below 1e-6 of the head maps with it."""
    # settled: min-max stretches the rounding errors of an untrained, flat map
    with backbones():
        whole = settled("mogeo", fold_head=False, frame_hw_px=(64, 64), **options)
    cross_view.check_cached_equals_whole(whole, *pair, lowest=-1.0)
    folded = made(**options).eval()
    folded.load_state_dict(whole.state_dict())
    cross_view.check_cached_equals_whole(folded, *pair, lowest=-1.0, atol=1e-6)


@pytest.mark.parametrize(("gated", "cvmf"), [("unit", True), ("mapped", True), ("backbone", False)])
def test_folded_head_equals_the_head(gated, cvmf, made, pair):
    model = cross_view.settle(made(gated_reference=gated, cvmf=cvmf), *pair)
    with torch.no_grad():
        maps = model(*pair, cross_view.clicks_of_one_pair())
        u = model.encode_reference(pair[1])["u"][0]
        found = folded_confidence(model.head, maps.attention, u)
    wanted = maps.boxes[:, :, 4]
    assert float((found - wanted).abs().max()) < 1e-6 * max(1.0, float(wanted.abs().max()))


def test_min_max_gate_spans_zero_to_one_and_peaks_stay_raw(model, made, pair):
    stretched = made(min_max=True).eval()
    stretched.load_state_dict(model.state_dict())
    xy = torch.tensor(cross_view.CLICKS_XY_PX)
    raw, found = (cross_view.answers(m, *pair, xy) for m in (model, stretched))
    assert torch.equal(found.attention.amin((1, 2)), torch.zeros(3))
    assert torch.equal(found.attention.amax((1, 2)), torch.ones(3))
    assert torch.allclose(found.peak_similarity, raw.peak_similarity, rtol=0, atol=1e-6)
    assert torch.equal(raw.attention.amax((1, 2)), raw.peak_similarity)


@pytest.mark.parametrize("options", [{}, {"mope": False}, {"neighbourhood": "fixed"}])
def test_clicks_do_not_see_each_other(options, made, pair):
    cross_view.check_clicks_do_not_see_each_other(cross_view.settle(made(**options), *pair), *pair)


def test_reference_layer_is_a_block_or_one_linear_map(made):
    x = torch.randn(1, 512, 2, 3)
    plain = made(reference_layer="linear").eval().reference_mapping
    with torch.no_grad():
        found = plain(x)[0].numpy()
    weight, bias = plain.weight.detach().numpy()[:, :, 0, 0], plain.bias.detach().numpy()
    wanted = np.einsum("oc,chw->ohw", weight, x[0].numpy()) + bias[:, None, None]
    assert np.allclose(found, wanted, atol=1e-4)
    assert isinstance(made().reference_mapping, ConvBlock)


def test_pooling_reaches_mope_and_changes_the_answer(model, made, pair):
    highest = made(pooling="max").eval()
    highest.load_state_dict(model.state_dict())
    xy = torch.tensor(cross_view.CLICKS_XY_PX)
    summed, found = (cross_view.answers(m, *pair, xy) for m in (model, highest))
    assert float((summed.attention - found.attention).abs().max()) > 1e-3


def test_many_clicks_cost_one_backbone_pass(model, pair):
    passes = []
    handle = model.query_resnet.register_forward_hook(lambda *call: passes.append(call[2][1].shape))
    cross_view.answers(model, *pair, torch.rand(8, 2) * 64)
    handle.remove()
    assert passes == [(1, 256, 4, 4)]


def test_pairs_of_a_batch_do_not_mix(model):
    cross_view.check_pairs_of_a_batch_do_not_mix(model, WINDOW_PX)


@pytest.mark.parametrize("options", [{}, {"min_max": True, "mope": False, "cvmf": False}])
def test_constant_pictures_and_a_training_step(options, made):
    model = made(**options)
    cross_view.check_constant_pictures(model, WINDOW_PX)
    cross_view.check_one_step_lowers_the_loss(model, WINDOW_PX)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride_px": 32}, "stride_px is 16, got 32"),
        ({"query_backbone": "C"}, "unknown query_backbone 'C'"),
        ({"gated_reference": "united"}, "nearest: 'unit'"),
        ({"neighbourhood": "fix"}, "nearest: 'fixed'"),
        ({"pooling": "mean"}, "unknown pooling 'mean'; nearest: 'max'; known: sum, max"),
        ({"reference_layer": "lineal"}, "unknown reference_layer 'lineal'; nearest: 'linear'"),
    ],
)
def test_unknown_choices_name_the_nearest(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
