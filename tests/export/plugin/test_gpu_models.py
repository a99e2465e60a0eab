"""The models around the kernel, as the acceptance on a GPU runs them, on the host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from quick_weights import quick_random_weights
from small_backbones import shallow_backbones

from benchmarks.gpu import model_trial
from benchmarks.gpu.model_trial import (
    ARRANGED,
    COMPILED,
    FOLDED,
    MODELS,
    fastest,
    halves_of,
    time_forms,
)
from export.arranged_lite import ArrangedLite
from export.plugin.tile_attention import OUTPUTS
from training.models import build


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


@pytest.fixture
def forms_on_the_host(monkeypatch):
    """Small models on the host in float32, clocks that call once, and no compiler."""
    small = size_of("lite", False)
    monkeypatch.setattr(
        model_trial,
        "halves_of",
        lambda name, library, device, dtype, *form: halves_of(
            name, library, "cpu", torch.float32, *form, **small
        ),
    )
    monkeypatch.setattr(model_trial, "median_us", lambda call: (call(), 2000.0)[1])
    monkeypatch.setattr(model_trial, "in_graph", lambda call: call)
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)
    with quick_random_weights(), shallow_backbones():
        yield


def test_every_form_of_lite_answers_alike(host_kernels, forms_on_the_host):
    values, requirements = time_forms(host_kernels)
    assert [r.name for r in requirements] == [
        f"{form}: relative error of {name}"
        for form in (FOLDED, ARRANGED, COMPILED)
        for name in ("query", "v", "u")
    ]
    assert all(r.value < 1e-5 for r in requirements), requirements
    assert len(values) == 10 and values["arranged, both branches, graph, ms"] == 2.0


def test_where_torch_cannot_compile_the_other_forms_stay(
    host_kernels, forms_on_the_host, monkeypatch
):
    def fails(*arguments, **options):
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(torch, "compile", fails)
    values, requirements = time_forms(host_kernels)
    assert values["not compiled"] == "RuntimeError: no C compiler"
    assert {r.name.split(":")[0] for r in requirements} == {FOLDED, ARRANGED}
    assert "arranged, cached, graph, ms" in values


def test_the_quickest_form_is_named():
    values = {
        "cached, graph, ms": 1.0,
        "arranged, cached, graph, ms": 0.4,
        "folded, cached, graph, ms": 0.7,
        "both branches, graph, ms": 3.0,
    }
    assert fastest(values) == {
        "cached, fastest form": "arranged",
        "cached, fastest form, ms": 0.4,
        "both branches, fastest form": "as built",
        "both branches, fastest form, ms": 3.0,
    }


def test_the_query_branch_compiles_to_one_graph(host_kernels, monkeypatch):
    real = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda f, dynamic: real(f, backend="eager", fullgraph=True)
    )
    with shallow_backbones(), torch.inference_mode():
        small = size_of("lite", False)
        one, other = (
            halves_of("lite", host_kernels, "cpu", torch.float32, form, **small).ask({})
            for form in (COMPILED, FOLDED)
        )
    torch.testing.assert_close(one, other)


@torch.inference_mode()
def test_nothing_of_the_arranged_path_lies_on_the_host(host_kernels):
    """On the device that holds nothing, a tensor of another device would be refused."""
    with shallow_backbones():
        model = build("lite", **size_of("lite", False)).eval()
        arranged = ArrangedLite(model).to("meta", torch.float16)
        frame = torch.empty(1, 3, 64, 64, dtype=torch.float16, device="meta")
        clicks = torch.empty(8, 2, device="meta")
        assert arranged.gather(arranged.encode_query(frame), clicks, None).shape == (8, 128)
