"""Which engine a device runs: found by its key, before anybody deserialises it.

Of the same compute capability but another GPU's name is the one difference that does not refuse an
engine: it runs, with tactics that were timed on another board, so it is a note in the result. All
else that differs is an error which lists it and says how to build the right one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.devices.base import DeviceFacts
from edge.engine_command import build_command, rebuild_command, replay_command
from edge.engine_manifest import (
    FLOOR_IOU,
    HELD_OUT,
    MANIFEST_FILE,
    REPLAY_INDEX,
    EngineKey,
    EngineManifest,
    engines_folder,
    parse_manifest,
    read_engine,
)
from edge.engine_search import Difference, Listing, differences, find_engine, list_engines
from edge.precisions import TENSORRT_FORM


@dataclass(frozen=True, slots=True)
class ChosenEngine:
    """An engine that fits, verified byte by byte and not yet deserialised."""

    folder: Path
    manifest: EngineManifest
    rebuild: str  # the command that builds it again
    notes: tuple[str, ...] = ()  # for people


def choose_engine(
    bundle: Bundle, kind: str, precision: str, toolkit: str, version: str, facts: DeviceFacts
) -> ChosenEngine:
    """The engine of a graph for this device.

    What only a build decides (click buckets, build flags, the plugin's build) is taken as it is:
    the engine brings its own plugin library, whose sha256 is verified here. Of several that fit,
    one built on a GPU of this name comes first, then the one that takes most clicks, then the
    newest. A folder that cannot be read is passed over, with a note.

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
    listing = list_engines(folder)
    build = build_command(
        bundle.path,
        precision,
        toolkit=toolkit,
        capabilities=(facts.compute_capability,),
        force=bool(listing.unreadable),  # one of them may be in the place of what is built
    )
    fitting, nearest = _fitting(needed, listing)
    if not fitting:
        chosen = find_engine(folder, nearest, build)
        fitting.append((False, 0, 0.0, chosen))  # one that appeared just now
    of_another_gpu, _, _, chosen = min(fitting)
    key = parse_manifest(chosen / MANIFEST_FILE).key
    rebuild = rebuild_command(bundle.path, key)
    notes = [listing.advice] if listing.unreadable else []
    if of_another_gpu:
        notes.append(
            f"the engine of the {kind} was built on {key.gpu_name!r} and runs on "
            f"{facts.name!r}, of the same compute capability {facts.compute_capability}: it may be "
            f"slower than one that was built here: {build}"
        )
    manifest = read_engine(chosen, rebuild)
    if kind == LOCALIZER and precision == TENSORRT_FORM:  # whose boxes are those of both
        sha256 = bundle.manifest.files[f"graphs/{precision}/{ENCODER}.onnx"]
        beside = msgspec.structs.replace(needed, kind=ENCODER, onnx_sha256=sha256)
        encoders, _ = _fitting(beside, listing)
        notes += _not_replayed(bundle, manifest, chosen, min(encoders)[3] if encoders else None)
    return ChosenEngine(chosen, manifest, rebuild, tuple(notes))


# Whether it was built on another GPU, minus the clicks that it takes, minus its time, its folder.
Rank = tuple[bool, int, float, Path]


def _fitting(needed: EngineKey, listing: Listing) -> tuple[list[Rank], EngineKey]:
    """The engines that run where `needed` is, the least is the best; and what the nearest is asked.

    The key is that of `needed`, with what only a build decides as in the engine that differs least.
    """
    fitting: list[Rank] = []
    nearest: tuple[list[Difference], EngineKey] | None = None
    for path, key in listing.keys:
        if key.kind != needed.kind:
            continue
        wanted = _as_built(needed, key)
        unlike = differences(wanted, key)
        if all(each.field == "gpu_name" for each in unlike):
            clicks, time_s = (
                max(key.click_buckets, default=0),
                (path / MANIFEST_FILE).stat().st_mtime,
            )
            fitting.append((bool(unlike), -clicks, -time_s, path))
        elif nearest is None or len(unlike) < len(nearest[0]):
            nearest = unlike, wanted
    return fitting, needed if nearest is None else nearest[1]


def _not_replayed(
    bundle: Bundle, manifest: EngineManifest, folder: Path, encoder: Path | None
) -> list[str]:
    """A warning of boxes in INT8 that were not compared on a device, or are not those of float32.

    What a calibration promises was computed by ONNX Runtime, and this engine's kernels are others.
    A comparison holds for the encoder that it was made with: `encoder` is the folder of the one
    that would run now; None: there is none.
    """
    replay = manifest.replay
    bare = REPLAY_INDEX not in bundle.manifest.files  # of an earlier version, or by wish
    command = replay_command(bundle.path, manifest.key, folder, selection=bare)
    if replay is None:
        return [f"boxes of this engine in INT8 were not compared with float32's yet: {command}"]
    if replay.encoder_sha256 and encoder is not None:
        found = parse_manifest(encoder / MANIFEST_FILE).engine_sha256
        if found != replay.encoder_sha256:
            return [
                "boxes of this engine in INT8 were compared with float32's behind another encoder, "
                f"which was built again since: {command}"
            ]
    if not replay.verdict:
        return []
    said = f"{replay.verdict}; fp16 is the safer choice"
    if replay.pictures == HELD_OUT:  # frames in their windows: no others tell more
        return [said]
    if replay.judged_iou_median < FLOOR_IOU:
        return [f"{said}, or calibrate again with --samples, which are in their windows"]
    command = replay_command(bundle.path, manifest.key, folder, selection=True)
    return [f"{said}, or look at all of the selection: {command}"]


def _as_built(needed: EngineKey, key: EngineKey) -> EngineKey:
    """What is needed, with what only a build decides taken from an engine."""
    return msgspec.structs.replace(needed, plugin_sha256=key.plugin_sha256, flags=key.flags)
