"""Power and heat beside a run, on recorded trees."""

from __future__ import annotations

import sys
import threading
import time

import pytest
import sensor_trees
from fake_nvml import FakeNvml
from sensor_trees import NANO_INA, OVERCURRENT, put, zones

from benchmarks.record.lines import Energy, Heat, Unknown
from benchmarks.sensors import sensor_file
from benchmarks.sensors.sampler import Sampler

QUICK = {"idle_s": 0.2, "rate_hz": 200.0}
IDLE_W = 5.016 * 1.856


def measured(sampler, frames=10):
    """Energy of a measurement that lasts until there are samples enough for it."""
    sampler.begin()
    start_s = time.monotonic()
    for _ in range(500):
        time.sleep(0.02)
        duration_s = time.monotonic() - start_s
        found = sampler.energy(frames, duration_s)
        if not isinstance(found, Unknown) or "samples of" not in found.reason:
            return found, duration_s
    raise AssertionError("ten seconds without five samples")


def test_idle_is_subtracted_from_the_energy_of_a_frame(tmp_path):
    sensor_trees.orin_nano(tmp_path)
    with Sampler(tmp_path, **QUICK) as sampler:
        assert sampler.power_source == "VDD_IN"
        put(tmp_path, {f"{NANO_INA}/curr1_input": "3856\n"})
        found, duration_s = measured(sampler)
    assert isinstance(found, Energy) and found.rail == "VDD_IN"
    assert found.idle_w == pytest.approx(IDLE_W)
    assert found.mean_w == pytest.approx(5.016 * 3.856)
    assert found.joule_per_frame == pytest.approx(5.016 * 2.0 * duration_s / 10)
    assert found.samples >= 5 and found.rate_hz == pytest.approx(found.samples / duration_s)


def test_no_more_than_idle_is_unknown_not_zero(tmp_path):
    with Sampler(sensor_trees.orin_nano(tmp_path), **QUICK) as sampler:
        found, _ = measured(sampler)
    assert isinstance(found, Unknown)
    assert "9.31 W on average, no more than the 9.31 W when idle" in found.reason


def test_a_sensor_that_falls_silent_is_unknown(tmp_path):
    with Sampler(sensor_trees.orin_nano(tmp_path), **QUICK) as sampler:
        put(tmp_path, {f"{NANO_INA}/curr1_input": ""})
        sampler.begin()
        time.sleep(0.05)
        found = sampler.energy(10, 0.05)
    assert found == Unknown("0 samples of VDD_IN in 0.1 s; it takes 5")


def test_something_else_is_read_beside_until_the_next_measurement(tmp_path):
    calls, others = threading.Semaphore(0), threading.Semaphore(0)
    with Sampler(sensor_trees.pc(tmp_path), **QUICK) as sampler:
        sampler.begin(calls.release)
        assert all(calls.acquire(timeout=10) for _ in range(3)), "again and again"
        sampler.begin(others.release)
        assert others.acquire(timeout=10)
        while calls.acquire(blocking=False):
            pass  # those of before
        assert all(others.acquire(timeout=10) for _ in range(3))
        assert not calls.acquire(blocking=False), "the first one is forgotten"
        sampler.begin()


def test_a_pc_says_why_it_knows_nothing_and_waits_for_nothing(tmp_path):
    start_s = time.monotonic()
    with Sampler(sensor_trees.pc(tmp_path), idle_s=60) as sampler:
        found = sampler.energy(10, 1.0)
    assert time.monotonic() - start_s < 30
    assert found == Unknown(
        "no INA3221 or INA238 in /sys/class/hwmon or /sys/bus/i2c/drivers; "
        "the run is not on a GPU that NVML knows"
    )
    assert sampler.power_source == found


def test_no_permission_is_said(tmp_path, monkeypatch):
    really = sensor_file.os.open

    def refusing(path, *arguments):
        if str(path).endswith("curr1_input"):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, *arguments)

    monkeypatch.setattr(sensor_file.os, "open", refusing)
    with Sampler(sensor_trees.orin_nano(tmp_path), **QUICK) as sampler:
        found = sampler.energy(10, 1.0)
    assert isinstance(found, Unknown)
    assert f"no permission to read {tmp_path / NANO_INA / 'curr1_input'}" in found.reason
    assert f"sudo chmod a+r {tmp_path / NANO_INA}/*" in found.reason


def test_no_frame_has_no_energy(tmp_path):
    with Sampler(sensor_trees.orin_nano(tmp_path), **QUICK) as sampler:
        assert sampler.energy(0, 1.0) == Unknown("no frame was done")


# --- heat ----------------------------------------------------------------------------------------


def test_heat_knows_start_maximum_and_that_nothing_throttled(tmp_path):
    sensor_trees.orin_nano(tmp_path)
    with Sampler(tmp_path, idle_s=0, rate_hz=100) as sampler:
        sampler.begin()
        put(tmp_path, zones({"cpu-thermal": 71_000, "gpu-thermal": 70_000}))
        sampler.heat()
        put(tmp_path, zones({"cpu-thermal": 55_000, "gpu-thermal": 54_000}))
        found = sampler.heat()
    assert found == Heat("cpu-thermal", 50.906, 71.0, False)


@pytest.mark.parametrize(
    "files",
    [
        {f"{OVERCURRENT}/oc3_event_cnt": "38\n"},
        sensor_trees.coolers({"pwm-fan": 2, "cpu-throttle-alert": 1}),
    ],
)
def test_throttling_shows_by_counter_or_cooling_device(tmp_path, files):
    sensor_trees.orin_nano(tmp_path)
    with Sampler(tmp_path, idle_s=0) as sampler:
        sampler.begin()
        put(tmp_path, files)
        assert sampler.heat().throttled is True
        sampler.begin()  # the next one counts anew
        put(tmp_path, sensor_trees.coolers({"pwm-fan": 2, "cpu-throttle-alert": 0}))
    sampler.begin()
    assert sampler.heat().throttled is False


def test_who_does_not_say_is_none(tmp_path):
    with Sampler(sensor_trees.pc(tmp_path), idle_s=0) as sampler:
        sampler.begin()
        assert sampler.heat() == Heat("k10temp Tctl", 45.25, 45.25, None)


def test_no_zone_is_unknown(tmp_path):
    with Sampler(tmp_path, idle_s=0) as sampler:
        assert isinstance(sampler.heat(), Unknown)


# --- a desktop GPU -------------------------------------------------------------------------------


def test_a_gpu_alone_is_sampled_through_nvml(tmp_path, monkeypatch):
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    with Sampler(sensor_trees.pc(tmp_path), **QUICK, gpu=True) as sampler:
        fake.gpus[0].milliwatts, fake.gpus[0].deg_c = 270_000, 66
        found, duration_s = measured(sampler)
        fake.gpus[0].reasons = 0x20
        heat = sampler.heat()
    assert isinstance(found, Energy) and found.rail == "GPU0 (NVML)"
    assert found.joule_per_frame == pytest.approx(200 * duration_s / 10)
    assert heat == Heat("GPU0 (NVML)", 66.0, 66.0, True)


def test_the_board_comes_before_its_gpu(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    assert Sampler(sensor_trees.thor(tmp_path), gpu=True).power_source == "VIN"


def test_a_gpu_without_a_power_sensor_says_so(tmp_path, monkeypatch):
    fake = FakeNvml()
    fake.gpus[0].milliwatts = None
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    found = Sampler(sensor_trees.pc(tmp_path), gpu=True).power_source
    assert isinstance(found, Unknown)
    assert found.reason.endswith("GPU0 (NVML) does not tell its power")
