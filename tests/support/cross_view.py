"""What every published model must hold to, as checks that its test file calls."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from training.models.anchor_head import decode_maps
from training.models.contract import Clicks, CrossViewModel, Localizations
from training.models.peaks import peaks

BOX_TOLERANCE = 1000.0  # times that of the head's outputs; see `check_cached_equals_whole`
UNCOUNTED = (nn.LayerNorm, nn.BatchNorm2d, nn.GELU, nn.ReLU, nn.LeakyReLU, nn.Dropout)
CLICKS_XY_PX = ((10.0, 20.0), (33.3, 40.1), (63.0, 1.0))


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def pictures(frame_hw=(64, 64), window_px=128, pairs=1, seed=5) -> tuple[Tensor, Tensor]:
    """Noise [pairs, 3, h, w] and [pairs, 3, window, window], RGB 0..255."""
    g = torch.Generator().manual_seed(seed)
    frame = torch.rand(pairs, 3, *frame_hw, generator=g) * 255
    return frame, torch.rand(pairs, 3, window_px, window_px, generator=g) * 255


def clicks_of_one_pair(xy_px=CLICKS_XY_PX) -> Clicks:
    none = torch.zeros(len(xy_px), dtype=torch.long)
    return Clicks(torch.tensor(xy_px), none, none)


def settle(model: CrossViewModel, frame: Tensor, window: Tensor) -> CrossViewModel:
    """Give the batch norms statistics, so that eval mode is not the identity of a fresh model."""
    model.train()
    with torch.no_grad():
        model(frame, window, clicks_of_one_pair())
    return model.eval()


@torch.no_grad()
def answers(model: CrossViewModel, frame: Tensor, window: Tensor, xy_px: Tensor) -> Localizations:
    """Cached way: encode the window, take it out of its batch, localize."""
    features = {name: t[0] for name, t in model.encode_reference(window).items()}
    return model.localize(frame[0], xy_px, features)


@torch.no_grad()
def check_cached_equals_whole(model: CrossViewModel, frame, window, lowest, atol=0.0) -> None:
    """`localize` on a cached window against `forward` and its decoding: bit for bit at atol 0.

    `atol` is for what the head gives. Boxes may differ 1000 times as much, in pixels: decoding
    multiplies tx and ty by the stride, and tw and th, through exp, by anchors of up to 573 px.
    """
    clicks = clicks_of_one_pair()
    maps = model(frame, window, clicks)
    o = model.options
    box, logit = decode_maps(maps.boxes, torch.tensor(o.anchors_wh_px), o.stride_px)
    peak, second = peaks(maps.similarity, lowest)
    wanted = Localizations(box, logit, peak, second, maps.attention)
    found = answers(model, frame, window, clicks.xy_px)
    for field in dataclasses.fields(Localizations):
        a, b = getattr(found, field.name), getattr(wanted, field.name)
        scale = BOX_TOLERANCE if field.name == "box_xyxy_px" else 1.0
        assert a.shape == b.shape, field.name
        assert float((a - b).abs().max()) <= atol * scale, field.name


def check_clicks_do_not_see_each_other(model: CrossViewModel, frame, window) -> None:
    """N clicks at once answer as they do one by one."""
    xy = torch.tensor(CLICKS_XY_PX)
    together = answers(model, frame, window, xy)
    assert float(together.attention.std(0).max()) > 0, "all clicks got the same map"
    for index in range(len(xy)):
        alone = answers(model, frame, window, xy[index : index + 1])
        for field in dataclasses.fields(Localizations):
            a, b = getattr(alone, field.name)[0], getattr(together, field.name)[index]
            scale = BOX_TOLERANCE if field.name == "box_xyxy_px" else 1.0
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-5 * scale), field.name


def check_pairs_of_a_batch_do_not_mix(model: CrossViewModel, window_px=128) -> None:
    """Clicks of two frames, one of them looked for in both windows, against the pairs apart."""
    frames, windows = pictures(pairs=2, window_px=window_px)
    xy = torch.tensor(CLICKS_XY_PX)
    clicks = Clicks(xy, torch.tensor([1, 0, 1]), torch.tensor([1, 0, 0]))
    with torch.no_grad():
        maps = model(frames, windows, clicks)
        for m, (f, w) in enumerate(((1, 1), (0, 0), (1, 0))):
            alone = Clicks(xy[m : m + 1], torch.tensor([0]), torch.tensor([0]))
            wanted = model(frames[f : f + 1], windows[w : w + 1], alone)
            assert torch.allclose(maps.boxes[m], wanted.boxes[0], rtol=1e-4, atol=1e-4)
            assert torch.allclose(maps.similarity[m], wanted.similarity[0], rtol=1e-4, atol=1e-4)


def loss_of(model: CrossViewModel, frame: Tensor, window: Tensor, clicks: Clicks) -> Tensor:
    """Softmax cross-entropy over all anchors and cells, one wanted place per click."""
    torch.manual_seed(0)  # the same dropout every time
    confidence = model(frame, window, clicks).boxes[:, :, 4].flatten(1)
    places = confidence.shape[1]
    wanted = torch.arange(1, len(confidence) + 1) * 7 % places
    return nn.functional.cross_entropy(confidence, wanted)


def check_one_step_lowers_the_loss(model, window_px=128, rate=1e-3) -> None:
    """All gradients finite, and a small step against them goes down."""
    frame, window = pictures(window_px=window_px, pairs=2)
    clicks = Clicks(torch.tensor(CLICKS_XY_PX), torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1]))
    model.train()
    before = loss_of(model, frame, window, clicks)
    before.backward()
    reached = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert reached
    norms = {name: float(grad.norm()) for name, grad in reached.items()}
    assert not [name for name, norm in norms.items() if not math.isfinite(norm)]
    length = math.hypot(*norms.values())
    assert length > 0
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p.add_(p.grad, alpha=-rate / length)
        after = loss_of(model, frame, window, clicks)
    assert after.item() < before.item()


def check_constant_pictures(model: CrossViewModel, window_px=128) -> None:
    """No NaN where frame and window have one colour: in eval, and in training with gradients."""
    frame, window = torch.full((1, 3, 64, 64), 128.0), torch.full((1, 3, window_px, window_px), 9.0)
    found = answers(model.eval(), frame, window, torch.tensor(CLICKS_XY_PX))
    for field in dataclasses.fields(Localizations):
        assert torch.isfinite(getattr(found, field.name)).all(), field.name
    model.train()
    loss_of(model, frame, window, clicks_of_one_pair()).backward()
    for name, p in model.named_parameters():
        assert p.grad is None or math.isfinite(float(p.grad.norm())), name
    model.zero_grad(set_to_none=True)
    model.eval()


def _same(x: Tensor) -> Tensor:
    return x


def giga_macs(model: CrossViewModel, frame_hw=(256, 256), clicks=1) -> tuple[float, float]:
    """(whole model, per frame with a cached window) at 1024 px, on the meta device.

    The math backend, because the flop counter does not see the fused attention of a CPU. Norms and
    activations hand on what they get: nothing of theirs is counted, and their shapes on the meta
    device are worked out in Python, which took most of the time.
    """
    uncounted = [m for m in model.modules() if isinstance(m, UNCOUNTED)]
    for module in uncounted:
        module.forward = _same  # type: ignore[method-assign]
    with torch.device("meta"), torch.no_grad():
        frame, window = torch.empty(1, 3, *frame_hw), torch.empty(1, 3, 1024, 1024)
        none = torch.zeros(clicks, dtype=torch.long)
        xy = torch.zeros(clicks, 2)
        with sdpa_kernel(SDPBackend.MATH):
            with FlopCounterMode(display=False) as whole:
                model(frame, window, Clicks(xy, none, none))
            features = {name: t[0] for name, t in model.encode_reference(window).items()}
            with FlopCounterMode(display=False) as cached:
                model.localize(frame[0], xy, features)
    for module in uncounted:
        del module.forward
    return whole.get_total_flops() / 2e9, cached.get_total_flops() / 2e9
