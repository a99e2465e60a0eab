"""Clocks of recorded trees."""

from __future__ import annotations

import sensor_trees

from benchmarks.record.lines import Unknown
from benchmarks.sensors.clocks import read_clocks, read_governors


def test_an_orin_nano_shows_the_limit_of_its_memory_alone(tmp_path):
    found = dict(read_clocks(sensor_trees.orin_nano(tmp_path)))
    assert found == {"cpu0": 1728.0, "cpu4": 1728.0, "gpu": 1020.0, "emc cap": 3199.0}
    assert read_governors(tmp_path) == "schedutil"


def test_a_thor_shows_both(tmp_path):
    assert dict(read_clocks(sensor_trees.thor(tmp_path))) == {"gpu": 1575.0, "emc": 4266.0}


def test_a_pc_of_many_cores_speaks_with_its_first(tmp_path):
    assert dict(read_clocks(sensor_trees.pc(tmp_path))) == {"cpu0": 3700.0}
    assert read_governors(tmp_path) == "performance"


def test_a_virtual_machine_has_what_cpuinfo_says(tmp_path):
    sensor_trees.put(tmp_path, {"proc/cpuinfo": "processor : 0\ncpu MHz\t\t: 2445.406\n"})
    assert dict(read_clocks(tmp_path)) == {"cpu0": 2445.406}


def test_nothing_has_a_reason(tmp_path):
    assert isinstance(read_clocks(tmp_path), Unknown)
    assert read_governors(tmp_path) == Unknown("no cpufreq in /sys/devices/system/cpu")
