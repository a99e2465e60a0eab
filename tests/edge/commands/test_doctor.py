"""`tilefix doctor`: what it finds, and its exit code."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from edge import checkup, machine
from edge.checkup import ENCODE_BYTES, LOCATE_BYTES, State, examine
from edge.commands.doctor import doctor
from edge.errors import BundleError


@pytest.fixture
def healthy(monkeypatch, tiny_bundle, tmp_path):
    """A machine on which all is well, whatever the test runs on."""
    monkeypatch.setattr("edge.bundle.shipped_bundle_path", lambda: tiny_bundle.path)
    monkeypatch.setattr(checkup, "available_memory_bytes", lambda: 4 << 30)
    monkeypatch.setattr(checkup, "free_disk_bytes", lambda folder: 50 << 30)
    monkeypatch.setattr(checkup, "usable_cores", lambda: 4)
    return tmp_path


def by_name(folder):
    return {finding.name: finding for finding in examine(folder)}


def test_a_healthy_machine(healthy):
    done = CliRunner().invoke(doctor, ["--json"])
    report = json.loads(done.output)
    assert (done.exit_code, report["ok"]) == (0, True)
    checks = {check["name"]: check for check in report["checks"]}
    for name in ("Python", "numpy", "onnxruntime", "executor onnxruntime", "executor reference"):
        assert checks[name]["state"] == "ok"
    assert "tiny 0" in checks["shipped bundle"]["found"]
    assert "graphs load" in checks["shipped bundle"]["found"]
    assert "CPUExecutionProvider" in checks["executor onnxruntime"]["found"]
    table = CliRunner().invoke(doctor, [])
    assert table.exit_code == 0 and "tilefix runs here" in table.output


def test_an_altered_bundle_is_a_failure_with_advice(healthy, monkeypatch, make_tiny_bundle):
    bundle = make_tiny_bundle(healthy / "bundle")
    graph = bundle.graph("localizer")
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    monkeypatch.setattr("edge.bundle.shipped_bundle_path", lambda: bundle.path)
    done = CliRunner().invoke(doctor, ["--json"])
    report = json.loads(done.output)
    assert (done.exit_code, report["ok"]) == (1, False)
    (failed,) = [check for check in report["checks"] if check["state"] == "failed"]
    assert failed["name"] == "shipped bundle"
    assert "localizer.onnx" in failed["found"] and "was altered" in failed["found"]
    assert "do not fly with this one" in failed["advice"]
    table = CliRunner().invoke(doctor, [])
    assert table.exit_code == 1 and "1 of " in table.output and "FAILED" in table.output


def test_a_missing_bundle_and_a_missing_library(healthy, monkeypatch):
    def none():
        raise BundleError("no bundle", expected="e", found="nothing", do="install again")

    monkeypatch.setattr("edge.bundle.shipped_bundle_path", none)
    monkeypatch.setattr(checkup, "NEEDED", (*checkup.NEEDED, "no-such-library"))
    found = by_name(healthy)
    assert found["shipped bundle"].state is State.FAILED
    assert found["shipped bundle"].advice == "install again"
    assert found["no-such-library"].state is State.FAILED
    assert found["no-such-library"].advice == "pip install no-such-library"


@pytest.mark.parametrize(
    ("available", "state", "word"),
    [
        (ENCODE_BYTES, State.OK, "900 MB"),
        (ENCODE_BYTES - 1, State.NOTE, "--store"),
        (LOCATE_BYTES - 1, State.FAILED, "end other programs"),
        (None, State.NOTE, "does not say"),
    ],
)
def test_memory(healthy, monkeypatch, available, state, word):
    monkeypatch.setattr(checkup, "available_memory_bytes", lambda: available)
    finding = by_name(healthy)["memory"]
    assert finding.state is state
    assert word in finding.found + finding.advice


def test_a_full_disk_one_core_and_no_camera_are_notes(healthy, monkeypatch):
    monkeypatch.setattr(checkup, "free_disk_bytes", lambda folder: 1 << 20)
    monkeypatch.setattr(checkup, "usable_cores", lambda: 1)
    monkeypatch.setattr(checkup, "cameras", list)
    found = by_name(healthy)
    for name, word in (("disk", "gigabytes"), ("cores", "share one core"), ("cameras", "RTSP")):
        assert found[name].state is State.NOTE
        assert word in found[name].found + found[name].advice
    monkeypatch.setattr(checkup, "cameras", lambda: ["/dev/video0 (USB)"])
    assert by_name(healthy)["cameras"].state is State.OK


def test_what_the_machine_says_is_plausible(tmp_path):
    import psutil

    available = machine.available_memory_bytes()
    if available is not None:
        assert available == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    assert machine.free_disk_bytes(tmp_path) > 0
    assert machine.free_disk_bytes(tmp_path / "none") is None
    assert 1 <= machine.usable_cores() <= psutil.cpu_count()
