"""The models around the kernel, as the acceptance on a GPU runs them, on the host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from quick_weights import quick_random_weights
from small_backbones import shallow_backbones

from benchmarks.gpu.model_trial import MODELS, halves_of
from export.plugin.tile_attention import OUTPUTS


def size_of(name: str, whole: bool) -> dict[str, object]:
    """As small as goes: each click costs a published model a pass of its query branch."""
    if name == "lite":
        return {"window_px": 256} if whole else {"window_px": 160, "frame_px": 64}
    return {"window_px": 160, "frame_hw_px": (64, 64)}


@pytest.fixture(
    params=[False, pytest.param(True, marks=pytest.mark.full_size)],
    ids=["shallow", "whole"],
)
def whole(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether backbones have all of their layers."""
    with quick_random_weights(), contextlib.nullcontext() if request.param else shallow_backbones():
        yield request.param


@torch.inference_mode()
@pytest.mark.parametrize("name", MODELS)
def test_models_around_the_kernel_answer_as_the_models_do(host_kernels, whole, name):
    halves = halves_of(name, host_kernels, "cpu", torch.float32, **size_of(name, whole))
    features = halves.encode()
    found = dict(zip(OUTPUTS, halves.localize(features), strict=False))
    frame = halves.model.encode_query(halves.frame[None])[0] if name == "lite" else halves.frame
    expected = halves.model.localize(frame, halves.clicks, features)
    for output in OUTPUTS[:4]:
        np.testing.assert_allclose(
            found[output], getattr(expected, output), rtol=1e-4, atol=1e-2, err_msg=output
        )


@torch.inference_mode()
@pytest.mark.parametrize("name", MODELS)
def test_models_run_in_float16(host_kernels, whole, name):
    halves = halves_of(name, host_kernels, "cpu", torch.float16, **size_of(name, whole))
    assert all(answer.isfinite().all() for answer in halves.localize(halves.encode()))
