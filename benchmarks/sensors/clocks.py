"""Clocks as they are now: processor, GPU and memory."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.record.lines import Unknown
from benchmarks.sensors.sensor_file import open_sensor
from edge.checkups.finding import read_text
from edge.checkups.jetson import GPU_CLOCKS

POLICIES = "sys/devices/system/cpu/cpufreq/policy*"
DEVFREQ = "sys/class/devfreq"
MEMORY_CLOCKS = ("bwmgr", "*.emc", "*emc*")  # of JetPack 7, of older names
MEMORY_CAP = "sys/kernel/nvpmodel_clk_cap/emc"  # JetPack 6 shows users the limit alone
KHZ, HZ = 1e-3, 1e-6  # in MHz


def read_clocks(root: Path) -> tuple[tuple[str, float], ...] | Unknown:
    """MHz by name: "cpu0" and the first core of each further cluster, "gpu", "emc" or "emc cap"."""
    found = dict(_processor(root))
    gpu = _devfreq(root, GPU_CLOCKS)
    if gpu is not None:
        found["gpu"] = gpu
    emc = _devfreq(root, MEMORY_CLOCKS)
    if emc is not None:
        found["emc"] = emc
    else:
        cap = _mhz(root / MEMORY_CAP, HZ)
        if cap is not None:
            found["emc cap"] = cap
    if found:
        return tuple(found.items())
    return Unknown("no cpufreq, no devfreq and no clock in /proc/cpuinfo")


def read_governors(root: Path) -> str | Unknown:
    """How cpufreq chooses clocks: "performance", or each that some core has."""
    texts = (read_text(path / "scaling_governor") for path in sorted(root.glob(POLICIES)))
    found = dict.fromkeys(text for text in texts if text)
    return ", ".join(found) if found else Unknown("no cpufreq in /sys/devices/system/cpu")


def _processor(root: Path) -> list[tuple[str, float]]:
    clocks = [
        (f"cpu{path.name.removeprefix('policy')}", _mhz(path / "scaling_cur_freq", KHZ))
        for path in root.glob(POLICIES)
    ]
    # A PC has a policy for each core: the first speaks for all.
    by_core = sorted(clocks, key=lambda each: int(each[0][3:]))
    clusters = by_core if len(by_core) <= 4 else by_core[:1]
    found = [(name, value) for name, value in clusters if value is not None]
    if not found:
        said = re.search(
            r"^cpu MHz\s*:\s*([\d.]+)", read_text(root / "proc/cpuinfo") or "", re.MULTILINE
        )
        found = [("cpu0", float(said[1]))] if said else []
    return found


def _devfreq(root: Path, patterns: tuple[str, ...]) -> float | None:
    for pattern in patterns:
        for folder in sorted((root / DEVFREQ).glob(pattern)):
            value = _mhz(folder / "cur_freq", HZ)
            if value is not None:
                return value
    return None


def _mhz(path: Path, scale: float) -> float | None:
    try:
        file = open_sensor(path, scale)
    except PermissionError:
        return None
    return None if file is None else file.read()
