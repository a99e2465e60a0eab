"""`tilefix doctor`: what it finds, and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from advised_commands import parsed
from click.testing import CliRunner
from system_trees import memory, orin_jetpack_6, put, python

from edge import checkup, machine
from edge.checkup import examine
from edge.checkups import software
from edge.checkups.finding import State
from edge.commands.doctor import doctor
from edge.errors import BundleError


@pytest.fixture
def healthy(monkeypatch, tiny_bundle, tmp_path):
    """A machine on which all is well, whatever the test runs on."""
    monkeypatch.setattr("edge.bundle.shipped_bundle_path", lambda: tiny_bundle.path)
    monkeypatch.setattr(
        checkup, "ROOT", put(tmp_path / "root", {"proc/meminfo": memory(8000, 4000)})
    )
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
    monkeypatch.setattr(software, "NEEDED", (*software.NEEDED, "no-such-library"))
    found = by_name(healthy)
    assert found["shipped bundle"].state is State.FAILED
    assert found["shipped bundle"].remedy == "install again"
    assert found["no-such-library"].state is State.FAILED
    assert found["no-such-library"].remedy == "pip install no-such-library"


def test_too_little_memory_is_a_failure(healthy):
    put(healthy / "root", {"proc/meminfo": memory(8000, 300)})
    done = CliRunner().invoke(doctor, ["--json"])
    failed = [each for each in json.loads(done.output)["checks"] if each["state"] == "failed"]
    assert (done.exit_code, [each["name"] for each in failed]) == (1, ["memory"])


def test_a_whole_jetson_in_one_report(healthy):
    """All subjects together, in the order of the report; what is missing never fails the whole."""
    root = orin_jetpack_6(healthy / "orin")
    hidden = python(in_venv=True, sees_system=False)
    found = examine(healthy, root, hidden)
    names = [each.name for each in found]
    order = ["Python", "shipped bundle", "Jetson", "power mode", "clocks", "GPU", "CUDA driver"]
    order += ["CUDA toolkit", "TensorRT", "CUDA for Python", "engines", "memory", "swap"]
    order += ["engine build", "disk", "video", "cameras", "GStreamer", "CSI cameras"]
    places = [names.index(name) for name in order]
    assert places == sorted(places)
    assert not [each for each in found if each.state is State.FAILED]
    missing = {each.name for each in found if each.state is State.NOTE and each.remedy}
    assert {"TensorRT", "CUDA for Python", "engines", "power mode"} <= missing


def test_damaged_engines_are_found_where_they_are_only_built(healthy, monkeypatch):
    """No GPU, and TensorRT-RTX: engines for other machines lie here."""
    monkeypatch.setenv("TILEFIX_ENGINES", str(healthy / "engines"))
    put(healthy / "engines", {"tiny/0123456789abcdef/engine.json": "{"})
    root, rtx = healthy / "root", python(distributions={"tensorrt_rtx": "1.7.1.116"})
    names = {each.name: each.state for each in examine(healthy, root, rtx)}
    assert names["engines"] is State.FAILED
    assert "engines" not in {each.name for each in examine(healthy, root, python())}


def test_commands_are_printed_whole_below_the_table(healthy, monkeypatch, tiny_bundle):
    """However narrow the screen is: a command that is broken over lines cannot be copied."""
    monkeypatch.setattr(checkup, "ROOT", orin_jetpack_6(healthy / "orin"))
    done = CliRunner().invoke(doctor, [], env={"COLUMNS": "60"})
    lines = done.output.splitlines()
    assert "    sudo nvpmodel -m 0" in lines and "power mode" in lines
    (build,) = [line for line in lines if line.startswith("    tilefix plugin build")]
    assert "engines" in lines
    ((_, compiled), (verb, told)) = parsed(build.strip())
    assert (verb, told["plugin"]) == ("build", compiled["out"])
    assert told["bundle"] == tiny_bundle.path


def test_no_gpu_library_is_imported():
    """A broken TensorRT must not take the doctor down with it."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edge.checkup import examine\n"
        "examine(Path.cwd())\n"
        "heavy = {'tensorrt', 'tensorrt_rtx', 'cuda', 'pycuda', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'imported: {sorted(heavy)}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_full_disk_one_core_and_no_camera_are_notes(healthy, monkeypatch):
    monkeypatch.setattr(checkup, "free_disk_bytes", lambda folder: 1 << 20)
    monkeypatch.setattr(checkup, "usable_cores", lambda: 1)
    found = by_name(healthy)
    for name, word in (("disk", "gigabytes"), ("cores", "share one core"), ("cameras", "RTSP")):
        assert found[name].state is State.NOTE
        assert word in found[name].found + found[name].remedy
    put(healthy / "root", {"dev/video0": "", "sys/class/video4linux/video0/name": "USB"})
    assert by_name(healthy)["cameras"].found == "/dev/video0 (USB)"


def test_what_the_machine_says_is_plausible(tmp_path):
    import psutil

    available = machine.available_memory_bytes()
    if available is not None:
        assert available == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    assert machine.free_disk_bytes(tmp_path) > 0
    assert machine.free_disk_bytes(tmp_path / "none") is None
    assert 1 <= machine.usable_cores() <= psutil.cpu_count()
