"""What was run, down to the sha256 of its files."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from benchmarks.record.kinds import Difference, table_differences
from benchmarks.record.lines import BundleFacts
from edge.bundle import ENCODER, LOCALIZER, sha256_of
from edge.devices.base import DeviceOptions, open_device
from edge.engine_manifest import EngineManifest
from edge.errors import BenchmarkError
from edge.executors.base import EXECUTORS, ON_DEVICE
from edge.executors.engine_choice import choose_engine
from edge.executors.trt_runtime import load_tensorrt
from edge.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from edge.localizer import Localizer

GRAPHS = "graphs/"


def bundle_facts(
    localizer: Localizer, threads: int, device: DeviceOptions | None = None
) -> BundleFacts:
    """The facts of an opened bundle, of the files and engines that this localizer uses.

    Files are read from the disk again, so that one that was changed since shows.

    Args:
        localizer: opened.
        threads: that it was opened with.
        device: options that it was opened with.

    Raises:
        BenchmarkError: a file of the bundle is gone.
        ExecutorError: the engine of a graph is missing or damaged.
    """
    bundle, precision = localizer.bundle, localizer.precision
    on_device = localizer.executor in ON_DEVICE
    engines = _engines(localizer, device) if on_device else {}
    used = (device or DeviceOptions()) if on_device else None
    first = engines.get(LOCALIZER)
    return BundleFacts(
        name=bundle.manifest.name,
        model_id=localizer.model_id,
        executor=localizer.executor,
        precision=precision,
        threads=threads,
        frame_px=(bundle.manifest.frame.width_px, bundle.manifest.frame.height_px),
        files=_files(localizer),
        engines=tuple((kind, each.engine_sha256) for kind, each in sorted(engines.items())),
        plugin_sha256=(first.key.plugin_sha256 or None) if first else None,
        timing_cache_sha256=(first.timing_cache_sha256 or None) if first else None,
        device_backend=used.backend if used else None,
        cuda_graphs=used.graphs if used else None,
    )


def check_unchanged(
    localizer: Localizer, facts: BundleFacts, device: DeviceOptions | None = None
) -> None:
    """Compare the bundle on the disk with the facts at the start of a run.

    Raises:
        BenchmarkError: a file or engine has changed, with each name and both sha256.
    """
    now = bundle_facts(localizer, facts.threads, device)
    changed: list[Difference] = [
        *table_differences("", dict(facts.files), dict(now.files)),
        *table_differences("engine of the ", dict(facts.engines), dict(now.engines)),
    ]
    if changed:
        raise BenchmarkError(
            f"the bundle {facts.name} was changed during the run",
            expected="; ".join(f"{each.field} {each.first}" for each in changed),
            found="; ".join(f"{each.field} {each.second}" for each in changed),
            do="restore the bundle and run the same command to go on; with the changed one a new "
            "run begins",
        )


def _files(localizer: Localizer) -> tuple[tuple[str, str], ...]:
    """All files but the graphs of other precisions."""
    bundle = localizer.bundle
    mine = f"{GRAPHS}{localizer.precision}/"
    names = [
        MANIFEST_NAME,
        *(n for n in bundle.manifest.files if n.startswith(mine) or not n.startswith(GRAPHS)),
    ]
    try:
        return tuple(sorted((name, sha256_of(bundle.path / name)) for name in names))
    except OSError as error:
        raise BenchmarkError(
            f"a file of the bundle {bundle.manifest.name} is gone",
            expected=str(error.filename),
            found=f"{type(error).__name__}: {error.strerror}",
            do="export or install the bundle again",
        ) from error


def _engines(localizer: Localizer, device: DeviceOptions | None) -> dict[str, EngineManifest]:
    """The engines that the executor chooses on this device, by graph."""
    module, _, attribute = EXECUTORS[localizer.executor].partition(":")
    toolkit: str = getattr(importlib.import_module(module), attribute).toolkit
    version = load_tensorrt(toolkit, localizer.executor).version
    opened = open_device((device or DeviceOptions()).backend)
    try:
        facts = opened.facts
    finally:
        opened.close()
    found = {}
    for kind in (ENCODER, LOCALIZER):
        bundle, precision = localizer.bundle, localizer.precision
        found[kind] = choose_engine(bundle, kind, precision, toolkit, version, facts).manifest
    return found
