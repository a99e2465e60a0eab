"""Counters and limits."""

from __future__ import annotations

import sensor_trees

from benchmarks.record.lines import Unknown
from benchmarks.sensors.throttling import find_throttling


def test_a_jetson_counts_and_says_what_limits_it(tmp_path):
    found = find_throttling(sensor_trees.orin_nano(tmp_path), None)
    assert found.counts() == {"oc1": 0, "oc2": 15, "oc3": 37}
    assert found.limits() == ()
    assert found.text() == "events since boot: oc1 0, oc2 15, oc3 37; now: none"


def test_a_cooling_device_in_use_limits_and_a_fan_does_not(tmp_path):
    sensor_trees.orin_nano(tmp_path)
    sensor_trees.put(tmp_path, sensor_trees.coolers({"pwm-fan": 3, "gpu-throttle-alert": 1}))
    assert find_throttling(tmp_path, None).limits() == ("gpu-throttle-alert",)


def test_an_intel_processor_counts(tmp_path):
    path = "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    sensor_trees.put(tmp_path, {path: "7\n"})
    assert find_throttling(tmp_path, None).text() == "events since boot: package 7"


def test_who_does_not_say_is_unknown(tmp_path):
    found = find_throttling(sensor_trees.pc(tmp_path), None)
    assert found.limits() is None and found.counts() == {}
    assert isinstance(found.text(), Unknown)
