"""The plugin that goes into an engine: given by its folder, verified, and fit for the targets.

The folder is that of `tilefix plugin build`, or of an engine, which has a verified copy in it.
"""

from __future__ import annotations

import platform
import shlex
from dataclasses import dataclass
from pathlib import Path

from edge.engine_manifest import MANIFEST_FILE, PLUGIN_FILE, read_engine
from edge.errors import ExecutorError
from export.engines.graph_facts import GraphFacts
from export.engines.targets import Target
from export.plugin.build import FOLDER, read_manifest
from export.plugin.toolchain import OLDEST_ARCH


@dataclass(frozen=True, slots=True)
class ChosenPlugin:
    """A verified library."""

    library: Path
    sha256: str
    notes: tuple[str, ...] = ()


def choose_plugin(folder: Path | None, facts: GraphFacts, target: Target) -> ChosenPlugin | None:
    """Verify the plugin of a folder; None for a graph without custom nodes.

    Args:
        folder: of `tilefix plugin build`, or of an engine that was built here with its plugin.
        facts: of the graph.
        target: of the build.

    Raises:
        ExecutorError: a graph with custom nodes and no plugin, or a target that the kernels cannot
            run on; or a plugin that is altered, of another machine, without the TensorRT shell, or
            without code for a target.
    """
    if not facts.custom_nodes:
        return None
    old = [f"sm{each}" for each in target.capabilities if each < OLDEST_ARCH]
    if old:
        raise ExecutorError(
            f"the plugin has no kernels for {', '.join(old)}",
            expected=f"sm{OLDEST_ARCH} or newer, for {', '.join(facts.custom_nodes)}",
            found=target.names,
            do="leave it out of --target, or choose --precision fp32, which needs no plugin",
        )
    if folder is None:
        raise ExecutorError(
            f"the graph {facts.path} has custom nodes, and no plugin was given for them",
            expected=f"--plugin FOLDER, for {', '.join(facts.custom_nodes)}",
            found="no --plugin; TensorRT would put the nodes' function bodies in their place",
            do=plugin_advice(None, target),
        )
    if (folder / MANIFEST_FILE).is_file():
        return _of_engine(folder, target)
    manifest = read_manifest(folder, target.capabilities)
    advice = plugin_advice(folder, target)
    if manifest.tensorrt_headers is None:
        raise _unfit(folder, "a plugin with the TensorRT shell", "kernels only", advice)
    if manifest.target != platform.machine():
        raise _unfit(folder, f"a library for {platform.machine()}", manifest.target, advice)
    archs = ", ".join(f"sm{arch}" for arch in manifest.archs)
    notes = []
    for capability in target.capabilities:
        if min(manifest.archs) > capability:
            raise _unfit(folder, f"code for sm{capability}", f"code for {archs} alone", advice)
        if not any(
            arch // 10 == capability // 10 and arch <= capability for arch in manifest.archs
        ):
            notes.append(
                f"the plugin has no machine code for sm{capability}: the driver compiles its PTX "
                "of the lowest architecture when it is first loaded"
            )
    return ChosenPlugin(
        (folder / manifest.library).resolve(), manifest.library_sha256, tuple(notes)
    )


def _of_engine(folder: Path, target: Target) -> ChosenPlugin:
    """The library beside an engine: what ran or was built there fits its GPUs and this machine."""
    key = read_engine(folder, renamed=True).key
    if not key.plugin_sha256 or not set(target.dotted) <= set(key.compute_capabilities):
        has = ", ".join(key.compute_capabilities) if key.plugin_sha256 else "an engine without one"
        wanted = f"a plugin for {', '.join(target.dotted)}"
        raise _unfit(folder, wanted, has, plugin_advice(None, target))
    return ChosenPlugin((folder / PLUGIN_FILE).resolve(), key.plugin_sha256)


def plugin_advice(folder: Path | None, target: Target) -> str:
    """The two commands that make a plugin for a target and give it to the build."""
    where = str(folder or FOLDER)
    archs = ",".join(map(str, target.capabilities))
    build = shlex.join(["tilefix", "plugin", "build", "--arch", archs, "--out", where])
    other = "" if folder else "; --precision fp32 needs no plugin"
    return f"{build}, and give it: {shlex.join(['--plugin', where])}{other}"


def _unfit(folder: Path, expected: str, found: str, advice: str) -> ExecutorError:
    return ExecutorError(
        f"the plugin in {folder} does not fit this build",
        expected=expected,
        found=found,
        do=advice,
    )
