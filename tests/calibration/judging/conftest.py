"""A request of small real graphs, and a fake toolkit to build engines of them with."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest
from asked_judge import asked_judge
from made_plugin import made_plugin
from small_graphs import small_bundle, small_encoder, small_localizer

from calibration.judging.request import JudgeRequest
from calibration.quantization.int8_graphs import FloatGraphs
from calibration.ranges.record import Ranges, TensorRange
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.engine_manifest import ENGINES_VARIABLE
from export.engines import device, toolkit

FAKE = Path(__file__).parents[2] / "support/fake_toolkit"


def named(graph: bytes) -> bytes:
    """The graph with a module's path for the weights of each convolution, so that it has blocks."""
    model = onnx.load_from_string(graph)
    names = [node.input[1] for node in model.graph.node if node.op_type == "Conv"]
    paths = {name: f"model.part.{number}.weight" for number, name in enumerate(names)}
    for tensor in model.graph.initializer:
        tensor.name = paths.get(tensor.name, tensor.name)
    for node in model.graph.node:
        node.input[:] = [paths.get(name, name) for name in node.input]
    return model.SerializeToString()


def two_precisions(tiny, tmp_path) -> Bundle:
    graphs = {
        f"{precision}/{kind}": named(make(precision == "fp16"))
        for precision in ("fp32", "fp16")
        for kind, make in ((ENCODER, small_encoder), (LOCALIZER, small_localizer))
    }
    return small_bundle(tmp_path / "bundle", tiny.tiny_manifest(), graphs)


@pytest.fixture
def request_of(tiny, tmp_path) -> JudgeRequest:
    bundle = two_precisions(tiny, tmp_path)
    graphs = FloatGraphs(bundle)
    entries = tuple(
        TensorRange(
            tensor=name,
            amax=1.0,
            lowest=-1.0,
            highest=1.0,
            saturated_share=0.0,
            method="minmax",
            graph=kind,
        )
        for kind, names in graphs.observed.items()
        for name in names
    )
    ranges = Ranges(
        graph_sha256={}, selection_sha256="", method="minmax", preprocessing="", entries=entries
    )
    return JudgeRequest(
        bundle=bundle,
        ranges={"minmax": ranges},
        selection=SimpleNamespace(),
        work=tmp_path / "work",
        graphs=graphs,
    )


@pytest.fixture
def asked(monkeypatch, tmp_path) -> SimpleNamespace:
    """A request whose scores come out of a table."""
    return asked_judge(monkeypatch, tmp_path)


@pytest.fixture
def orin(monkeypatch) -> None:
    """TensorRT 10.3 on an Orin: the fake toolkit, built with in the real process."""
    monkeypatch.setenv("FAKE_VERSION", "10.3.0.30")
    monkeypatch.setenv("FAKE_FAULT", "")
    monkeypatch.delenv(ENGINES_VARIABLE, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.setattr(device, "local_gpu", lambda: device.Gpu("Orin (16 SM)", 87))
    monkeypatch.setattr(toolkit, "TOOLKITS", ("tensorrt",))


@pytest.fixture
def plugin(tmp_path) -> Path:
    return made_plugin(tmp_path / "plugin")
