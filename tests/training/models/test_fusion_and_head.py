"""Cosine fusion, anchor head and decoding against plain numpy, and at their edges."""

import numpy as np
import pytest
import torch

from training.models.anchor_head import AnchorHead, decode, decode_maps, winners
from training.models.contract import CVOGL_ANCHORS_WH_PX
from training.models.cosine_fusion import cosine_map, min_max_gate, unit_length
from training.models.folded_head import folded_answer, folded_confidence

ANCHORS = torch.tensor(CVOGL_ANCHORS_WH_PX)


def head_with_statistics(c_in=24, hidden=16) -> AnchorHead:
    torch.manual_seed(4)
    head = AnchorHead(c_in, hidden)
    norm = head.block.bn
    with torch.no_grad():
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.2, 2)
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_()
    return head.eval()


def test_anchors_are_in_the_reversed_order():
    assert CVOGL_ANCHORS_WH_PX[0] == (550.0, 573.0)
    assert CVOGL_ANCHORS_WH_PX[-1] == (37.0, 41.0)
    assert len(CVOGL_ANCHORS_WH_PX) == 9


@pytest.mark.parametrize(("height", "width"), [(7, 5), (1, 9), (16, 16)])
def test_fusion_head_and_decoding_against_numpy(height, width):
    head = head_with_statistics()
    g = torch.Generator().manual_seed(height)
    query = torch.randn(3, 24, generator=g)
    reference = torch.randn(24, height, width, generator=g)
    with torch.no_grad():
        v = unit_length(reference.unsqueeze(0))[0]
        similarity = cosine_map(query, v)
        gate = min_max_gate(similarity)
        maps = head.maps(gate.unsqueeze(1) * v)
        box, logit = decode_maps(maps, ANCHORS, 16)

    w = {k: t.numpy().astype(np.float64) for k, t in head.state_dict().items()}
    r = reference.numpy().astype(np.float64)
    r /= np.linalg.norm(r, axis=0)
    for n, q in enumerate(query.numpy().astype(np.float64)):
        s = np.tensordot(q / np.linalg.norm(q), r, 1)
        a = (s - s.min()) / (s.max() - s.min())
        x = np.tensordot(w["0.conv.weight"][:, :, 0, 0], a * r, 1)
        mean, var = w["0.bn.running_mean"], w["0.bn.running_var"]
        x = (x - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
        x = x * w["0.bn.weight"][:, None, None] + w["0.bn.bias"][:, None, None]
        x = np.where(x > 0, x, 0.1 * x)
        out = np.tensordot(w["1.weight"][:, :, 0, 0], x, 1) + w["1.bias"][:, None, None]
        out = out.reshape(9, 5, height, width)
        k, i, j = np.unravel_index(out[:, 4].argmax(), (9, height, width))
        tx, ty, tw, th = out[k, :4, i, j]
        centre = np.array([1 / (1 + np.exp(-tx)) + j, 1 / (1 + np.exp(-ty)) + i]) * 16
        size = np.exp([tw, th]) * CVOGL_ANCHORS_WH_PX[k]
        wanted = np.r_[centre - size / 2, centre + size / 2]
        assert np.allclose(similarity[n].numpy(), s, atol=1e-6)
        assert np.allclose(gate[n].numpy(), a, atol=1e-5)
        assert np.allclose(maps[n].numpy(), out, atol=1e-5)
        assert np.allclose(box[n].numpy(), wanted, atol=1e-2)
        assert float(logit[n]) == pytest.approx(out[:, 4].max(), abs=1e-5)


def test_folded_head_equals_the_whole_head():
    head = head_with_statistics(512, 256)
    g = torch.Generator().manual_seed(0)
    v = unit_length(torch.randn(1, 512, 16, 16, generator=g))
    gate = torch.rand(4, 16, 16, generator=g)
    with torch.no_grad():
        whole = head.maps(gate.unsqueeze(1) * v)
        u = head.fold(v)[0]
        confidence = folded_confidence(head, gate, u)
        assert float((whole[:, :, 4] - confidence).abs().max()) < 1e-6
        won, offsets = folded_answer(head, gate, u)
        box = decode(offsets, won, ANCHORS, 16)
        wanted, logit = decode_maps(whole, ANCHORS, 16)
    assert torch.allclose(won.confidence_logit, logit, atol=1e-6)
    assert torch.allclose(box, wanted, atol=1e-3)


def test_decoding_an_encoded_box_gives_it_back():
    """The target of section III-D of DetGeo, written out here by hand."""
    x1, y1, x2, y2 = box = (210.0, 333.0, 401.5, 419.25)
    cx, cy, w, h = (x1 + x2) / 2 / 16, (y1 + y2) / 2 / 16, x2 - x1, y2 - y1
    maps = torch.full((1, 9, 5, 64, 64), -3.0)
    fx, fy = cx % 1, cy % 1
    maps[0, 4, :, int(cy), int(cx)] = torch.tensor(
        [np.log(fx / (1 - fx)), np.log(fy / (1 - fy)), np.log(w / 194), np.log(h / 82), 2.0]
    )
    found, logit = decode_maps(maps, ANCHORS, 16)
    assert np.allclose(found[0].numpy(), box, atol=1e-3)
    assert float(logit) == 2.0


def test_ties_go_to_the_first_of_anchor_row_column():
    confidence = torch.zeros(2, 9, 4, 6)
    confidence[1, 3:, 2:, 1:] = 5.0
    won = winners(confidence)
    assert (won.anchor.tolist(), won.row.tolist(), won.column.tolist()) == ([0, 3], [0, 2], [0, 1])


def test_cosine_does_not_depend_on_how_many_ask():
    g = torch.Generator().manual_seed(3)
    query = torch.randn(8, 512, generator=g)
    v = unit_length(torch.randn(1, 512, 12, 12, generator=g))[0]
    together = cosine_map(query, v)
    assert torch.equal(together, cosine_map(query, v.expand(8, -1, -1, -1).contiguous()))
    for n in range(8):
        assert torch.equal(together[n : n + 1], cosine_map(query[n : n + 1], v))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_cosines_and_gate_are_float32_under_autocast(kind):
    """As exact as without it, from whatever a convolution under autocast hands on."""
    g = torch.Generator().manual_seed(6)
    query = torch.randn(2, 512, generator=g).to(kind)
    reference = torch.randn(1, 512, 9, 7, generator=g).to(kind)
    with torch.autocast("cpu", kind):
        v = unit_length(reference)
        similarity = cosine_map(query, v[0])
        gate = min_max_gate(similarity)
        from_rounded = cosine_map(query, v.to(kind)[0])
        stretched = min_max_gate(similarity.to(kind))
    q, r = query.double().numpy(), reference[0].double().numpy().reshape(512, -1)
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    wanted = (q @ (r / np.linalg.norm(r, axis=0))).reshape(2, 9, 7)
    for tensor in (v, similarity, gate, from_rounded, stretched):
        assert tensor.dtype == torch.float32
    assert np.allclose(similarity.numpy(), wanted, rtol=0, atol=1e-6)
    low, high = wanted.min((1, 2), keepdims=True), wanted.max((1, 2), keepdims=True)
    assert np.allclose(gate.numpy(), (wanted - low) / (high - low), rtol=0, atol=1e-5)


def test_without_autocast_fusion_keeps_the_type_it_is_given():
    g = torch.Generator().manual_seed(6)
    query, v = torch.randn(2, 8, generator=g), unit_length(torch.randn(1, 8, 3, 3, generator=g))[0]
    for kind in (torch.float64, torch.float16):
        assert unit_length(query.to(kind)).dtype == kind
        assert min_max_gate(cosine_map(query.to(kind), v.to(kind))).dtype == kind


@pytest.mark.parametrize("value", [0.0, 0.3, -1.0, 1e6])
def test_constant_map_gives_a_closed_gate_and_finite_gradients(value):
    similarity = torch.full((2, 6, 6), value, requires_grad=True)
    gate = min_max_gate(similarity)
    assert torch.equal(gate, torch.zeros(2, 6, 6))
    gate.square().sum().backward()
    assert torch.isfinite(similarity.grad).all()


def test_zero_vectors_give_no_nan():
    query, reference = torch.zeros(1, 8, requires_grad=True), torch.zeros(1, 8, 3, 3)
    similarity = cosine_map(query, unit_length(reference))
    assert torch.equal(similarity, torch.zeros(1, 3, 3))
    min_max_gate(similarity).sum().backward()
    assert torch.isfinite(query.grad).all()


def test_minimum_and_maximum_are_constants_to_the_gradient():
    similarity = torch.tensor([[[0.1, 0.4], [0.2, 0.6]]], requires_grad=True)
    min_max_gate(similarity).sum().backward()
    assert torch.allclose(similarity.grad, torch.full((1, 2, 2), 1 / 0.5))
