"""Builds one engine of a bundle, holds it to its graph's promises, and writes it down."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge.bundle import LOCALIZER, Bundle, sha256_of
from edge.checkups.gpu import cuda_version
from edge.checkups.jetson import read_jetson
from edge.engine_command import build_command, rebuild_command
from edge.engine_manifest import (
    ENGINE_FILE,
    MANIFEST_FILE,
    PLUGIN_FILE,
    SCHEMA,
    TIMING_CACHE_FILE,
    EngineKey,
    EngineManifest,
    engines_folder,
    read_engine,
    write_engine,
)
from edge.errors import BundleError, OutputError
from edge.executors.rtx_cache import CACHE_FILE
from edge.machine import MIB, build_memory_bytes, meminfo_bytes
from edge.precisions import TENSORRT_FORM
from export.engines.child import WORKER, run_job
from export.engines.duration import expected_s
from export.engines.engine_files import (
    check_writable,
    earlier_timing_cache,
    keep_logs,
    unwritable,
)
from export.engines.graph_facts import GraphFacts, check_opset, read_graph
from export.engines.job import BuildJob, BuildReport
from export.engines.layer_checks import check_graph, check_layers, summarise
from export.engines.memory import limit_memory, note_of, workspace_mib
from export.engines.plugin_choice import ChosenPlugin, choose_plugin, plugin_advice
from export.engines.targets import Target


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What is the same for all engines of one command."""

    target: Target
    plugin: Path | None = None  # folder of `tilefix plugin build`
    click_buckets: tuple[int, ...] = (1, 4, 16, 64)
    force: bool = False  # build even what is already there
    memory_mb: int | None = None
    logs: Path | None = None  # folder to keep the builders' verbose logs in
    worker: str = WORKER


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """One engine on disk."""

    folder: Path
    manifest: EngineManifest
    new: bool  # False: it was already there


def build_engine(
    bundle: Bundle,
    kind: str,
    precision: str,
    settings: BuildSettings,
    progress: Callable[[str], None] = lambda line: None,
) -> BuiltEngine:
    """Build the graph `kind` of a bundle in one precision, or find it already built.

    Raises:
        BundleError: the bundle has no such graph, or a broken one.
        ExecutorError: the graph, the plugin, the memory or the builder will not do, or the engine
            does not keep the graph's promises.
        OutputError: the engines' folder cannot be written.
    """
    path = bundle.graph(kind, precision).resolve()
    model, facts = read_graph(path)
    target = settings.target
    check_opset(model, path, target.toolkit)
    plugin = choose_plugin(settings.plugin, facts, target)
    workspace = workspace_mib(meminfo_bytes("MemTotal"))
    key = EngineKey(
        kind=kind,
        toolkit=target.toolkit.name,
        toolkit_version=target.toolkit.version,
        onnx_sha256=bundle.manifest.files[f"graphs/{precision}/{kind}.onnx"],
        precision=precision,
        compute_capabilities=target.dotted,
        gpu_name=target.gpu_name,
        plugin_sha256=plugin.sha256 if plugin is not None else "",
        click_buckets=settings.click_buckets if kind == LOCALIZER else (),
        flags=(f"workspace={workspace}MiB",),
    )
    engines = engines_folder(bundle)
    there = engines / key.digest()
    title = f"{kind} {precision}"
    if not settings.force and (there / MANIFEST_FILE).is_file():
        if not _is_damaged(there / MANIFEST_FILE):
            return BuiltEngine(there, read_engine(there, _again(bundle, key, settings)), new=False)
        progress(f"{title}: {there / MANIFEST_FILE} cannot be read, so it is built again")
    check_writable(engines)
    seconds, reason = expected_s(engines, key, facts.size_bytes)
    progress(
        f"{title}: {target.toolkit.title} builds for {target.names}; expected {seconds:.0f} s "
        f"({reason})"
    )
    limit_bytes = _limit_memory(facts, settings)
    advice = plugin_advice(settings.plugin, target)
    earlier = earlier_timing_cache(engines, key)
    with tempfile.TemporaryDirectory(prefix="tilefix-build-") as scratch:
        folder, links = Path(scratch, "job"), Path(scratch, "links")
        folder.mkdir()
        links.mkdir()
        job = BuildJob(
            folder=str(folder),
            toolkit=target.toolkit.name,
            graph=str(path),
            kind=kind,
            capabilities=target.capabilities,
            click_buckets=key.click_buckets,
            custom_operators=facts.custom_operators,
            plugin=str(plugin.library) if plugin is not None else "",
            timing_cache=earlier.path,
            workspace_bytes=workspace * MIB,
            limit_bytes=limit_bytes,
            advice=advice,
        )
        environment = target.toolkit.environment(links)
        try:
            report = run_job(
                job,
                environment,
                title=title,
                expected_s=seconds,
                progress=progress,
                worker=settings.worker,
            )
        finally:
            if settings.logs is not None:
                try:
                    keep_logs(folder, settings.logs, f"{kind}_{precision}")
                except OutputError as error:  # no reason to lose the engine, or why there is none
                    progress(f"{title}: {error.what}: {error.found}")
        unread = check_layers(report.layers, facts, precision, report.profiles, advice)
        said = (*earlier.notes, *report.notes, *unread, note_of(report.peak_bytes, limit_bytes))
        report = msgspec.structs.replace(report, notes=said)
        return write_built(engines, key, facts, report, folder, plugin)


def _is_damaged(manifest: Path) -> bool:
    """Whether it is no JSON at all; one of another version of tilefix is not ours to replace."""
    try:
        msgspec.json.decode(manifest.read_bytes())
    except msgspec.DecodeError:
        return True
    except OSError:
        return False
    return False


def check_graphs(
    bundle: Bundle, kinds: tuple[str, ...], precision: str, settings: BuildSettings
) -> None:
    """Find out what is wrong with the last graph or its plugin before the first one is built.

    Raises:
        BundleError: as for `build_engine`.
        ExecutorError: as for `build_engine`.
    """
    for kind in kinds:
        path = bundle.graph(kind, precision).resolve()
        model, facts = read_graph(path)
        check_opset(model, path, settings.target.toolkit)
        check_graph(facts, precision)
        choose_plugin(settings.plugin, facts, settings.target)
        _limit_memory(facts, settings)


def _limit_memory(facts: GraphFacts, settings: BuildSettings) -> int | None:
    name = settings.target.toolkit.name
    have_bytes, asked_mb = build_memory_bytes(), settings.memory_mb
    return limit_memory(name, facts.size_bytes, have_bytes, asked_mb, facts.depthwise_elements)


def write_built(
    engines: Path,
    key: EngineKey,
    facts: GraphFacts,
    report: BuildReport,
    folder: Path,
    plugin: ChosenPlugin | None,
) -> BuiltEngine:
    """Move what a worker left into the engines' folder, with the manifest.

    Raises:
        OutputError: the folder cannot be written.
    """
    engine, cache = folder / ENGINE_FILE, folder / TIMING_CACHE_FILE
    files: dict[str, Path | bytes] = {ENGINE_FILE: engine}
    notes = [*report.notes, *(plugin.notes if plugin is not None else ())]
    if cache.is_file():
        files[TIMING_CACHE_FILE] = cache
    else:
        notes.append("timing cache: none, this toolkit has none at build time")
    if plugin is not None:
        files[PLUGIN_FILE] = plugin.library
    jetson = read_jetson()
    manifest = EngineManifest(
        schema=SCHEMA,
        key=key,
        engine_sha256=sha256_of(engine),
        engine_bytes=engine.stat().st_size,
        inputs=report.inputs,
        outputs=report.outputs,
        layers=summarise(report.layers, facts, report.source),
        timing_cache_sha256=sha256_of(cache) if cache.is_file() else "",
        cuda=cuda_version() or "",
        l4t=jetson.release if jetson else "",
        build_s=round(report.build_s, 3),
        device_memory_bytes=report.device_memory_bytes,
        notes=tuple(notes),
    )
    try:
        return BuiltEngine(write_engine(engines, manifest, files), manifest, new=True)
    except OSError as error:  # a full disk, above all
        raise unwritable(engines, error) from error


def renewed(bundle: Bundle, engine: BuiltEngine, manifest: EngineManifest) -> BuiltEngine:
    """Write an engine once more with another manifest of the same key, and all that lies beside it.

    Raises:
        OutputError: the folder cannot be written.
    """
    names = (ENGINE_FILE, TIMING_CACHE_FILE, PLUGIN_FILE, CACHE_FILE)
    files = {name: engine.folder / name for name in names if (engine.folder / name).is_file()}
    folder = write_engine(engines_folder(bundle), manifest, files)
    return BuiltEngine(folder, manifest, engine.new)


def _again(bundle: Bundle, key: EngineKey, settings: BuildSettings) -> str:
    """The command that builds an engine in place of a damaged one."""
    if settings.plugin is None or not key.plugin_sha256:
        return rebuild_command(bundle.path, key)
    return build_command(
        bundle.path,
        key.precision,
        toolkit=key.toolkit,
        target=settings.target.option,
        buckets=key.click_buckets,
        plugin=settings.plugin,
        force=True,
    )


def check_precision(bundle: Bundle, precision: str) -> None:
    """Refuse a precision that the bundle has no graphs for, before anything is built.

    Args:
        bundle: the model.
        precision: of graphs, "int8+fp16" where INT8 is meant.

    Raises:
        BundleError: it has none.
    """
    if precision in bundle.precisions:
        return
    there = ", ".join(bundle.precisions)
    choice = "fp16" if "fp16" in bundle.precisions else "fp32"  # which no bundle lacks
    verb = "calibrate" if precision == TENSORRT_FORM else "export"
    raise BundleError(
        f"the bundle {bundle.manifest.name} has no {precision} graphs",
        expected=f"one of: {there}",
        found=precision,
        do=f"choose --precision {choice}, or make {precision}: tilefix {verb}",
    )
