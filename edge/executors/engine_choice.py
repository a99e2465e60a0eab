"""Which engine a device runs: found by its key, before anybody deserialises it.

Of the same compute capability but another GPU's name is the one difference that does not refuse an
engine: it runs, with tactics that were timed on another board, so it is a note in the result. All
else that differs is an error which lists it and says how to build the right one.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge.bundle import Bundle
from edge.devices.base import DeviceFacts
from edge.engine_manifest import (
    MANIFEST_FILE,
    Difference,
    EngineKey,
    EngineManifest,
    differences,
    engines_folder,
    find_engine,
    parse_manifest,
    read_engine,
)


@dataclass(frozen=True, slots=True)
class ChosenEngine:
    """An engine that fits, verified byte by byte and not yet deserialised."""

    folder: Path
    manifest: EngineManifest
    notes: tuple[str, ...] = ()  # for people


def choose_engine(
    bundle: Bundle, kind: str, precision: str, toolkit: str, version: str, facts: DeviceFacts
) -> ChosenEngine:
    """The engine of a graph for this device.

    What only a build decides (click buckets, build flags, the plugin's build) is taken as it is:
    the engine brings its own plugin library, whose sha256 is verified here. Of several that fit,
    one built on a GPU of this name comes first, then the newest.

    Args:
        bundle: whose graph.
        kind: of the graph: "reference_encoder", "localizer".
        precision: of the graph.
        toolkit: "tensorrt" or "tensorrt_rtx".
        version: of the toolkit that would run it.
        facts: of the device.

    Raises:
        ExecutorError: there is none, or the one that fits is damaged.
    """
    needed = EngineKey(
        kind=kind,
        toolkit=toolkit,
        toolkit_version=version,
        onnx_sha256=bundle.manifest.files[f"graphs/{precision}/{kind}.onnx"],
        precision=precision,
        compute_capabilities=(facts.compute_capability,),
        gpu_name=facts.name,
    )
    folder = engines_folder(bundle)
    command = ["tilefix", "build", str(bundle.path), "--precision", precision]
    rebuild = shlex.join([*command, "--toolkit", toolkit, "--target", "local"])
    fitting: list[tuple[bool, float, Path]] = []  # of another GPU, minus its age, folder
    nearest: tuple[list[Difference], EngineKey] | None = None
    for path in sorted(folder.glob(f"*/{MANIFEST_FILE}")):
        key = parse_manifest(path).key
        if key.kind != kind:
            continue
        wanted = _as_built(needed, key)
        unlike = differences(wanted, key)
        if all(each.field == "gpu_name" for each in unlike):
            fitting.append((bool(unlike), -path.stat().st_mtime, path.parent))
        elif nearest is None or len(unlike) < len(nearest[0]):
            nearest = unlike, wanted
    if not fitting:
        found = find_engine(folder, needed if nearest is None else nearest[1], rebuild)
        return ChosenEngine(found, read_engine(found))  # one that appeared just now
    of_another_gpu, _, chosen = min(fitting)
    manifest = read_engine(chosen)
    if not of_another_gpu:
        return ChosenEngine(chosen, manifest)
    note = (
        f"the engine of the {kind} was built on {manifest.key.gpu_name!r} and runs on "
        f"{facts.name!r}, of the same compute capability {facts.compute_capability}: it may be "
        f"slower than one that was built here: {rebuild}"
    )
    return ChosenEngine(chosen, manifest, (note,))


def _as_built(needed: EngineKey, key: EngineKey) -> EngineKey:
    """What is needed, with what only a build decides taken from an engine."""
    return msgspec.structs.replace(needed, plugin_sha256=key.plugin_sha256, flags=key.flags)
