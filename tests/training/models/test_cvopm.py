"""CVOPM against an independent numpy reference of its equations."""

import numpy as np
import pytest
import torch
from scipy.special import erf

from training.models.cvopm import Cvopm


@pytest.fixture(scope="module")
def module() -> Cvopm:
    torch.manual_seed(1)
    module = Cvopm(128, 64).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return module


def weights(module: Cvopm) -> dict[str, np.ndarray]:
    tensors = {k: v.numpy() for k, v in module.state_dict().items()}
    return {k.replace("transformer_blocks.0.", ""): v for k, v in tensors.items()}


def norm(x, w, name, eps=1e-5):
    scaled = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + eps)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def attend(x, context, w, name):
    q, k, v = (
        t @ w[f"{name}.to_{n}.weight"].T for n, t in zip("qkv", (x, context, context), strict=True)
    )
    mixed = np.zeros_like(q)
    for first in range(0, q.shape[1], 64):
        part = slice(first, first + 64)
        score = np.exp(q[:, part] @ k[:, part].T / 8)
        mixed[:, part] = score / score.sum(1, keepdims=True) @ v[:, part]
    return mixed @ w[f"{name}.to_out.0.weight"].T + w[f"{name}.to_out.0.bias"]


def by_hand(w, reference, query):
    """reference [128, H, W], query [64, h, w] of one pair."""
    groups = reference.reshape(32, -1)
    groups = (groups - groups.mean(1, keepdims=True)) / np.sqrt(groups.var(1, keepdims=True) + 1e-6)
    x = groups.reshape(128, -1).T * w["norm.weight"] + w["norm.bias"]  # [L, 128]
    x = x @ w["proj_in.weight"][:, :, 0, 0].T + w["proj_in.bias"]
    context = query.reshape(64, -1).T
    normed = norm(x, w, "norm1")
    x = x + attend(normed, normed, w, "attn1")
    x = x + attend(norm(x, w, "norm2"), context, w, "attn2")
    hidden = norm(x, w, "norm3") @ w["ff.net.0.proj.weight"].T + w["ff.net.0.proj.bias"]
    value, gate = np.split(hidden, 2, axis=1)
    gated = value * gate * (1 + erf(gate / np.sqrt(2))) / 2
    x = x + gated @ w["ff.net.2.weight"].T + w["ff.net.2.bias"]
    out = x @ w["proj_out.weight"][:, :, 0, 0].T + w["proj_out.bias"]
    return reference + out.T.reshape(reference.shape)


def test_equals_numpy(module):
    reference, query = torch.randn(2, 128, 3, 4), torch.randn(2, 64, 2, 3)
    with torch.no_grad():
        found = module(reference, query).numpy()
    for index in range(2):
        wanted = by_hand(weights(module), reference[index].numpy(), query[index].numpy())
        assert np.allclose(found[index], wanted, rtol=1e-4, atol=1e-3)


def test_untrained_is_the_identity():
    reference = torch.randn(1, 64, 3, 3)
    assert torch.equal(Cvopm(64, 64)(reference, torch.randn(1, 64, 2, 2)), reference)


def test_parameters():
    with torch.device("meta"):
        assert sum(p.numel() for p in Cvopm().parameters()) == 12_992_256
