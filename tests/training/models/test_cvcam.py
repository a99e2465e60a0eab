"""CVCAM and MHSAM against an independent numpy reference of their equations."""

import dataclasses

import numpy as np
import pytest
import torch

from edge.errors import UsageError
from training.models.cvcam import (
    Activation,
    Attention,
    CrossAttentionBlock,
    Cvcam,
    CvcamOptions,
    NormOrder,
    Reads,
    Scaling,
)
from training.models.mhsam import Mhsam

SMALL = CvcamOptions(width=16, ffn=24, iterations=2, heads=4)


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def projections(attention: torch.nn.Module) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(weight, bias) of q, k, v and out, whichever way they are stored."""
    if isinstance(attention, torch.nn.MultiheadAttention):
        weights = np.split(attention.in_proj_weight.detach().numpy(), 3)
        biases = np.split(attention.in_proj_bias.detach().numpy(), 3)
        out = attention.out_proj
    else:
        layers = (attention.query, attention.key, attention.value)
        weights = [layer.weight.detach().numpy() for layer in layers]
        biases = [layer.bias.detach().numpy() for layer in layers]
        out = attention.out
    pairs = dict(zip("qkv", zip(weights, biases, strict=True), strict=True))
    return {**pairs, "o": (out.weight.detach().numpy(), out.bias.detach().numpy())}


def attend(attention, heads, query, key, value, scaling=Scaling.SQRT_D):
    """Attention of one sample, head by head and row by row."""
    w = projections(attention)
    q, k, v = (x @ w[n][0].T + w[n][1] for n, x in zip("qkv", (query, key, value), strict=True))
    size = q.shape[1] // heads
    mixed = np.zeros_like(q)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for row in range(len(q)):
            score = k[:, part] @ q[row, part]
            score = score / np.sqrt(size) if scaling == Scaling.SQRT_D else score
            weight = np.exp(score - score.max())
            mixed[row, part] = weight / weight.sum() @ v[:, part]
    return mixed @ w["o"][0].T + w["o"][1]


def layer_norm(x, norm):
    scaled = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + norm.eps)
    return scaled * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def feed_forward(x, block):
    first, last = block.ffn[0], block.ffn[3]
    hidden = torch.from_numpy(x @ first.weight.detach().numpy().T + first.bias.detach().numpy())
    hidden = block.ffn[1](hidden).numpy()
    return hidden @ last.weight.detach().numpy().T + last.bias.detach().numpy()


def block_by_hand(block, o, x, at_x, z, at_z):
    if o.norm == NormOrder.PRE:
        normed = layer_norm(x, block.norm1) + at_x
        y = x + attend(block.attention, o.heads, normed, z + at_z, z, o.scaling)
        return y + feed_forward(layer_norm(y, block.norm2), block)
    attended = attend(block.attention, o.heads, x + at_x, z + at_z, z, o.scaling)
    y = layer_norm(x + attended, block.norm1)
    return layer_norm(y + feed_forward(y, block), block.norm2)


@pytest.mark.parametrize("attention", list(Attention))
@pytest.mark.parametrize("norm", list(NormOrder))
@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("scaling", list(Scaling))
def test_block_equals_numpy(attention, norm, activation, scaling):
    torch.manual_seed(1)
    o = dataclasses.replace(
        SMALL, attention=attention, norm=norm, activation=activation, scaling=scaling
    )
    block = CrossAttentionBlock(o).eval()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, at_x, z, at_z = (torch.randn(n, 16) for n in (6, 6, 9, 9))
    with torch.no_grad():
        found = block(x[None], at_x, z[None], at_z)[0].numpy()
    wanted = block_by_hand(block, o, *(t.numpy() for t in (x, at_x, z, at_z)))
    assert np.allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("attention", list(Attention))
def test_unscaled_attention_drops_out_in_training_alone(attention):
    o = dataclasses.replace(SMALL, attention=attention, scaling=Scaling.NONE, dropout=0.5)
    block = CrossAttentionBlock(o)
    x, z = torch.randn(1, 6, 16), torch.randn(1, 9, 16)
    with torch.no_grad():
        moved = [block.train().attend(x, z, z) for _ in range(2)]
        still = [block.eval().attend(x, z, z) for _ in range(2)]
    assert not torch.equal(*moved)
    assert torch.equal(*still)


@pytest.mark.parametrize("reads", list(Reads))
def test_module_is_k_iterations_and_a_fusion(reads):
    """The recurrences of the docstring, written out for k = 2."""
    torch.manual_seed(2)
    o = dataclasses.replace(SMALL, reads=reads)
    module = Cvcam(o).eval()
    query, reference = torch.randn(2, 16, 2, 4), torch.randn(2, 16, 3, 3)
    from training.models.sine_positions import sine_positions

    p, s = sine_positions((2, 4), 16), sine_positions((3, 3), 16)
    q, r = query.flatten(2).mT, reference.flatten(2).mT
    with torch.no_grad():
        q1 = module.query_side[0](q, p, r, s)
        r1 = module.reference_side[0](r, s, q if reads == Reads.PARALLEL else q1, p)
        q2 = module.query_side[1](q1, p, r1, s)
        r2 = module.reference_side[1](r1, s, q1 if reads == Reads.PARALLEL else q2, p)
        wanted = module.fusion(r2, s, q2, p).mT.reshape(2, 16, 3, 3)
        assert torch.equal(module(query, reference), wanted)


def test_positions_matter_and_are_not_in_the_value():
    """Shifted reference cells give another map; a one-cell query is all that the value can be."""
    torch.manual_seed(3)
    module = Cvcam(SMALL).eval()
    query, reference = torch.randn(1, 16, 2, 2), torch.randn(1, 16, 3, 3)
    with torch.no_grad():
        rolled = module(query, reference.roll(1, 3)).roll(-1, 3)
        assert not torch.allclose(rolled, module(query, reference), atol=1e-3)
        one, other = torch.randn(1, 1, 16), torch.randn(1, 16)
        block = module.fusion
        assert torch.allclose(block(one, other, one, other), block(one, other, one, 0 * other))


def test_parameters_are_those_that_reproduce_the_published_cost():
    with torch.device("meta"):
        assert parameters(CrossAttentionBlock(CvcamOptions())) == 789_760
        f2 = CvcamOptions(ffn=512, attention=Attention.LINEAR)
        assert parameters(CrossAttentionBlock(f2)) == 527_104
        assert parameters(Cvcam(CvcamOptions())) == 9 * 789_760
        assert parameters(Mhsam()) == 9_177_344


def test_mhsam_equals_its_equation():
    torch.manual_seed(4)
    module = Mhsam(4, 6).eval()
    fused = torch.randn(2, 4, 7, 6)
    total = np.zeros(fused.shape)
    for kernel, head in zip((1, 3, 5), module.heads, strict=True):
        w, b, wt, bt = (p.detach().numpy() for p in head.parameters())
        rows, columns = 7 - kernel + 1, 6 - kernel + 1
        total += bt[None, :, None, None]
        for y in range(rows):
            for x in range(columns):
                patch = fused[:, :, y : y + kernel, x : x + kernel].numpy()
                hidden = np.maximum(np.einsum("nckl,hckl->nh", patch, w) + b, 0)
                total[:, :, y : y + kernel, x : x + kernel] += np.einsum(
                    "nh,hckl->nckl", hidden, wt
                )
    wanted = fused.numpy() / (1 + np.exp(-total))
    with torch.no_grad():
        assert np.allclose(module(fused).numpy(), wanted, atol=1e-5)


def test_mhsam_names_a_map_below_its_kernel():
    with pytest.raises(UsageError, match=r"5 cells a side\n  found:    4 x 6 cells"):
        Mhsam(4, 6)(torch.zeros(1, 4, 6, 4))
