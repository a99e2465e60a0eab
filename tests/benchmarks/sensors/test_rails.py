"""Power rails of recorded trees, and why there are none elsewhere."""

from __future__ import annotations

import pytest
import sensor_trees
from sensor_trees import NANO_INA, put

from benchmarks.record.lines import Unknown
from benchmarks.sensors import sensor_file
from benchmarks.sensors.rails import Supply, find_supply


@pytest.mark.parametrize(
    ("tree", "name", "watts"),
    [
        (sensor_trees.orin_nano, "VDD_IN", 5.016 * 1.856),
        (sensor_trees.agx_orin, "VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0", 19 * 0.4 + 5.0),
        (sensor_trees.thor, "VIN", 23.01),
        (sensor_trees.xavier_nx_jetpack_4, "VDD_IN", 4.2),
    ],
)
def test_the_whole_board_is_found(tmp_path, tree, name, watts):
    supply = find_supply(tree(tmp_path))
    assert isinstance(supply, Supply) and supply.name == name
    assert supply.watts() == pytest.approx(watts)


def test_power_is_read_anew_each_time(tmp_path):
    supply = find_supply(sensor_trees.orin_nano(tmp_path))
    put(tmp_path, {f"{NANO_INA}/curr1_input": "3000\n"})
    assert supply.watts() == pytest.approx(5.016 * 3.0)


def test_a_thor_without_its_whole_adds_its_parts_with_their_signs(tmp_path):
    sensor_trees.thor(tmp_path)
    (tmp_path / "sys/class/hwmon/hwmon4/name").write_text("something else\n")
    supply = find_supply(tmp_path)
    assert supply.name == "VDD_GPU + VDD_CPU_SOC_MSS + VIN_SYS_5V0"
    assert supply.watts() == pytest.approx(12 * (0.540 - 0.033) + 5 * 1.304)


def test_an_ina238_without_a_power_file_is_multiplied(tmp_path):
    sensor_trees.thor(tmp_path)
    (tmp_path / "sys/class/hwmon/hwmon4/power1_input").unlink()
    assert find_supply(tmp_path).watts() == pytest.approx(19.5 * 1.18)


def test_a_chip_that_both_layouts_show_counts_once(tmp_path):
    sensor_trees.orin_nano(tmp_path)
    folder = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon"
    folder.mkdir(parents=True)
    (folder / "hwmon1").symlink_to(tmp_path / NANO_INA)
    assert len(find_supply(tmp_path).rails) == 1


def test_a_pc_has_none(tmp_path):
    found = find_supply(sensor_trees.pc(tmp_path))
    assert found == Unknown("no INA3221 or INA238 in /sys/class/hwmon or /sys/bus/i2c/drivers")


def test_parts_do_not_pass_for_the_whole(tmp_path):
    put(
        tmp_path,
        sensor_trees.ina3221(
            NANO_INA, {"VDD_SOC": (5000, 100), "VDD_NEW": (5000, 1), "NC": (0, 0)}
        ),
    )
    found = find_supply(tmp_path)
    assert found == Unknown("of the rails VDD_SOC, VDD_NEW none is known to be the whole board")


def test_a_sensor_that_does_not_answer_is_not_zero(tmp_path):
    supply = find_supply(sensor_trees.orin_nano(tmp_path))
    for text in ("", "n/a\n"):
        put(tmp_path, {f"{NANO_INA}/curr1_input": text})
        assert supply.watts() is None


def test_no_permission_names_the_file_and_the_command(tmp_path, monkeypatch):
    forbid(monkeypatch, "in1_input")
    found = find_supply(sensor_trees.orin_nano(tmp_path))
    folder = tmp_path / NANO_INA
    assert found == Unknown(f"no permission to read {folder}/in1_input: sudo chmod a+r {folder}/*")


def forbid(monkeypatch, name):
    """Files of this name may not be read; the tests may run as root, who may read all."""
    really = sensor_file.os.open

    def refusing(path, *arguments):
        if str(path).endswith(name):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, *arguments)

    monkeypatch.setattr(sensor_file.os, "open", refusing)
