"""TensorRT, its Python side, the CUDA bindings, and the engines that were built; none is imported.

JetPack installs TensorRT for the system's Python alone. A virtual environment does not see it
unless it was made to, and `pip install tensorrt` brings one that does not fit a Jetson: these two
cost more people more hours than anything else, so both are looked for by name.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import edge
from edge.checkups.finding import Finding, Interpreter, State
from edge.checkups.gpu import has_gpu, library
from edge.checkups.jetson import JetPack, Jetson, read_jetson
from edge.engine_command import build_command
from edge.engine_manifest import MANIFEST_FILE, parse_manifest, read_engine
from edge.errors import ExecutorError

ROOT = Path("/")
SYSTEM_PACKAGES = ("usr/lib/python3*/dist-packages", "usr/local/lib/python3*/dist-packages")
USUAL_PRECISION = "fp16"
WHEELS = "~/tilefix-wheel"
FROM = "in a checkout of tilefix"  # which is on no package index
HIDDEN = f"make another virtual environment, one that sees the system's packages, {FROM}"


def examine_tensorrt(
    root: Path = ROOT,
    interpreter: Interpreter | None = None,
    engines: Path | None = None,
    bundle: Path | None = None,
) -> list[Finding]:
    """TensorRT or TensorRT-RTX, CUDA for Python, and engines.

    Args:
        root: of the system.
        interpreter: the Python that would run them; this one when not given.
        engines: folder of the engines of the shipped bundle.
        bundle: folder of that bundle; None of both: engines are not looked at.
    """
    python = interpreter or Interpreter.this()
    jetson = read_jetson(root)
    rtx = python.version_of("tensorrt_rtx")
    has_device = jetson is not None or has_gpu(root)
    if has_device:
        found = [_tensorrt(root, python, jetson, rtx), _bindings(python, jetson)]
    else:
        found = [_without_gpu(rtx)]
    if engines is None or bundle is None:
        return found
    if not has_device and not any(engines.glob(f"*/{MANIFEST_FILE}")):
        return found  # a machine that may build for others, and need not
    return [*found, _engines(engines, bundle, python)]


def system_tensorrt(root: Path = ROOT) -> dict[str, str]:
    """The Python interpreters that TensorRT was installed for by the system, with its version.

    Debian's "python3" stands for every version of Python 3.
    """
    found: dict[str, str] = {}
    for pattern in SYSTEM_PACKAGES:
        for package in sorted(root.glob(f"{pattern}/tensorrt")):
            infos = sorted(package.parent.glob("tensorrt-*.dist-info"))
            version = infos[-1].name.split("-")[1].removesuffix(".dist") if infos else "?"
            found[package.parent.parent.name] = version
    return found


def _without_gpu(rtx: str | None) -> Finding:
    if rtx is not None:
        text = f"TensorRT-RTX {rtx}: builds engines for other machines"
        return Finding("TensorRT", State.OK, text)
    advice = "there is no GPU here; to build engines for other machines"
    return Finding("TensorRT", State.NOTE, "none", advice, ("pip install tensorrt-rtx",))


def _tensorrt(root: Path, python: Interpreter, jetson: Jetson | None, rtx: str | None) -> Finding:
    system = system_tensorrt(root)
    mine = system.get(python.name) or system.get("python3")
    seen = python.where("tensorrt")
    if seen is not None and jetson is not None and "dist-packages" not in seen:
        version = python.version_of("tensorrt") or "unknown version"
        text = f"{version} from pip, at {Path(seen).parent}: it does not fit a Jetson"
        commands = ("pip uninstall -y tensorrt", *new_venv(python.name, jetson))
        return Finding("TensorRT", State.NOTE, text, HIDDEN, commands)
    if seen is not None:
        version = python.version_of("tensorrt") or mine or "version unknown"
        lacks = library("libnvinfer.so", root) is None and jetson is not None
        if lacks:
            text = f"{version} in Python, but libnvinfer.so is in no library folder"
            command = "sudo apt install tensorrt-libs"
            return Finding("TensorRT", State.NOTE, text, commands=(command,))
        return Finding("TensorRT", State.OK, version)
    if mine and python.in_venv and not python.sees_system:
        text = f"{mine} of the system, hidden from this virtual environment"
        return Finding("TensorRT", State.NOTE, text, HIDDEN, new_venv(python.name, jetson))
    if system:
        other = ", ".join(f"{version} for {name}" for name, version in system.items())
        text = f"{other}, and this is {python.name}"
        advice = f"make a virtual environment with that Python, {FROM}"
        return Finding("TensorRT", State.NOTE, text, advice, new_venv(next(iter(system)), jetson))
    if rtx:
        return Finding("TensorRT", State.OK, f"TensorRT-RTX {rtx}")
    if jetson is not None:
        binary = library("libnvinfer.so", root)
        if binary is not None:
            text = f"{binary.name}, without its Python package"
            commands = ("sudo apt install python3-libnvinfer",)
            return Finding("TensorRT", State.NOTE, text, commands=commands)
        commands = ("sudo apt install nvidia-jetpack",)
        return Finding("TensorRT", State.NOTE, "not installed", commands=commands)
    advice = "for RTX cards from PyPI; TensorRT itself from developer.nvidia.com"
    commands = ("pip install tensorrt-rtx",)
    return Finding("TensorRT", State.NOTE, "not installed", advice, commands)


def new_venv(interpreter: str, jetson: Jetson | None) -> tuple[str, ...]:
    """The commands that make an environment which sees the system's TensorRT and builds engines.

    tilefix is on no package index: its wheel is made in a checkout of it.
    """
    jetpack = jetson.jetpack if jetson else None
    fitting = f" {_cuda_python(jetpack)}" if jetpack else ""  # newest of pip: for the newest CUDA
    return (
        f"{interpreter} -m venv --system-site-packages ~/tilefix",
        f"~/tilefix/bin/pip wheel --no-deps --wheel-dir {WHEELS} {_checkout()}",
        f"~/tilefix/bin/pip install --find-links {WHEELS} 'tilefix[jetson,export]'{fitting}",
    )


def _checkout() -> str:
    """That which runs; else where the commands are to be run."""
    top = Path(edge.__file__).resolve().parent.parent
    return shlex.quote(str(top)) if (top / "pyproject.toml").is_file() else "."


def _cuda_python(jetpack: JetPack) -> str:
    return f"'cuda-python=={jetpack.cuda_major}.*'"


def _bindings(python: Interpreter, jetson: Jetson | None) -> Finding:
    """cuda-python by default, pycuda by choice."""
    version = python.version_of("cuda-python") or python.version_of("cuda-bindings")
    pycuda = python.version_of("pycuda")
    jetpack = jetson.jetpack if jetson else None
    wanted = _cuda_python(jetpack) if jetpack else "'tilefix[jetson]'"
    beside = f", pycuda {pycuda}" if pycuda else ""
    name = "CUDA for Python"
    if version is None:
        text = f"no cuda-python{beside}"
        return Finding(name, State.NOTE, text, commands=(f"pip install {wanted}",))
    major = re.match(r"\d+", version)
    if jetpack is not None and (major is None or int(major[0]) != jetpack.cuda_major):
        text = f"cuda-python {version}{beside}, but {jetpack.name} has CUDA {jetpack.cuda_major}"
        return Finding(name, State.NOTE, text, commands=(f"pip install {wanted}",))
    return Finding(name, State.OK, f"cuda-python {version}{beside}")


def _engines(folder: Path, bundle: Path, python: Interpreter) -> Finding:
    """The engines of the shipped bundle: whole, with their plugin, of the TensorRT that is here."""
    found = sorted(folder.glob(f"*/{MANIFEST_FILE}"))
    if not found:
        advice = "build them on the device that shall run them"
        commands = (build_command(bundle, USUAL_PRECISION),)
        return Finding("engines", State.NOTE, f"none in {folder}", advice, commands)
    kinds, old, again = [], [], []
    for path in found:
        try:
            key = read_engine(path.parent).key
        except ExecutorError as error:
            text, advice = f"{error.what}: {error.found}", "build it again on this device"
            commands = (build_command(bundle, _precision(path), force=True),)
            return Finding("engines", State.FAILED, text, advice, commands)
        plugin = ", plugin" if key.plugin_sha256 else ""
        kinds.append(
            f"{key.kind} {key.precision} for {', '.join(key.compute_capabilities)}{plugin}"
        )
        here = python.version_of(key.toolkit)
        if here is not None and _release(here) != _release(key.toolkit_version):
            old.append(f"{key.kind} {key.precision} is of {key.toolkit} {key.toolkit_version}")
            again.append(build_command(bundle, key.precision, toolkit=key.toolkit))
    if old:
        advice = "engines of another version are refused; build them again"
        repeated = tuple(dict.fromkeys(again))
        return Finding("engines", State.NOTE, "; ".join(old), advice, repeated)
    return Finding("engines", State.OK, "; ".join(kinds))


def _precision(manifest: Path) -> str:
    """That of an engine which is damaged; the usual one where its manifest is too."""
    try:
        return parse_manifest(manifest).key.precision
    except ExecutorError:
        return USUAL_PRECISION


def _release(version: str) -> list[str]:
    """ "10.3.0.26" and "10.3.0" are one release."""
    return version.split(".")[:3]
