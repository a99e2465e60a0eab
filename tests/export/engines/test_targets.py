"""`--target` and `--toolkit`: what goes together, and what does not in which words."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from edge.errors import ExecutorError, UsageError
from export.engines import toolkit as toolkits
from export.engines.device import Gpu, local_gpu
from export.engines.targets import choose_target, read_capabilities

ORIN, DESKTOP, HOPPER = Gpu("Orin", 87), Gpu("GeForce RTX 3080", 86), Gpu("H200", 90)


@pytest.fixture
def both(monkeypatch):
    """Both toolkits, with the capabilities that TensorRT-RTX 1.7 lists."""
    names = ("NONE", "CURRENT", "SM75", "SM80", "SM86", "SM89", "SM120", "SM121")
    members = SimpleNamespace(__members__=dict.fromkeys(names))
    monkeypatch.setattr(toolkits.importlib.util, "find_spec", lambda name: object())
    modules = {
        "tensorrt": SimpleNamespace(__version__="10.3.0.30"),
        "tensorrt_rtx": SimpleNamespace(__version__="1.7.1.116", ComputeCapability=members),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def test_names_of_capabilities():
    assert read_capabilities("sm86, SM_80,12.0,sm86") == (80, 86, 120)
    for text in ("", "ampere", "sm8", "86;89", "sm86,orin"):
        with pytest.raises(UsageError) as error:
            read_capabilities(text)
        assert error.value.what == "--target cannot be read"
        assert error.value.found == repr(text)


def test_the_local_gpu_takes_full_tensorrt(both):
    target = choose_target("local", None, ORIN)
    assert (target.toolkit.name, target.dotted, target.gpu_name) == ("tensorrt", ("8.7",), "Orin")
    assert target.present
    assert choose_target("sm87", None, ORIN) == target


def test_other_gpus_take_tensorrt_rtx(both):
    target = choose_target("sm120,sm86", None, ORIN)
    assert (target.toolkit.name, target.dotted) == ("tensorrt_rtx", ("8.6", "12.0"))
    assert target.gpu_name == "", "an engine of TensorRT-RTX is for every GPU of its capabilities"
    assert not target.present
    assert choose_target("sm86", "tensorrt_rtx", DESKTOP).present
    assert choose_target("local", "tensorrt_rtx", DESKTOP).capabilities == (86,)


def test_no_local_gpu(both):
    with pytest.raises(ExecutorError) as error:
        choose_target("local", None, None)
    assert error.value.what == "--target local needs the GPU of this machine, and there is none"
    assert "run this on the device" in error.value.do
    with pytest.raises(ExecutorError) as error:
        choose_target("local", "tensorrt_rtx", None)
    assert error.value.do.endswith("some of sm75,sm80,sm86,sm89,sm120,sm121")


@pytest.mark.parametrize(
    ("target", "do"),
    [
        ("sm87", "sm87 is the Jetson Orin: its engines are built on the Jetson"),
        ("sm86,sm110", "sm110 is the Jetson Thor: its engines are built on the Jetson"),
        ("sm90", "leave it out of --target"),
    ],
)
def test_gpus_that_tensorrt_rtx_does_not_have(both, target, do):
    with pytest.raises(ExecutorError) as error:
        choose_target(target, None, None)
    assert error.value.what.startswith("TensorRT-RTX 1.7.1.116 does not build for sm")
    assert error.value.do.startswith(do)


def test_a_local_gpu_that_tensorrt_rtx_does_not_have(both):
    with pytest.raises(ExecutorError) as error:
        choose_target("local", "tensorrt_rtx", HOPPER)
    assert error.value.what == "TensorRT-RTX 1.7.1.116 does not build for sm90"


@pytest.mark.parametrize("gpu", [ORIN, None])
def test_full_tensorrt_builds_for_its_own_gpu_alone(both, gpu):
    with pytest.raises(ExecutorError) as error:
        choose_target("sm86", "tensorrt", gpu)
    assert error.value.what == "TensorRT 10.3.0.30 cannot build for sm86 here"
    assert error.value.found == ("Orin, sm87" if gpu else "no GPU")


def test_a_machine_without_a_driver_has_no_gpu():
    assert local_gpu("libthere-is-no-such-driver.so.1") is None
