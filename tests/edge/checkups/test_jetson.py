"""Release, power mode and clocks out of recorded trees."""

from __future__ import annotations

import pytest
from system_trees import NVPMODEL, desktop, orin_jetpack_6, put, thor_jetpack_7

from edge.checkups.finding import State
from edge.checkups.jetson import JETPACK_6, JETPACK_7, examine_jetson, power_mode, read_jetson


def by_name(root):
    return {each.name: each for each in examine_jetson(root)}


def test_an_orin_with_jetpack_6(tmp_path):
    found = by_name(orin_jetpack_6(tmp_path))
    assert found["Jetson"].found == "NVIDIA Jetson AGX Orin Developer Kit, L4T 36.4.3 (JetPack 6)"
    assert found["Jetson"].state is State.OK
    assert found["power mode"].found == "30W (mode 2)"
    assert found["power mode"].commands == ("sudo nvpmodel -m 0",)
    assert found["power mode"].advice.startswith("MAXN is the fastest")
    assert found["clocks"].found == "GPU between 306 and 612 MHz, as the load asks"
    assert found["clocks"].remedy.endswith("sudo jetson_clocks")
    assert read_jetson(tmp_path).jetpack is JETPACK_6


def test_a_thor_with_jetpack_7_known_by_its_packages(tmp_path):
    found = by_name(thor_jetpack_7(tmp_path))
    assert found["Jetson"].found == "NVIDIA Jetson AGX Thor Developer Kit, L4T 38.2.0 (JetPack 7)"
    assert [each.state for each in found.values()] == [State.OK] * 3
    assert found["clocks"].found == "GPU fixed at 1575 MHz"
    assert read_jetson(tmp_path).jetpack is JETPACK_7


def test_jetpack_5_is_too_old(tmp_path):
    put(tmp_path, {"etc/nv_tegra_release": "# R35 (release), REVISION: 4.1, GCID: 1\n"})
    found = by_name(tmp_path)["Jetson"]
    assert found.state is State.NOTE and "L4T 35.4.1" in found.found
    assert "flash JetPack 6 or 7" in found.remedy


def test_other_machines_have_no_such_lines(tmp_path):
    assert examine_jetson(desktop(tmp_path / "a")) == []
    assert examine_jetson(tmp_path / "nothing") == []


def test_what_cannot_be_read_names_the_command_that_says_it(tmp_path):
    put(tmp_path, {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\n"})
    found = by_name(tmp_path)
    assert found["power mode"].commands == ("sudo nvpmodel -q",)
    assert found["clocks"].commands == ("sudo jetson_clocks --show",)
    assert "unknown model" in found["Jetson"].found


@pytest.mark.parametrize(("status", "mode"), [("pmode:0000", "0"), ("pmode:0012 fmode:x", "12")])
def test_the_mode_is_a_number_whatever_its_zeros(tmp_path, status, mode):
    put(tmp_path, {"etc/nvpmodel.conf": NVPMODEL, "var/lib/nvpmodel/status": status})
    assert power_mode(tmp_path)[0] == mode
