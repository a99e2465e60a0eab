"""The GPU, its driver and the CUDA toolkit, read from files: nothing of CUDA is loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path

from edge.checkups.finding import Finding, State, read_text
from edge.checkups.jetson import Jetson, read_jetson

ROOT = Path("/")
LIBRARY_FOLDERS = (
    "usr/lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu/nvidia",
    "usr/lib/aarch64-linux-gnu/tegra",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib64",
    "usr/local/cuda/compat",
)
# Device files of Tegra's own driver; newer ones come with the driver of desktop cards.
TEGRA_DEVICES = ("dev/nvhost-gpu", "dev/nvgpu/igpu0", "dev/nvmap")


def has_gpu(root: Path = ROOT) -> bool:
    """Whether there is an NVIDIA GPU with a loaded driver."""
    return bool(gpu_names(root))


def gpu_names(root: Path = ROOT) -> list[str]:
    """Names of the GPUs whose driver is loaded, such as "NVIDIA GeForce RTX 3080"."""
    found = []
    for path in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        model = re.search(r"^Model:\s*(.+)$", read_text(path) or "", re.MULTILINE)
        found.append(model[1].strip() if model else "an NVIDIA GPU")
    if not found and any((root / name).exists() for name in TEGRA_DEVICES):
        jetson = read_jetson(root)
        found.append(f"GPU of the {jetson.model}" if jetson else "a Tegra GPU")
    return found


def driver_version(root: Path = ROOT) -> str | None:
    """Version of the loaded kernel driver; None: none, or Tegra's, which has the release's."""
    text = read_text(root / "proc/driver/nvidia/version") or ""
    version = re.search(r"(?:Kernel Module|for \w+)\s+(?:for \w+\s+)?(\d+\.\d+(?:\.\d+)?)", text)
    return version[1] if version else None


def cuda_version(root: Path = ROOT) -> str | None:
    """Version of the CUDA toolkit at /usr/local/cuda."""
    text = read_text(root / "usr/local/cuda/version.json")
    if text is None:
        return None
    try:
        return str(json.loads(text)["cuda"]["version"])
    except (ValueError, KeyError, TypeError):
        return "of an unreadable version.json"


def library(name: str, root: Path = ROOT) -> Path | None:
    """A shared library of the system, such as "libcuda.so.1"; the longest version of its name."""
    for folder in LIBRARY_FOLDERS:
        found = sorted((root / folder).glob(f"{name}*"), key=lambda path: len(path.name))
        if found:
            return found[-1]
    return None


def examine_gpu(root: Path = ROOT) -> list[Finding]:
    """GPU, driver and toolkit. Without any of them tilefix runs on the CPU: a note."""
    jetson = read_jetson(root)
    names = gpu_names(root)
    if not names:
        advice = "" if jetson is None else "if a reboot does not help, flash JetPack again"
        text = "none: tilefix runs on the CPU, in ONNX Runtime"
        return [Finding("GPU", State.NOTE, text, advice, ("sudo reboot",) if jetson else ())]
    return [
        Finding("GPU", State.OK, ", ".join(names)),
        _driver(root, jetson),
        _toolkit(root, jetson),
    ]


def _driver(root: Path, jetson: Jetson | None) -> Finding:
    version = driver_version(root)
    loaded = version or (f"part of {jetson.release}" if jetson else "loaded, version unknown")
    if library("libcuda.so", root) is not None:
        return Finding("CUDA driver", State.OK, f"{loaded}, libcuda there")
    text = f"{loaded}, but libcuda.so is in no library folder"
    if jetson is not None:
        command = "sudo apt install nvidia-l4t-cuda"
        return Finding("CUDA driver", State.NOTE, text, commands=(command,))
    major = (version or "").partition(".")[0] or "VERSION"
    command = f"sudo apt install libnvidia-compute-{major}"
    return Finding("CUDA driver", State.NOTE, text, commands=(command,))


def _toolkit(root: Path, jetson: Jetson | None) -> Finding:
    version = cuda_version(root)
    nvcc = (root / "usr/local/cuda/bin/nvcc").exists()
    if version is not None and nvcc:
        return Finding("CUDA toolkit", State.OK, f"{version}, with nvcc")
    text = "none at /usr/local/cuda" if version is None else f"{version}, without nvcc"
    if jetson is not None:
        commands = ("sudo apt install nvidia-jetpack",)
        return Finding("CUDA toolkit", State.NOTE, text, commands=commands)
    advice = "only `tilefix plugin build` needs it: https://developer.nvidia.com/cuda-downloads"
    return Finding("CUDA toolkit", State.NOTE, text, advice)
