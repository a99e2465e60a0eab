"""Thermal zones: those that answer, those that are off, those that are no temperature."""

from __future__ import annotations

import sensor_trees

from benchmarks.record.lines import Unknown
from benchmarks.sensors import sensor_file
from benchmarks.sensors.temperatures import find_zones, read_zones


def test_zones_that_answer_are_read_and_others_left_out(tmp_path):
    zones = find_zones(sensor_trees.orin_nano(tmp_path))
    assert read_zones(zones) == {
        "cpu-thermal": 50.906,
        "gpu-thermal": 49.187,
        "soc0-thermal": 48.5,
        "tj-thermal": 51.25,
    }
    assert {zone.name for zone in zones} >= {"cv0-thermal", "cv1-thermal"}, "they may answer later"


def test_a_fixed_zone_is_no_temperature(tmp_path):
    zones = find_zones(sensor_trees.xavier_nx_jetpack_4(tmp_path))
    assert read_zones(zones) == {"AO-therm": 38.0}


def test_a_pc_has_its_processors_sensor(tmp_path):
    found = read_zones(find_zones(sensor_trees.pc(tmp_path)))
    assert found == {"acpitz": 16.8, "k10temp Tctl": 45.25}


def test_zones_come_in_the_order_of_their_numbers(tmp_path):
    names = {f"zone{number}": 1000 * number for number in range(12)}
    sensor_trees.put(tmp_path, sensor_trees.zones(names))
    assert [zone.name for zone in find_zones(tmp_path)] == list(names)


def test_no_zone_has_a_reason(tmp_path):
    found = find_zones(tmp_path)
    assert found == Unknown("no thermal zone in /sys/class/thermal, no coretemp or k10temp")


def test_no_permission_has_its_own_reason(tmp_path, monkeypatch):
    really = sensor_file.os.open

    def refusing(path, *arguments):
        if str(path).endswith("temp"):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, *arguments)

    monkeypatch.setattr(sensor_file.os, "open", refusing)
    found = find_zones(sensor_trees.thor(tmp_path))
    assert isinstance(found, Unknown)
    assert "no permission to read" in found.reason and "sudo chmod a+r" in found.reason
