"""What a Jetson says of itself: release, board, power mode and clocks. All from files, no root."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge.checkups.finding import Finding, State, read_text

ROOT = Path("/")
RELEASE = re.compile(r"# R(\d+) \(release\), REVISION: ([\d.]+)")
PACKAGED = re.compile(
    r"^Package: nvidia-l4t-core\n(?:.+\n)*?Version: (\d+)\.([\d.]+)", re.MULTILINE
)
MODE = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>")
GPU_CLOCKS = ("*.gpu", "*.ga10b", "gpu-gpc-*")  # of Orin, of older names, of Thor


@dataclass(frozen=True, slots=True)
class JetPack:
    """What comes with one generation."""

    name: str  # "JetPack 6"
    cuda_major: int
    python: tuple[int, int]


JETPACK_6 = JetPack("JetPack 6", 12, (3, 10))
JETPACK_7 = JetPack("JetPack 7", 13, (3, 12))


@dataclass(frozen=True, slots=True)
class Jetson:
    """The board and its release of Linux for Tegra."""

    model: str  # "NVIDIA Jetson AGX Orin Developer Kit"
    major: int  # 36
    revision: str  # "4.3"

    @property
    def release(self) -> str:
        """ "L4T 36.4.3"."""
        return f"L4T {self.major}.{self.revision}"

    @property
    def jetpack(self) -> JetPack | None:
        """The generation; None: older than what tilefix runs on."""
        return JETPACK_7 if self.major >= 38 else JETPACK_6 if self.major >= 36 else None


def read_jetson(root: Path = ROOT) -> Jetson | None:
    """The Jetson that this system is; None: it is none."""
    found = RELEASE.search(read_text(root / "etc/nv_tegra_release") or "")
    if found is None:
        found = PACKAGED.search(read_text(root / "var/lib/dpkg/status") or "")
    if found is None:
        return None
    model = read_text(root / "proc/device-tree/model") or "Jetson of an unknown model"
    return Jetson(model, int(found[1]), found[2].strip("."))


def power_mode(root: Path = ROOT) -> tuple[str, dict[str, str]] | None:
    """Id of the mode that is set and the names of all; None where that cannot be read."""
    names = dict(MODE.findall(read_text(root / "etc/nvpmodel.conf") or ""))
    status = re.search(r"pmode:0*(\d+)", read_text(root / "var/lib/nvpmodel/status") or "")
    return (status[1], names) if status and names else None


def gpu_clocks_hz(root: Path = ROOT) -> tuple[int, int] | None:
    """Lowest and highest clock that the GPU may take now; None where that cannot be read."""
    for pattern in GPU_CLOCKS:
        for folder in sorted((root / "sys/class/devfreq").glob(pattern)):
            texts = [read_text(folder / name) for name in ("min_freq", "max_freq")]
            if all(text is not None and text.strip().isdecimal() for text in texts):
                low, high = (int(text or 0) for text in texts)
                return low, high
    return None


def examine_jetson(root: Path = ROOT) -> list[Finding]:
    """Release, power mode and clocks; nothing at all on other machines."""
    jetson = read_jetson(root)
    if jetson is None:
        return []
    return [_release(jetson), _power(root), _clocks(root)]


def _release(jetson: Jetson) -> Finding:
    if jetson.jetpack is None:
        advice = "flash JetPack 6 or 7: older TensorRT lacks the plugin interface that tilefix uses"
        return Finding("Jetson", State.NOTE, f"{jetson.model}, {jetson.release}", advice)
    text = f"{jetson.model}, {jetson.release} ({jetson.jetpack.name})"
    return Finding("Jetson", State.OK, text)


def _power(root: Path) -> Finding:
    known = power_mode(root)
    if known is None:
        commands = ("sudo nvpmodel -q",)
        return Finding("power mode", State.NOTE, "cannot be read", "root can", commands)
    number, names = known
    name = names.get(number, "unknown")
    text = f"{name} (mode {number})"
    best = next((i for i, n in names.items() if n.startswith("MAXN")), None)
    if best is None or name.startswith("MAXN"):
        return Finding("power mode", State.OK, text)
    advice = f"{names[best]} is the fastest; it takes more power, and may ask for a reboot"
    return Finding("power mode", State.NOTE, text, advice, (f"sudo nvpmodel -m {best}",))


def _clocks(root: Path) -> Finding:
    clocks = gpu_clocks_hz(root)
    if clocks is None:
        commands = ("sudo jetson_clocks --show",)
        return Finding("clocks", State.NOTE, "cannot be read", "root can", commands)
    low, high = (each / 1e6 for each in clocks)
    if low == high:
        return Finding("clocks", State.OK, f"GPU fixed at {high:.0f} MHz")
    text = f"GPU between {low:.0f} and {high:.0f} MHz, as the load asks"
    advice = "fix them before measuring, and where the first frame must be quick"
    return Finding("clocks", State.NOTE, text, advice, ("sudo jetson_clocks",))
