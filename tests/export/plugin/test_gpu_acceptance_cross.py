"""CrossAttention's part of the acceptance on a GPU, as far as a machine without one can run it."""

from __future__ import annotations

import pytest
import torch
from quick_weights import quick_random_weights
from small_backbones import shallow_backbones

from benchmarks.gpu import cross_attention_trial, model_trial
from benchmarks.gpu.cross_attention_trial import by_sdpa, check, check_graph, inputs_of
from export.plugin import cross_attention_cases, cross_attention_cuda
from export.plugin.cross_attention_cases import MODEL_SIZES, CrossSize
from export.plugin.cross_attention_op import evaluate

SHRUNK = {name: CrossSize(1, 3, 3, 2, 8) for name in MODEL_SIZES}
SHRUNK["attengeo, query side"] = CrossSize(1, 3, 260, 2, 8)  # in two parts


@pytest.fixture
def few_sizes(monkeypatch):
    monkeypatch.setattr(cross_attention_trial, "SMALL", ((2, 5, 70, 3, 32), (1, 3, 260, 2, 5)))
    monkeypatch.setattr(cross_attention_cases, "MODEL_SIZES", SHRUNK)


@pytest.fixture
def as_if_on_a_gpu(monkeypatch, few_sizes):
    """Small sizes on the host; clocks and graphs that call what they are given."""
    real = cross_attention_trial.tensors
    monkeypatch.setattr(
        cross_attention_trial, "tensors", lambda case, dtype, device="": real(case, dtype, "cpu")
    )
    monkeypatch.setattr(cross_attention_trial, "CACHE_BYTES", 1e3)
    monkeypatch.setattr(cross_attention_trial, "in_graph", lambda call: (call(), call)[1])
    monkeypatch.setattr(cross_attention_trial, "median_us", lambda call: (call(), 10.0)[1])
    monkeypatch.setattr(
        cross_attention_trial, "graph_us", lambda calls: ([c() for c in calls[:3]], 5.0)[1]
    )
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)


def test_the_checks_pass_on_the_host(host_cross, host_cross_plugin, few_sizes):
    for library, through_plugin in ((host_cross, False), (host_cross_plugin, True)):
        values, requirements = check(library, 1, through_plugin, "all", "cpu")
        assert values["calls"] == (8 + 6) * 2 * (1 if through_plugin else 3)
        assert [r.name for r in requirements] == [
            "float16: relative error",
            "float32: relative error",
            "float16, large logits: relative error",
            "float32, large logits: relative error",
        ]
        assert all(r.met for r in requirements), requirements


def test_the_checks_notice_a_wrong_kernel(host_cross, few_sizes, monkeypatch):
    right = cross_attention_cuda.run_kernel
    monkeypatch.setattr(cross_attention_cuda, "run_kernel", lambda *a: right(*a) * 1.01)
    _, requirements = check(host_cross, 1, sizes="small", device="cpu")
    assert not any(r.met for r in requirements[:3])
    monkeypatch.setattr(cross_attention_cuda, "run_kernel", lambda *a: right(*a) * float("nan"))
    with pytest.raises(RuntimeError, match="two equal calls differ"):  # NaN equals nothing
        check(host_cross, 1, sizes="small", device="cpu")


def test_graphs_are_compared(host_cross, as_if_on_a_gpu):
    assert check_graph(host_cross) == ({}, [])


def test_times_are_tabled(host_cross, as_if_on_a_gpu):
    values, requirements = cross_attention_trial.time_kernel(host_cross, 3000.0)
    assert requirements == []
    assert [row["size"] for row in values["table"]] == list(MODEL_SIZES)
    row = next(r for r in values["table"] if r["size"] == "attengeo, query side")
    assert row["splits"] == 2 and row["kernel_warm_us"] == row["sdpa_cold_us"] == 5.0
    assert row["gb_per_s"] == pytest.approx(4 * 16 * 263 / 5e3)
    assert list(values["warm_us_by_splits"]) == ["attengeo, query side"]
    assert list(values["warm_us_by_splits"]["attengeo, query side"]) == ["1", "2", "4", "8", "16"]


def test_rivals_are_compared(host_cross, as_if_on_a_gpu):
    values, _ = cross_attention_trial.time_rivals(host_cross)
    assert set(values) == {"ocgnet", "attengeo, query side", "trogeo"}
    assert values["trogeo"]["sdpa, compiled, graph, us"] == 5.0


def test_the_rival_is_the_same_function(as_if_on_a_gpu):
    for name in ("attengeo, query side", "trogeo"):
        inputs, settings = inputs_of(name, SHRUNK[name])
        assert (inputs[3] is not None) == (name != "trogeo")
        wide = evaluate(*inputs, *settings, dtype=torch.float64)
        found = by_sdpa(*(None if t is None else t.double() for t in inputs), *settings)
        torch.testing.assert_close(found, wide)


def test_the_rivals_compile_to_one_graph(as_if_on_a_gpu):
    inputs, settings = inputs_of("attengeo, query side", SHRUNK["attengeo, query side"])
    torch.testing.assert_close(
        torch._dynamo.optimize("eager", nopython=True)(by_sdpa)(*inputs, *settings),
        by_sdpa(*inputs, *settings),
    )


def test_models_are_timed_with_both_attentions(host_kernels, host_cross, monkeypatch):
    """Their own, then CrossAttention in its place: and only where there is an attention."""
    small: dict[str, dict[str, object]] = {
        "ocgnet": {"window_px": 256, "frame_hw_px": (64, 128)},
        "lite": {"window_px": 128, "frame_px": 64},
    }
    real = model_trial.halves_of
    monkeypatch.setattr(
        model_trial,
        "halves_of",
        lambda name, library, device, dtype, *form: real(
            name, library, "cpu", torch.float32, *form, **small[name]
        ),
    )
    seen: list[object] = []
    monkeypatch.setattr(model_trial, "median_us", lambda call: (seen.append(call()), 2000.0)[1])
    monkeypatch.setattr(model_trial, "in_graph", lambda call: call)
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)
    with quick_random_weights(), shallow_backbones():
        values, requirements = model_trial.time_model("ocgnet", host_kernels, host_cross)
    assert len(values) == 8 and values["CrossAttention, cached, graph, ms"] == 2.0
    assert not requirements[0].met
    for one, other in zip(seen[0], seen[4], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)
    values, requirements = model_trial.time_model("lite", host_kernels, host_cross)
    assert not any("CrossAttention" in key for key in values)
    assert requirements[0].name == "lite: cached path, ms"
