"""`lite` in few kernels answers as the model does."""

from __future__ import annotations

import copy

import pytest
import torch
from small_lite import FRAME_PX, WINDOW_PX, small_lite

from export.arranged_layers import Bordered, Depthwise, Inverted
from export.arranged_lite import ArrangedLite
from training.models import build
from training.models.lite import Lite


def answers(model: torch.nn.Module, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """v, u, and the query vectors of clicks within the frame, at its corners and beyond it."""
    drawn = torch.Generator().manual_seed(1)
    frame, window = (255 * torch.rand(1, 3, n, n, generator=drawn) for n in (FRAME_PX, WINDOW_PX))
    clicks = FRAME_PX * torch.rand(5, 2, generator=drawn)
    clicks[1], clicks[2], clicks[3] = torch.zeros(2), torch.full((2,), 1.0 * FRAME_PX), clicks[0]
    clicks[4] = torch.tensor([-7.0, FRAME_PX + 9.0])
    wide = torch.promote_types(dtype, torch.float32)
    with torch.inference_mode():
        maps = model.encode_query(frame.to(dtype))
        query = model.gather(maps, clicks.to(wide), torch.zeros(5, dtype=torch.long))
        return model.encode_reference(window.to(dtype)) | {"map": maps, "query": query}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-4)])
def test_the_answers_are_the_models(dtype, tolerance):
    model = small_lite().to(dtype)
    before = copy.deepcopy(model.state_dict())
    arranged = ArrangedLite(model)
    wanted, found = answers(model, dtype), answers(arranged, dtype)
    for name, value in wanted.items():
        assert found[name].shape == value.shape and found[name].dtype == value.dtype, name
        assert (found[name] - value).abs().max() <= tolerance * value.abs().max(), name
    again = answers(arranged, dtype)
    assert all(torch.equal(again[name], value) for name, value in found.items()), "buffers"
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_in_float16_it_is_as_near_as_the_model():
    model = small_lite()
    wanted = answers(model, torch.float32)
    arranged = ArrangedLite(model).half()
    one, other = answers(arranged, torch.float16), answers(model.half(), torch.float16)
    assert one["query"].dtype == torch.float32, "the gather stays in float32"
    for name, value in wanted.items():
        error, usual = ((x[name].float() - value).norm() / value.norm() for x in (one, other))
        assert error <= 1.5 * usual < 0.02, name


def test_a_gather_of_one_place(monkeypatch):
    model = build("lite", frame_px=64, window_px=128, click_reach_cells=0, width=8, embedding=8)
    assert isinstance(model, Lite)
    wanted, found = (answers(m, torch.float32) for m in (model.eval(), ArrangedLite(model)))
    torch.testing.assert_close(found["query"], wanted["query"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"backbone": "xfeat"}, {"stride_px": 16}])
def test_another_lite_is_refused(options):
    with pytest.raises(ValueError, match="no arrangement for"):
        ArrangedLite(build("lite", frame_px=64, window_px=128, **options).eval())


def test_zeros_around_a_map_stay():
    border = Bordered(1, 2)
    for seed in range(2):
        x = 8 * torch.randn(1, 4, 4, 3, generator=torch.Generator().manual_seed(seed))
        wanted = torch.nn.functional.pad(x.clamp(0, 6), (0, 0, 1, 2, 1, 2))
        assert torch.equal(border.relu6(x), wanted)
    assert len(border._buffers_by_kind) == 1


def test_what_waits_cannot_enter_zeros():
    layers = torch.nn.Conv2d(4, 4, 3, groups=4), torch.nn.Conv2d(4, 4, 1)
    with pytest.raises(ValueError, match="without what waits"):
        Inverted(None, *layers, torch.ones(4), False)
    assert torch.equal(Depthwise(layers[0]).waiting, layers[0].bias)
