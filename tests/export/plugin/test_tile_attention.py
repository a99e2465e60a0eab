"""The meaning of TileAttention against the models that it is cut from, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.decoding import RANGE_FLOOR
from edge.errors import ExecutorError
from export.plugin.heads import lite_head, mogeo_head, published_head
from export.plugin.random_cases import VARIANTS, random_case
from export.plugin.tile_attention import OUTPUTS, TileHead, tile_attention
from training.models import cosine_fusion
from training.models.anchor_head import AnchorHead, decode, decode_maps
from training.models.cosine_fusion import cosine_map, min_max_gate, unit_length
from training.models.folded_head import folded_answer
from training.models.lite import Lite, LiteOptions
from training.models.mogeo import MOGeo, MOGeoOptions
from training.models.peaks import peaks

ANCHORS = torch.tensor([[100.0, 60.0], [40.0, 50.0], [20.0, 10.0]])


class Stub:
    """The parts of a published model that its tile head is read from."""

    def __init__(self, head: AnchorHead) -> None:
        self.fcn_out = self.head = head
        self.anchors_wh_px = ANCHORS


def trained_head(c_in: int, hidden: int) -> AnchorHead:
    head = AnchorHead(c_in, hidden, len(ANCHORS)).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.3)
        head.block.bn.running_mean.normal_()
        head.block.bn.running_var.uniform_(0.5, 2.0)
    return head


@torch.no_grad()
def test_published_head_equals_the_unfolded_model():
    torch.manual_seed(1)
    head = trained_head(24, 16)
    query, reference = torch.randn(3, 24), torch.randn(1, 24, 7, 9)
    v = unit_length(reference)
    gate = min_max_gate(cosine_map(query, v[0]))
    box, logit = decode_maps(head.maps(gate.unsqueeze(1) * v), ANCHORS, 16)
    peak, second = peaks(cosine_map(query, v[0]))
    weights, settings = published_head(Stub(head))
    prior = np.zeros((3, 2)), np.zeros(3)
    found = tile_attention(
        query.numpy(), v[0].numpy(), head.fold(v)[0].numpy(), weights, settings, *prior
    )
    np.testing.assert_allclose(found["box_xyxy_px"], box, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found["confidence_logit"], logit, rtol=1e-4)
    np.testing.assert_allclose(found["peak_similarity"], peak, rtol=1e-5)
    np.testing.assert_allclose(found["second_peak_similarity"], second, rtol=1e-5)
    np.testing.assert_allclose(found["attention"], gate, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("min_max", [False, True])
def test_mogeo_head_equals_the_models_own_folding(min_max):
    torch.manual_seed(2)
    head = trained_head(25, 16)
    model = Stub(head)
    model.options = MOGeoOptions(min_max=min_max)
    query, v = torch.randn(2, 24), unit_length(torch.randn(1, 24, 6, 6))
    u = MOGeo.fold(model, v)[0]
    similarity = cosine_map(query, v[0])
    gate = min_max_gate(similarity) if min_max else similarity
    won, offsets = folded_answer(head, gate, u)
    weights, settings = mogeo_head(model)
    found = tile_attention(
        query.numpy(), v[0].numpy(), u.numpy(), weights, settings, np.zeros((2, 2)), np.zeros(2)
    )
    np.testing.assert_allclose(
        found["box_xyxy_px"], decode(offsets, won, ANCHORS, 16), rtol=1e-4, atol=1e-3
    )
    np.testing.assert_allclose(found["confidence_logit"], won.confidence_logit, rtol=1e-4)
    np.testing.assert_allclose(found["attention"], gate, atol=1e-5)


@torch.no_grad()
def test_lite_head_equals_lite():
    torch.manual_seed(3)
    options = LiteOptions(
        frame_px=64,
        window_px=128,
        embedding=16,
        hidden=8,
        width=16,
        click_var=0.004,
        centre_var=0.02,
        floor_var_px2=3.0,
    )
    model = Lite(options).eval()
    for parameter in model.head.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    features = {"v": unit_length(torch.randn(1, 16, 8, 8))[0], "u": torch.randn(8, 8, 8)}
    clicks = torch.tensor([[8.0, 8.0], [40.0, 30.0]])
    prior, inv_var = torch.tensor([[90.0, 20.0], [5.0, 5.0]]), torch.tensor([0.01, 0.0])
    out = model.localize(torch.randn(16, 4, 4), clicks, features, prior, inv_var)
    found = tile_attention(
        out.query_vector.numpy(),
        features["v"].numpy(),
        features["u"].numpy(),
        *lite_head(model),
        prior.numpy(),
        inv_var.numpy(),
    )
    for name in OUTPUTS:
        np.testing.assert_allclose(found[name], getattr(out, name), rtol=2e-4, atol=1e-3)


def test_the_floor_of_min_max_is_the_models():
    assert RANGE_FLOOR == cosine_fusion.RANGE_FLOOR


@pytest.mark.parametrize("variant", VARIANTS)
def test_constant_maps_give_numbers(variant):
    case = random_case(0, 2, 8, 8, (5, 6), settings=VARIANTS[variant])
    case.v[:] = case.v[:, :1, :1]
    found = case.expected()
    assert all(np.isfinite(values).all() for values in found.values())
    if case.settings.min_max:
        assert (found["attention"] == 0).all()


def test_weights_that_do_not_fit_are_refused():
    good = random_case(0, 1, 8, 8, (2, 2)).head
    with pytest.raises(ExecutorError) as error:
        TileHead(good.channels[:-1], good.confidence, good.boxes, good.anchors)
    assert "do not fit together" in str(error.value)
    assert "(7, 3)" in error.value.found
    with pytest.raises(ExecutorError) as error:
        random_case(0, 1, 8, 8, (2, 2), anchors=10)
    assert "A from 1 to 9" in error.value.expected


def test_tensors_that_do_not_fit_are_refused():
    case = random_case(0, 1, 8, 8, (3, 2))
    with pytest.raises(ExecutorError) as error:
        tile_attention(
            case.query,
            case.v[:, 1:],
            case.u,
            case.head,
            case.settings,
            case.prior_xy_px,
            case.prior_inv_var,
        )
    assert "v [8, 2, 2], u [8, 3, 2]" in error.value.found
