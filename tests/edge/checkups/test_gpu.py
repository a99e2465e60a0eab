"""GPU, driver and toolkit out of recorded trees."""

from __future__ import annotations

import pytest
from system_trees import desktop, orin_jetpack_6, put, thor_jetpack_7

from edge.checkups.finding import State
from edge.checkups.gpu import driver_version, examine_gpu, has_gpu, library


def by_name(root):
    return {each.name: each for each in examine_gpu(root)}


def test_an_orin(tmp_path):
    found = by_name(orin_jetpack_6(tmp_path))
    assert found["GPU"].found == "GPU of the NVIDIA Jetson AGX Orin Developer Kit"
    assert found["CUDA driver"].found == "part of L4T 36.4.3, libcuda there"
    assert found["CUDA toolkit"].found == "12.6.11, with nvcc"
    assert {each.state for each in found.values()} == {State.OK}


def test_a_thor_has_the_driver_of_desktop_cards(tmp_path):
    found = by_name(thor_jetpack_7(tmp_path))
    assert found["GPU"].found == "NVIDIA Thor"
    assert found["CUDA driver"].found == "580.00, libcuda there"


def test_a_desktop_without_a_toolkit(tmp_path):
    found = by_name(desktop(tmp_path))
    assert found["GPU"].found == "NVIDIA GeForce RTX 3080"
    assert found["CUDA driver"].found == "550.54.15, libcuda there"
    toolkit = found["CUDA toolkit"]
    assert (toolkit.state, toolkit.found) == (State.NOTE, "none at /usr/local/cuda")
    assert "cuda-downloads" in toolkit.remedy


def test_nothing(tmp_path):
    (found,) = examine_gpu(tmp_path)
    assert (found.name, found.state) == ("GPU", State.NOTE)
    assert "tilefix runs on the CPU" in found.found
    assert not has_gpu(tmp_path)


def test_a_jetson_whose_driver_did_not_load(tmp_path):
    put(tmp_path, {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\n"})
    (found,) = examine_gpu(tmp_path)
    assert "reboot" in found.remedy


@pytest.mark.parametrize(
    ("make", "gone", "advice"),
    [
        (orin_jetpack_6, "nvidia/libcuda.so.1", "sudo apt install nvidia-l4t-cuda"),
        (desktop, "../x86_64-linux-gnu/libcuda.so.1", "sudo apt install libnvidia-compute-550"),
    ],
)
def test_a_driver_without_its_library(tmp_path, make, gone, advice):
    root = make(tmp_path)
    (root / "usr/lib/aarch64-linux-gnu").mkdir(parents=True, exist_ok=True)
    (root / "usr/lib/aarch64-linux-gnu" / gone).unlink()
    found = by_name(root)["CUDA driver"]
    assert (found.state, found.remedy) == (State.NOTE, advice)


def test_a_jetson_without_nvcc_or_with_a_broken_version(tmp_path):
    root = orin_jetpack_6(tmp_path)
    (root / "usr/local/cuda/bin/nvcc").unlink()
    found = by_name(root)["CUDA toolkit"]
    assert found.found == "12.6.11, without nvcc"
    assert found.remedy.startswith("sudo apt install nvidia-jetpack")
    put(root, {"usr/local/cuda/version.json": "{"})
    assert "unreadable" in by_name(root)["CUDA toolkit"].found


def test_the_library_with_the_longest_version_is_shown(tmp_path):
    root = orin_jetpack_6(tmp_path)
    assert library("libnvinfer.so", root).name == "libnvinfer.so.10.3.0"
    assert library("libnone.so", root) is None
    assert driver_version(tmp_path / "nothing") is None
