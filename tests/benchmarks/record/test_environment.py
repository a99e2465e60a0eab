"""The machine, on recorded trees and on this one."""

from __future__ import annotations

import pytest
import sensor_trees
import system_trees

from benchmarks.record.environment import read_environment
from benchmarks.record.lines import Unknown
from edge.machine import usable_cores


def test_an_orin_nano(tmp_path):
    found = read_environment(sensor_trees.orin_nano(tmp_path))
    assert found.board == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert (found.cpu, found.cores) == ("6 x Cortex-A78AE", 6)
    assert found.memory_bytes == 7_620 << 20
    assert found.kernel == "5.15.148-tegra"
    assert found.governor == "schedutil"
    assert found.gpu == f"GPU of the {found.board}"
    assert (found.l4t, found.driver) == ("L4T 36.4.3", "part of L4T 36.4.3")
    assert found.power_mode == "MAXN_SUPER (mode 2)"
    assert ("gpu", 1020.0) in found.clocks_mhz
    assert ("tj-thermal", 51.25) in found.temperatures_deg_c
    assert found.throttle == "events since boot: oc1 0, oc2 15, oc3 37; now: none"
    assert found.load_average == 0.52


def test_a_thor(tmp_path):
    found = read_environment(sensor_trees.thor(tmp_path))
    assert (found.power_mode, found.l4t) == ("120W (mode 1)", "L4T 38.2.0")
    assert dict(found.clocks_mhz) == {"gpu": 1575.0, "emc": 4266.0}


def test_what_jetpack_installed(tmp_path):
    found = read_environment(system_trees.orin_jetpack_6(tmp_path))
    assert (found.cuda, found.tensorrt) == ("12.6.11", "10.3.0")


def test_a_pc(tmp_path):
    found = read_environment(sensor_trees.pc(tmp_path))
    assert found.board == "ASUS System Product Name"
    assert found.cpu == "AMD Ryzen 9 5900X 12-Core Processor"
    for unknown in (found.gpu, found.l4t, found.power_mode, found.tensorrt, found.throttle):
        assert isinstance(unknown, Unknown) and unknown.reason


def test_a_desktop_gpu(tmp_path):
    found = read_environment(system_trees.desktop(tmp_path))
    assert (found.gpu, found.driver) == ("NVIDIA GeForce RTX 3080", "550.54.15")


def test_nothing_is_unknown_with_reasons_and_no_error(tmp_path):
    found = read_environment(tmp_path)
    for field in ("board", "cpu", "memory_bytes", "governor", "clocks_mhz", "load_average"):
        value = getattr(found, field)
        assert isinstance(value, Unknown) and value.reason, field


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("model name\t: AMD EPYC\ncpu family\t: 25\nmodel\t\t: 1\n", "AMD EPYC, family 25 model 1"),
        ("CPU implementer\t: 0x41\nCPU part\t: 0xfff\n", "1 x Arm 0x41/0xfff"),
    ],
)
def test_processors_that_do_not_tell_their_name(tmp_path, text, wanted):
    system_trees.put(tmp_path, {"proc/cpuinfo": f"processor\t: 0\n{text}"})
    assert read_environment(tmp_path).cpu == wanted


def test_this_machine():
    found = read_environment()
    assert found.cores == usable_cores()
    assert {"numpy", "onnxruntime", "msgspec"} <= {name for name, _ in found.libraries}
