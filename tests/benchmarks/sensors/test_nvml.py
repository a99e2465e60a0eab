"""NVML through a fake of nvidia-ml-py, whose names the real one has."""

from __future__ import annotations

import sys

import pytest
from fake_nvml import FakeNvml

from benchmarks.record.lines import Unknown
from benchmarks.sensors.nvml import REASONS, NvmlGpu, open_nvml


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    return monkeypatch


def opened(environment, fake):
    environment.setitem(sys.modules, "pynvml", fake)
    return open_nvml()


def test_the_fake_has_only_names_of_the_real_one():
    real = pytest.importorskip("pynvml")
    mine = [name for name in vars(FakeNvml) if name.lower().startswith("nvml")]
    assert len(mine) > 10
    assert [name for name in mine if not hasattr(real, name)] == []
    for name in ("NVML_TEMPERATURE_GPU", "NVML_CLOCK_SM", "NVML_CLOCK_MEM"):
        assert getattr(real, name) == getattr(FakeNvml, name)


def test_the_reasons_are_nvmls():
    real = pytest.importorskip("pynvml")
    prefix = "nvmlClocksEventReason"
    names = ("SwPowerCap", "HwSlowdown", "SwThermalSlowdown", "HwThermalSlowdown")
    bits = [getattr(real, prefix + name) for name in (*names, "HwPowerBrakeSlowdown")]
    assert list(REASONS) == bits


def test_one_gpu_tells_all(environment):
    fake = FakeNvml()
    gpu = opened(environment, fake)
    assert isinstance(gpu, NvmlGpu) and gpu.name == "GPU0 (NVML)"
    assert (gpu.watts(), gpu.deg_c(), gpu.power_limit_w()) == (70.0, 41.0, 350.0)
    assert gpu.clocks_mhz() == {"gpu": 1980.0, "gpu memory": 2619.0}
    assert gpu.slowdowns() == ()
    fake.gpus[0].reasons = 0x1 | 0x4 | 0x40  # idle is no slowdown
    assert gpu.slowdowns() == ("power cap", "hardware thermal slowdown")


def test_what_a_gpu_does_not_tell_is_none(environment):
    fake = FakeNvml()
    gpu = opened(environment, fake)
    fake.gpus[0].milliwatts = fake.gpus[0].deg_c = fake.gpus[0].reasons = None
    assert (gpu.watts(), gpu.deg_c(), gpu.slowdowns()) == (None, None, None)


def test_of_several_the_one_that_runs_must_be_named(environment):
    found = opened(environment, FakeNvml(2))
    assert isinstance(found, Unknown)
    assert found.reason.startswith("2 GPUs") and "CUDA_DEVICE_ORDER=PCI_BUS_ID" in found.reason
    environment.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert isinstance(open_nvml(), Unknown), "CUDA's first may be NVML's last"
    environment.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert open_nvml().name == "GPU1 (NVML)"
    environment.setenv("CUDA_VISIBLE_DEVICES", "GPU-0,GPU-1")
    assert open_nvml().name == "GPU0 (NVML)"


def test_no_library_no_driver_and_no_gpu_have_reasons(environment):
    environment.setitem(sys.modules, "pynvml", None)
    found = open_nvml()
    assert found == Unknown("NVML is not installed for Python: pip install 'tilefix[nvml]'")
    found = opened(environment, FakeNvml(no_driver=True))
    assert found == Unknown("NVML does not answer: NVML Shared Library Not Found")
    assert opened(environment, FakeNvml(0)) == Unknown("NVML sees no GPU")
