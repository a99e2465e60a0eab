"""The machine of a run, read from files; what it does not say is unknown, with the reason."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from benchmarks.record.lines import Environment, Unknown
from benchmarks.sensors.clocks import read_clocks, read_governors
from benchmarks.sensors.nvml import NvmlGpu, open_nvml
from benchmarks.sensors.temperatures import find_zones, read_zones
from benchmarks.sensors.throttling import find_throttling
from edge.checkups.finding import distribution_version, read_text
from edge.checkups.gpu import cuda_version, driver_version, gpu_names, library
from edge.checkups.jetson import power_mode, read_jetson
from edge.checkups.tensorrt import system_tensorrt
from edge.machine import meminfo_bytes, usable_cores

ROOT = Path("/")
LIBRARIES = (
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
    "onnxruntime",
    "onnxruntime-gpu",
    "msgspec",
    "cuda-python",
    "pycuda",
    "tensorrt",
    "tensorrt-rtx",
    "torch",
)
# Arm's processors tell numbers alone: (implementer, part) -> name, as in the kernel's cputype.h.
ARM_CORES = {
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd83"): "Neoverse-V3AE",
    ("0x4e", "0x003"): "Denver 2",
    ("0x4e", "0x004"): "Carmel",
}


def read_environment(root: Path = ROOT) -> Environment:
    """Board, processor, GPU, libraries, power mode, clocks and temperatures as they are now.

    Args:
        root: of the system; only of "/" NVML is asked, and the cores that this process may use.
    """
    here = root == ROOT
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    nvml = open_nvml() if here and gpu_names(root) else Unknown("NVML was not asked")
    gpu = nvml if isinstance(nvml, NvmlGpu) else None
    jetson = read_jetson(root)
    memory = meminfo_bytes("MemTotal", root)
    names = gpu_names(root)
    versions = ((name, distribution_version(name)) for name in LIBRARIES)
    return Environment(
        board=_board(root),
        cpu=_cpu(cpuinfo),
        cores=usable_cores() if here else len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE)),
        memory_bytes=Unknown("no MemTotal in /proc/meminfo") if memory is None else memory,
        kernel=read_text(root / "proc/sys/kernel/osrelease") or platform.release(),
        python=platform.python_version(),
        libraries=tuple((name, version) for name, version in versions if version is not None),
        governor=read_governors(root),
        gpu=", ".join(names) if names else Unknown("no NVIDIA driver is loaded"),
        driver=driver_version(root)
        or (f"part of {jetson.release}" if jetson else Unknown("no NVIDIA driver is loaded")),
        cuda=cuda_version(root) or Unknown("no CUDA toolkit at /usr/local/cuda"),
        tensorrt=_tensorrt(root),
        l4t=jetson.release if jetson else Unknown("not a Jetson"),
        power_mode=_power_mode(root, gpu),
        clocks_mhz=_clocks(root, gpu),
        temperatures_deg_c=_temperatures(root, gpu),
        throttle=find_throttling(root, gpu).text(),
        load_average=_load_average(root),
    )


def _board(root: Path) -> str | Unknown:
    model = read_text(root / "proc/device-tree/model")
    if model:
        return model
    maker, product = (
        read_text(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name")
    )
    if product:
        return f"{maker} {product}" if maker else product
    return Unknown("neither /proc/device-tree/model nor /sys/class/dmi/id/product_name")


def _cpu(cpuinfo: str) -> str | Unknown:
    """A PC's model name, or the kinds of core of an Arm processor with their numbers."""
    implementers = re.findall(r"^CPU implementer\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    if parts:
        cores = list(zip(implementers, parts, strict=False))
        return ", ".join(
            f"{cores.count(core)} x {ARM_CORES.get(core, f'Arm {core[0]}/{core[1]}')}"
            for core in dict.fromkeys(cores)
        )
    said = dict(
        re.findall(r"^([\w ]+?)\s*:[ \t]*(.+)$", cpuinfo.partition("\n\n")[0], re.MULTILINE)
    )
    name = said.get("model name", "").strip()
    if name and not any(map(str.isdigit, name)):  # "AMD EPYC", as virtual machines say of all
        name += f", family {said.get('cpu family')} model {said.get('model')}"
    return name or Unknown("no model in /proc/cpuinfo")


def _tensorrt(root: Path) -> str | Unknown:
    """The version that Python sees, or the system's."""
    for name, title in (("tensorrt", ""), ("tensorrt-rtx", "RTX ")):
        version = distribution_version(name) if root == ROOT else None
        if version is not None:
            return f"{title}{version}"
    system = system_tensorrt(root)
    if system:
        return next(iter(system.values()))
    binary = library("libnvinfer.so", root)
    return binary.name if binary is not None else Unknown("not installed")


def _power_mode(root: Path, gpu: NvmlGpu | None) -> str | Unknown:
    """nvpmodel's on a Jetson, the power limit of a desktop GPU."""
    known = power_mode(root)
    if known is not None:
        number, names = known
        return f"{names.get(number, 'unknown')} (mode {number})"
    limit_w = gpu.power_limit_w() if gpu else None
    if limit_w is not None:
        return f"GPU limited to {limit_w:.0f} W"
    if read_jetson(root) is None:
        return Unknown("not a Jetson, and no GPU that tells its power limit")
    return Unknown("/etc/nvpmodel.conf or /var/lib/nvpmodel/status cannot be read")


def _clocks(root: Path, gpu: NvmlGpu | None) -> tuple[tuple[str, float], ...] | Unknown:
    clocks = read_clocks(root)
    if gpu is None:
        return clocks
    found = {} if isinstance(clocks, Unknown) else dict(clocks)
    found |= gpu.clocks_mhz()
    return tuple(found.items()) or clocks


def _temperatures(root: Path, gpu: NvmlGpu | None) -> tuple[tuple[str, float], ...] | Unknown:
    zones = find_zones(root)
    found = {} if isinstance(zones, Unknown) else read_zones(zones)
    deg_c = gpu.deg_c() if gpu else None
    if gpu is not None and deg_c is not None:
        found[gpu.name] = deg_c
    if found:
        return tuple(found.items())
    return zones if isinstance(zones, Unknown) else Unknown("no thermal zone answers")


def _load_average(root: Path) -> float | Unknown:
    try:
        return float((read_text(root / "proc/loadavg") or "").split()[0])
    except (ValueError, IndexError):
        return Unknown("no /proc/loadavg")
