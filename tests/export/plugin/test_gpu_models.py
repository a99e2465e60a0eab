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


def size_of(name: str) -> dict[str, object]:
    """As small as goes: each click costs a published model a pass of its query branch."""
    small = {"frame_px": 64} if name == "lite" else {"frame_hw_px": (64, 64)}
    return {"window_px": 160, **small}


@pytest.fixture(
    params=[shallow_backbones, pytest.param(contextlib.nullcontext, marks=pytest.mark.full_size)],
    ids=["shallow", "whole"],
)
def backbones(request: pytest.FixtureRequest) -> Iterator[None]:
    with quick_random_weights(), request.param():
        yield


@torch.inference_mode()
@pytest.mark.parametrize("name", MODELS)
def test_models_around_the_kernel_answer_as_the_models_do(host_kernels, backbones, name):
    halves = halves_of(name, host_kernels, "cpu", torch.float32, **size_of(name))
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
def test_models_run_in_float16(host_kernels, backbones, name):
    halves = halves_of(name, host_kernels, "cpu", torch.float16, **size_of(name))
    assert all(answer.isfinite().all() for answer in halves.localize(halves.encode()))
