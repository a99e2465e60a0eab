"""The command that builds an engine, whole, so that what an error advises can be copied and run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from edge.bundle import ENCODER
from edge.engine_manifest import TOOLKITS, EngineKey
from edge.precisions import short_name

PLUGIN_FOLDER = "plugin"
RTX = TOOLKITS[1]
PLAIN = "fp32"  # its graphs are of plain operators alone; all others call the plugin


def build_command(
    bundle: Path,
    precision: str,
    *,
    toolkit: str = "",
    target: str = "local",
    capabilities: Sequence[str] = (),
    buckets: Sequence[int] = (),
    plugin: Path | None = None,
    force: bool = False,
    graph: str = "",
    needs_plugin: bool | None = None,
    replay: str = "",
) -> str:
    """`tilefix build ...` with all that is known, quoted for a shell.

    Where the precision needs a plugin and no folder of one is known, the command that makes it
    comes first: `tilefix plugin build ... && tilefix build ...`.

    Args:
        bundle: its folder.
        precision: of the graphs.
        toolkit: "tensorrt" or "tensorrt_rtx"; empty: the one that is there.
        target: "local", or "sm86,sm89".
        capabilities: of the GPUs, "8.7", for the plugin's machine code; empty: as it comes.
        buckets: numbers of clicks; empty: as they come.
        plugin: folder of `tilefix plugin build`; None: there is none yet.
        force: build even what is there.
        graph: "encoder" or "localizer"; empty: both.
        needs_plugin: whether a graph calls it; None: by the precision.
        replay: selection folder whose frames go through the engines then; empty: the bundle's own.
    """
    command = ["tilefix", "build", str(bundle), "--precision", short_name(precision)]
    if toolkit:
        command += ["--toolkit", toolkit.replace("_", "-")]  # as executors are spelt
    command += ["--target", target]
    if buckets:
        command += ["--buckets", ",".join(map(str, buckets))]
    if graph:
        command += ["--graph", graph]
    if force:
        command.append("--force")
    if replay:
        command += ["--replay", replay]
    if not (precision != PLAIN if needs_plugin is None else needs_plugin):
        return shlex.join(command)
    if plugin is not None:
        return shlex.join([*command, "--plugin", str(plugin)])
    compiled = ["tilefix", "plugin", "build"]
    if capabilities:
        compiled += ["--arch", ",".join(each.replace(".", "") for each in capabilities)]
    compiled += ["--out", PLUGIN_FOLDER]
    return f"{shlex.join(compiled)} && {shlex.join([*command, '--plugin', PLUGIN_FOLDER])}"


def rebuild_command(bundle: Path, key: EngineKey) -> str:
    """The command that builds an engine once more, in place of that which is there.

    A plugin that is compiled again may differ, and both engines of a process call the same one: a
    graph that calls it is built together with the other.

    Args:
        bundle: its folder.
        key: of the engine.
    """
    return build_command(
        bundle,
        key.precision,
        toolkit=key.toolkit,
        target=_target(key),
        capabilities=key.compute_capabilities,
        buckets=key.click_buckets,
        force=True,
        graph="encoder" if key.kind == ENCODER and not key.plugin_sha256 else "",
        needs_plugin=bool(key.plugin_sha256),
    )


def replay_command(bundle: Path, key: EngineKey, folder: Path, *, selection: bool) -> str:
    """The command that replays the judge's frames through an engine which is there.

    Args:
        bundle: its folder.
        key: of the engine of the localizer.
        folder: of that engine, which has the plugin in it.
        selection: all of the judge's frames, and these where `tilefix calibrate` leaves them; else
            those that the bundle carries.
    """
    return build_command(
        bundle,
        key.precision,
        toolkit=key.toolkit,
        target=_target(key),
        buckets=key.click_buckets,
        plugin=folder,
        needs_plugin=bool(key.plugin_sha256),
        replay=f"{bundle}.work/selection" if selection else "",
    )


def _target(key: EngineKey) -> str:
    names = ",".join(f"sm{each.replace('.', '')}" for each in key.compute_capabilities)
    return names if key.toolkit == RTX else "local"
