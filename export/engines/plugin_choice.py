"""The plugin that goes into an engine: given by its folder, verified, and fit for the targets."""

from __future__ import annotations

import platform
import shlex
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ExecutorError
from export.engines.graph_facts import GraphFacts
from export.engines.targets import Target
from export.plugin.build import read_manifest

FOLDER = "plugin"


@dataclass(frozen=True, slots=True)
class ChosenPlugin:
    """A verified library."""

    library: Path
    sha256: str
    notes: tuple[str, ...] = ()


def choose_plugin(folder: Path | None, facts: GraphFacts, target: Target) -> ChosenPlugin | None:
    """Verify the plugin of `tilefix plugin build`; None for a graph without custom nodes.

    Raises:
        ExecutorError: a graph with custom nodes and no plugin; or one that is altered, of another
            machine, without the TensorRT shell, or without code for a target.
    """
    if not facts.custom_nodes:
        return None
    if folder is None:
        raise ExecutorError(
            f"the graph {facts.path} has custom nodes, and no plugin was given for them",
            expected=f"--plugin FOLDER, for {', '.join(facts.custom_nodes)}",
            found="no --plugin; TensorRT would put the nodes' function bodies in their place",
            do=plugin_advice(None, target),
        )
    manifest = read_manifest(folder)
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
