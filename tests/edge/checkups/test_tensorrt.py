"""TensorRT as this Python sees it, or does not; nothing of it is imported."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from advised_commands import parsed
from system_trees import desktop, orin_jetpack_6, put, python, thor_jetpack_7

from edge.checkups.finding import Interpreter, State
from edge.checkups.tensorrt import examine_tensorrt
from edge.engine_manifest import (
    ENGINE_FILE,
    PLUGIN_FILE,
    SCHEMA,
    EngineKey,
    EngineManifest,
    LayerSummary,
    write_engine,
)

SYSTEM = "/usr/lib/python3.10/dist-packages/tensorrt/__init__.py"
WHOLE = python(
    modules={"tensorrt": SYSTEM}, distributions={"tensorrt": "10.3.0", "cuda-python": "12.9.1"}
)


BUNDLE = Path("/data/my bundles/lite")


def by_name(root, interpreter, engines=None):
    return {each.name: each for each in examine_tensorrt(root, interpreter, engines, BUNDLE)}


def builds(finding, **wanted):
    """The finding's one command makes the plugin, then builds this bundle's engines with it."""
    (command,) = finding.commands
    (first, compiled), (second, told) = parsed(command)
    assert (first, second) == ("plugin build", "build")
    assert told["plugin"] == compiled["out"], "fp16 without a plugin is refused"
    wanted = {"bundle": BUNDLE, "precision": "fp16", "target": "local", **wanted}
    assert {name: told[name] for name in wanted} == wanted


def test_jetpack_6_in_order(tmp_path):
    found = by_name(orin_jetpack_6(tmp_path), WHOLE)
    assert found["TensorRT"].found == "10.3.0"
    assert found["CUDA for Python"].found == "cuda-python 12.9.1"
    assert {each.state for each in found.values()} == {State.OK}


def test_a_venv_that_hides_the_systems_tensorrt_is_explained(tmp_path):
    root = orin_jetpack_6(tmp_path)
    found = by_name(root, python(in_venv=True, sees_system=False))["TensorRT"]
    assert found.state is State.NOTE
    assert found.found == "10.3.0 of the system, hidden from this virtual environment"
    venv, wheel, install = found.commands
    assert venv == "python3.10 -m venv --system-site-packages ~/tilefix"
    words = shlex.split(wheel)
    assert words[:-1] == [
        "~/tilefix/bin/pip",
        "wheel",
        "--no-deps",
        "--wheel-dir",
        "~/tilefix-wheel",
    ]
    assert words[-1] == "." or (Path(words[-1]) / "pyproject.toml").is_file()
    assert install == (
        "~/tilefix/bin/pip install --find-links ~/tilefix-wheel 'tilefix[jetson,export]' "
        "'cuda-python==12.*'"
    ), "a build needs the extra export as well"


def test_without_a_gpu_it_says_how_engines_are_built_for_others(tmp_path):
    (finding,) = examine_tensorrt(tmp_path, python())
    assert (finding.state, finding.found) == (State.NOTE, "none")
    assert finding.remedy == (
        "there is no GPU here; to build engines for other machines: pip install tensorrt-rtx"
    )


def test_packages_of_python3_are_for_every_version(tmp_path):
    package = "usr/lib/python3/dist-packages/tensorrt"
    put(tmp_path, {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\n"})
    put(tmp_path, {f"{package}/__init__.py": "", f"{package}-10.3.0.dist-info/METADATA": ""})
    found = by_name(tmp_path, python((3, 10), in_venv=True, sees_system=False))["TensorRT"]
    assert found.found == "10.3.0 of the system, hidden from this virtual environment"


def test_another_python_than_the_one_of_jetpack(tmp_path):
    found = by_name(thor_jetpack_7(tmp_path), python((3, 11), in_venv=True))["TensorRT"]
    assert found.found == "10.13.3.9 for python3.12, and this is python3.11"
    assert found.commands[0] == "python3.12 -m venv --system-site-packages ~/tilefix"
    assert found.commands[-1].endswith("'cuda-python==13.*'")


def test_a_tensorrt_from_pip_does_not_fit_a_jetson(tmp_path):
    there = python(
        in_venv=True,
        modules={"tensorrt": "/home/u/v/lib/python3.10/site-packages/tensorrt/__init__.py"},
        distributions={"tensorrt": "10.15.1"},
    )
    found = by_name(orin_jetpack_6(tmp_path), there)["TensorRT"]
    assert found.state is State.NOTE and "10.15.1 from pip" in found.found
    assert found.commands[0] == "pip uninstall -y tensorrt"


def test_nothing_installed_names_the_package(tmp_path):
    root = put(tmp_path, {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\n"})
    found = by_name(root, python())
    assert found["TensorRT"].found == "not installed"
    assert "sudo apt install nvidia-jetpack" in found["TensorRT"].remedy
    put(root, {"usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0": ""})
    lacking = by_name(root, python())["TensorRT"]
    assert lacking.found == "libnvinfer.so.10.3.0, without its Python package"
    assert lacking.commands == ("sudo apt install python3-libnvinfer",)


def test_python_without_the_library(tmp_path):
    root = orin_jetpack_6(tmp_path)
    for path in root.glob("usr/lib/aarch64-linux-gnu/libnvinfer*"):
        path.unlink()
    found = by_name(root, WHOLE)["TensorRT"]
    assert (found.state, found.remedy) == (State.NOTE, "sudo apt install tensorrt-libs")


@pytest.mark.parametrize(
    ("make", "version", "advice"),
    [
        (orin_jetpack_6, None, "pip install 'cuda-python==12.*'"),
        (orin_jetpack_6, "13.0.1", "pip install 'cuda-python==12.*'"),
        (thor_jetpack_7, "12.9.1", "pip install 'cuda-python==13.*'"),
        (thor_jetpack_7, "13.4.4", ""),
        (desktop, None, "pip install 'tilefix[jetson]'"),
        (desktop, "12.9.1", ""),
    ],
)
def test_cuda_for_python_has_to_fit_the_release(tmp_path, make, version, advice):
    there = {"cuda-python": version, "pycuda": "2025.1"} if version else {"pycuda": "2025.1"}
    found = by_name(make(tmp_path), python(distributions=there))["CUDA for Python"]
    assert found.remedy == advice
    assert "pycuda 2025.1" in found.found
    assert (found.state is State.OK) == (advice == "")


def test_a_desktop_with_tensorrt_rtx_and_one_without(tmp_path):
    root = desktop(tmp_path)
    rtx = by_name(root, python(distributions={"tensorrt_rtx": "1.7.1.116"}))["TensorRT"]
    assert (rtx.state, rtx.found) == (State.OK, "TensorRT-RTX 1.7.1.116")
    none = by_name(root, python())["TensorRT"]
    assert "pip install tensorrt-rtx" in none.remedy


def test_a_machine_without_a_gpu_may_still_build_ahead(tmp_path):
    (rtx,) = examine_tensorrt(tmp_path, python(distributions={"tensorrt_rtx": "1.7.1.116"}))
    assert (rtx.state, "builds engines for other machines" in rtx.found) == (State.OK, True)
    (none,) = examine_tensorrt(tmp_path, python())
    assert (none.state, none.found) == (State.NOTE, "none")


def test_engines_of_a_machine_that_only_builds(tmp_path):
    rtx, engines = python(distributions={"tensorrt_rtx": "1.7.1.116"}), tmp_path / "engines"
    found = examine_tensorrt(tmp_path, rtx, engines, tmp_path / "bundle")
    assert [each.name for each in found] == ["TensorRT"], "it need not have any"
    put(engines, {"0123456789abcdef/engine.json": "{"})
    (_, broken) = examine_tensorrt(tmp_path, rtx, engines, tmp_path / "bundle")
    assert (broken.name, broken.state) == ("engines", State.FAILED)


def test_no_engine_yet_and_a_damaged_one(tmp_path):
    root, engines = orin_jetpack_6(tmp_path / "root"), tmp_path / "engines"
    none = by_name(root, WHOLE, engines)["engines"]
    assert none.state is State.NOTE
    builds(none, force=False)
    put(engines, {"0123456789abcdef/engine.json": "{"})
    broken = by_name(root, WHOLE, engines)["engines"]
    assert broken.state is State.FAILED
    assert "0123456789abcdef" in broken.found
    builds(broken, force=True)


def write_one(folder, version="10.3.0"):
    plan, plugin = b"plan", b"plugin"
    key = EngineKey(
        kind="localizer",
        toolkit="tensorrt",
        toolkit_version=version,
        onnx_sha256="0" * 64,
        precision="fp16",
        compute_capabilities=("8.7",),
        plugin_sha256=hashlib.sha256(plugin).hexdigest(),
    )
    manifest = EngineManifest(
        schema=SCHEMA,
        key=key,
        engine_sha256=hashlib.sha256(plan).hexdigest(),
        engine_bytes=len(plan),
        inputs=(),
        outputs=(),
        layers=LayerSummary(layers=1, plugin_layers=1),
    )
    return write_engine(folder, manifest, {ENGINE_FILE: plan, PLUGIN_FILE: plugin})


def test_a_whole_engine_an_altered_plugin_and_an_engine_of_another_version(tmp_path):
    root, engines = orin_jetpack_6(tmp_path / "root"), tmp_path / "engines"
    folder = write_one(engines)
    whole = by_name(root, WHOLE, engines)["engines"]
    assert (whole.state, whole.found) == (State.OK, "localizer fp16 for 8.7, plugin")
    (folder / PLUGIN_FILE).write_bytes(b"other!")
    altered = by_name(root, WHOLE, engines)["engines"]
    assert altered.state is State.FAILED
    builds(altered, force=True)
    shutil.rmtree(folder)
    write_one(engines, "10.7.0")
    old = by_name(root, WHOLE, engines)["engines"]
    assert old.state is State.NOTE
    builds(old, toolkit="tensorrt")
    assert old.found == "localizer fp16 is of tensorrt 10.7.0"
    longer = python(distributions={"tensorrt": "10.7.0.26"})
    assert by_name(root, longer, engines)["engines"].state is State.OK


def test_the_running_python_and_its_virtual_environment(tmp_path, monkeypatch):
    put(tmp_path, {"pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = false\n"})
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    hidden = Interpreter.this()
    assert (hidden.in_venv, hidden.sees_system) == (True, False)
    put(tmp_path, {"pyvenv.cfg": "Include-System-Site-Packages=TRUE\n"})
    assert Interpreter.this().sees_system
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    plain = Interpreter.this()
    assert (plain.in_venv, plain.sees_system) == (False, True)
    assert plain.where("json").endswith("__init__.py") and plain.where("no_such") is None
    assert plain.version_of("numpy") and plain.version_of("no-such") is None
