"""The engines that blocks are timed with: float16 as it flies, and the same with all in INT8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from calibration.judging.candidates import KINDS
from calibration.judging.priors import Progress
from calibration.quantization.qdq import Form
from edge.bundle import LOCALIZER, Bundle, write_bundle
from edge.errors import ExecutorError

Gpu = Any  # export.engines.device.Gpu; only functions import of that package
Target = Any  # export.engines.targets.Target
CLICKS = 4  # of a frame, as for the times on a processor
FLOAT, INT8 = "fp16", Form.TENSORRT.value


@dataclass(frozen=True, slots=True)
class LocalDevice:
    """The GPU of this machine, and the TensorRT that builds for it."""

    target: Target
    gpu: Gpu

    @property
    def words(self) -> str:
        """For people, and for telling results apart: "Orin (16 SM), TensorRT 10.3.0"."""
        return f"{self.gpu.name}, {self.target.toolkit.title}"


def local_device() -> LocalDevice:
    """The GPU of this machine with its toolkit.

    Raises:
        ExecutorError: no GPU, or one that the toolkit does not build for.
        MissingLibraryError: no TensorRT, or a broken one.
    """
    from export.engines.device import local_gpu
    from export.engines.targets import LOCAL, choose_target

    gpu = local_gpu()
    if gpu is None:
        raise ExecutorError(
            "this machine has no GPU",
            expected="a CUDA device with its driver",
            found="none that libcuda.so.1 knows",
            do="run this on the device that shall fly",
        )
    return LocalDevice(choose_target(LOCAL, None, gpu), gpu)


def timed_bundle(bundle: Bundle, int8: dict[str, Path], folder: Path) -> Bundle:
    """The float bundle with INT8 graphs beside its own, for engines only; or the one in `folder`.

    It has the folder's name: engines below $TILEFIX_ENGINES lie by the name of their bundle, and
    these, for so many clicks alone, must not lie where a flight looks for its own.

    Args:
        bundle: the float bundle; it stays as it is.
        int8: the graphs by their names, "graphs/int8+fp16/localizer.onnx".
        folder: whose name tells all that is in it.

    Raises:
        BundleError: what lies there is broken.
    """
    if folder.exists():
        return Bundle.open(folder)
    floats = [name for name in bundle.manifest.files if name.startswith("graphs/")]
    manifest = msgspec.structs.replace(bundle.manifest, name=folder.name)
    return write_bundle(folder, manifest, {**{n: bundle.file(n) for n in floats}, **int8})


def engines_of(
    bundle: Bundle, timed: Bundle, device: LocalDevice, plugin: Path | None, progress: Progress
) -> dict[tuple[str, str], Path]:
    """Folders of engines by graph and precision; those that are not there are built.

    Args:
        bundle: the float bundle, whose engines of this GPU are used.
        timed: of `timed_bundle`, where the others are built.
        device: to build for.
        plugin: folder of `tilefix plugin build`; None: that of the bundle's localizer engine.
        progress: told of every engine.

    Raises:
        ExecutorError: no plugin, or a build that fails.
        OutputError: the engines' folder cannot be written.
    """
    from export.engines.build import BuildSettings, build_engine, check_graphs

    found = {kind: _built_before(bundle, kind, device) for kind in KINDS}
    there = {kind: before.folder for kind, before in found.items() if before and before.alike}
    if plugin is not None:
        there.pop(LOCALIZER, None)  # both engines run in one process, which takes one plugin alone
    elif (before := found[LOCALIZER]) is not None:
        plugin = before.folder
    settings = BuildSettings(device.target, plugin, click_buckets=(CLICKS,))
    for precision in (FLOAT, INT8):  # before the first one takes its minutes
        check_graphs(timed, KINDS, precision, settings)
    engines: dict[tuple[str, str], Path] = {}
    for kind in KINDS:
        for precision in (FLOAT, INT8):
            progress("engines to time blocks with", len(engines), 2 * len(KINDS))
            folder = there.get(kind) if precision == FLOAT else None
            folder = folder or build_engine(timed, kind, precision, settings).folder
            engines[kind, precision] = folder.resolve()
    progress("engines to time blocks with", len(engines), 2 * len(KINDS))
    return engines


@dataclass(frozen=True, slots=True)
class _Before:
    """A float16 engine beside the bundle that runs here."""

    folder: Path  # its plugin is in it, which serves other engines too
    alike: bool  # as one would be built here: of this very GPU, and it takes so many clicks


def _built_before(bundle: Bundle, kind: str, device: LocalDevice) -> _Before | None:
    from edge.devices.base import DeviceFacts
    from edge.executors.engine_choice import choose_engine

    target = device.target
    facts = DeviceFacts(device.gpu.name, target.dotted[0], integrated=False, total_bytes=0)
    toolkit = target.toolkit
    try:
        found = choose_engine(bundle, kind, FLOAT, toolkit.name, toolkit.version, facts)
    except ExecutorError:
        return None  # it is built then, into the work folder
    key = found.manifest.key
    of_this_gpu = key.gpu_name in ("", device.gpu.name)
    takes_clicks = not key.click_buckets or CLICKS in key.click_buckets
    return _Before(found.folder, of_this_gpu and takes_clicks)
