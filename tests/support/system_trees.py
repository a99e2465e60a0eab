"""Recorded-looking roots of systems: the files that `tilefix doctor` reads, and no others.

Contents follow what the releases write; sizes and versions are those of JetPack 6.2 and 7.0.
"""

from __future__ import annotations

from pathlib import Path

from edge.checkups.finding import Interpreter

NVPMODEL = """# a comment
< POWER_MODEL ID=0 NAME=MAXN >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=15W >
< POWER_MODEL ID=2 NAME=30W >
< PM_CONFIG DEFAULT=2 >
"""


def put(root: Path, files: dict[str, str]) -> Path:
    """Write files below a root; an empty text makes an empty file."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def memory(total_mb: int, available_mb: int, swap_mb: int = 0) -> str:
    """/proc/meminfo."""
    lines = {"MemTotal": total_mb, "MemAvailable": available_mb}
    lines |= {"SwapTotal": swap_mb, "SwapFree": swap_mb}
    return "".join(f"{name}:{1024 * size:>15} kB\n" for name, size in lines.items())


def orin_jetpack_6(root: Path) -> Path:
    """A Jetson Orin with all that JetPack 6.2 installs, at 30 W, with a USB and a CSI camera."""
    arm = "usr/lib/aarch64-linux-gnu"
    return put(
        root,
        {
            "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, "
            "BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n",
            "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\x00",
            "etc/nvpmodel.conf": NVPMODEL,
            "var/lib/nvpmodel/status": "pmode:0002 fmode:quiet\n",
            "sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
            "sys/class/devfreq/17000000.gpu/max_freq": "612000000\n",
            "dev/nvmap": "",
            "dev/video0": "",
            "dev/video1": "",
            "sys/class/video4linux/video0/name": "vi-output, imx219 9-0010\n",
            "sys/class/video4linux/video1/name": "HD Pro Webcam C920\n",
            f"{arm}/nvidia/libcuda.so.1": "",
            f"{arm}/libnvinfer.so.10": "",
            f"{arm}/libnvinfer.so.10.3.0": "",
            f"{arm}/gstreamer-1.0/libgstnvarguscamerasrc.so": "",
            "usr/bin/gst-launch-1.0": "",
            "usr/bin/python3.10": "",
            "usr/sbin/nvargus-daemon": "",
            "tmp/argus_socket": "",
            "usr/local/cuda/bin/nvcc": "",
            "usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}',
            "usr/lib/python3.10/dist-packages/tensorrt/__init__.py": "",
            "usr/lib/python3.10/dist-packages/tensorrt-10.3.0.dist-info/METADATA": "",
            "proc/meminfo": memory(62_800, 55_000, 31_400),
        },
    )


def thor_jetpack_7(root: Path) -> Path:
    """A Jetson Thor with JetPack 7: the driver of desktop cards, Python 3.12, clocks fixed."""
    arm = "usr/lib/aarch64-linux-gnu"
    return put(
        root,
        {
            "var/lib/dpkg/status": "Package: nvidia-l4t-camera\nStatus: install ok installed\n"
            "Version: 38.2.0-20250821174705\n\nPackage: nvidia-l4t-core\n"
            "Status: install ok installed\nArchitecture: arm64\nVersion: 38.2.0-20250821174705\n",
            "proc/device-tree/model": "NVIDIA Jetson AGX Thor Developer Kit\x00",
            "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=120W >\n",
            "var/lib/nvpmodel/status": "pmode:0000 fmode:fanNull\n",
            "sys/class/devfreq/gpu-gpc-0/min_freq": "1575000000\n",
            "sys/class/devfreq/gpu-gpc-0/max_freq": "1575000000\n",
            "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64"
            "  580.00  Release Build  (root@b)  Thu Aug 21 17:00:00 UTC 2025\n",
            "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA Thor\nIRQ: 1\n",
            f"{arm}/nvidia/libcuda.so.1": "",
            f"{arm}/libnvinfer.so.10.13.3": "",
            "usr/local/cuda/bin/nvcc": "",
            "usr/local/cuda/version.json": '{"cuda": {"version": "13.0.48"}}',
            "usr/bin/python3.12": "",
            "usr/lib/python3.12/dist-packages/tensorrt/__init__.py": "",
            "usr/lib/python3.12/dist-packages/tensorrt-10.13.3.9.dist-info/METADATA": "",
            "proc/meminfo": memory(125_000, 118_000),
        },
    )


def desktop(root: Path) -> Path:
    """A workstation with an RTX card, its driver, and nothing of CUDA beside it."""
    return put(
        root,
        {
            "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  "
            "550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version:  gcc 12.2.0\n",
            "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA GeForce "
            "RTX 3080\nIRQ:   \t\t 150\n",
            "usr/lib/x86_64-linux-gnu/libcuda.so.1": "",
            "proc/meminfo": memory(32_000, 24_000, 2_000),
        },
    )


def python(
    version: tuple[int, int] = (3, 10),
    *,
    in_venv: bool = False,
    sees_system: bool = True,
    modules: dict[str, str] | None = None,
    distributions: dict[str, str] | None = None,
) -> Interpreter:
    """An interpreter that sees just these modules and distributions."""
    where, versions = modules or {}, distributions or {}
    return Interpreter(version, in_venv, sees_system, where.get, versions.get)
