"""Which TensorRT is taken, and what is done about their differences."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from edge.errors import ExecutorError, MissingLibraryError, UsageError
from export.engines import toolkit as toolkits
from export.engines.toolkit import Toolkit


@pytest.fixture
def installed(monkeypatch):
    """`installed({"tensorrt": "10.3.0"})`: these toolkits and no others."""

    def set_up(versions: dict[str, str]) -> None:
        find = lambda name: object() if name in versions else None  # noqa: E731
        monkeypatch.setattr(toolkits.importlib.util, "find_spec", find)
        for name, version in versions.items():
            monkeypatch.setitem(sys.modules, name, SimpleNamespace(__version__=version))

    return set_up


BOTH = {"tensorrt": "10.3.0.30", "tensorrt_rtx": "1.7.1.116"}


def test_the_one_that_is_there(installed):
    installed({"tensorrt_rtx": "1.7.1.116"})
    assert Toolkit.find(None, local=True).title == "TensorRT-RTX 1.7.1.116"
    installed({"tensorrt": "11.4.1"})
    assert Toolkit.find(None, local=False).title == "TensorRT 11.4.1"


def test_where_both_are_the_target_decides(installed):
    installed(BOTH)
    assert Toolkit.find(None, local=True).name == "tensorrt"
    assert Toolkit.find(None, local=False).name == "tensorrt_rtx"
    for spelling in ("tensorrt_rtx", "tensorrt-rtx"):  # the executor's has a hyphen
        assert Toolkit.find(spelling, local=True).name == "tensorrt_rtx"


def test_none_is_installed(installed):
    installed({})
    with pytest.raises(MissingLibraryError) as error:
        Toolkit.find(None, local=True)
    assert error.value.what == "no TensorRT is installed"
    assert error.value.expected == "tensorrt or tensorrt_rtx"
    assert "on a Jetson: sudo apt install python3-libnvinfer," in error.value.do
    assert "on a PC: pip install tensorrt-rtx" in error.value.do


def test_the_chosen_one_is_not_installed(installed):
    installed({"tensorrt_rtx": "1.7.1.116"})
    with pytest.raises(MissingLibraryError) as error:
        Toolkit.find("tensorrt", local=True)
    assert error.value.what == "tensorrt is not installed"
    assert error.value.found == "tensorrt_rtx"
    with pytest.raises(UsageError) as error:
        Toolkit.find("trt", local=True)
    assert error.value.expected == "--toolkit tensorrt or tensorrt-rtx"


def test_one_that_cannot_be_imported(installed, monkeypatch):
    installed({"tensorrt": "10.3.0"})
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingLibraryError) as error:
        Toolkit.find(None, local=True)
    assert error.value.what == "tensorrt is installed and cannot be imported"


def test_one_that_is_too_old(installed):
    installed({"tensorrt": "8.6.1"})
    with pytest.raises(MissingLibraryError) as error:
        Toolkit.find(None, local=True)
    assert error.value.what == "TensorRT 8.6.1 is too old"
    assert error.value.expected.startswith("TensorRT 10.3 (JetPack 6) or newer")


@pytest.mark.parametrize(
    ("name", "version", "wins", "opset"),
    [
        ("tensorrt", "10.3.0.30", False, 20),
        ("tensorrt", "10.6.9", False, 20),
        ("tensorrt", "10.7.0", True, 24),
        ("tensorrt", "11.4.1", True, 24),
        ("tensorrt_rtx", "1.7.1.116", True, 24),
    ],
)
def test_versions_differ(name, version, wins, opset):
    one = Toolkit(name, version, None)
    assert (one.plugin_wins, one.newest_opset) == (wins, opset)


class Builder:
    """Makes a network and remembers what it was told."""

    def __init__(self, keeps_the_flag: bool = True) -> None:
        self.flags = -1
        self.keeps_the_flag = keeps_the_flag

    def create_network(self, flags: int) -> SimpleNamespace:
        self.flags = flags
        return SimpleNamespace(get_flag=lambda flag: self.keeps_the_flag)


def test_networks_are_strongly_typed():
    trt = SimpleNamespace(NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1))
    for name, version, flags in (
        ("tensorrt", "10.16.0", 2),
        ("tensorrt", "11.0.0", 0),  # the flag is gone, and always on
        ("tensorrt_rtx", "1.7.1", 0),
    ):
        builder = Builder()
        Toolkit(name, version, trt if flags else SimpleNamespace()).new_network(builder)
        assert builder.flags == flags
    with pytest.raises(ExecutorError) as error:
        Toolkit("tensorrt", "10.3.0", trt).new_network(Builder(keeps_the_flag=False))
    assert error.value.what == "TensorRT 10.3.0 made a network that chooses its types itself"


def test_nothing_of_a_build_needs_torch():
    """A Jetson builds its engines without it."""
    code = (
        "import importlib, pkgutil, sys, export.engines as engines\n"
        "names = [found.name for found in pkgutil.iter_modules(engines.__path__)]\n"
        "for name in names: importlib.import_module(f'export.engines.{name}')\n"
        "heavy = {'torch', 'training', 'tensorrt', 'tensorrt_rtx'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy or len(names) < 10 else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_wheel_without_its_library(installed, tmp_path):
    installed({"tensorrt_rtx": "1.7.1"})
    with pytest.raises(MissingLibraryError) as error:
        Toolkit.load("tensorrt_rtx").environment(tmp_path)
    assert error.value.found == "no package tensorrt_rtx_libs"


def test_the_library_gets_the_name_that_the_parser_loads(tmp_path, monkeypatch):
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("tensorrt_rtx is not installed: pip install tensorrt-rtx")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    found = Toolkit.load("tensorrt_rtx").environment(tmp_path)
    assert found == {"LD_LIBRARY_PATH": f"{tmp_path}{os.pathsep}/opt/lib"}
    assert (tmp_path / "libtensorrt_rtx.so").resolve().name.startswith("libtensorrt_rtx.so.")
