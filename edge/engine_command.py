"""The command that builds an engine, whole, so that what an error advises can be copied and run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

PLUGIN_FOLDER = "plugin"
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
    """
    command = ["tilefix", "build", str(bundle), "--precision", precision]
    if toolkit:
        command += ["--toolkit", toolkit]
    command += ["--target", target]
    if buckets:
        command += ["--buckets", ",".join(map(str, buckets))]
    if force:
        command.append("--force")
    if precision == PLAIN:
        return shlex.join(command)
    if plugin is not None:
        return shlex.join([*command, "--plugin", str(plugin)])
    compiled = ["tilefix", "plugin", "build"]
    if capabilities:
        compiled += ["--arch", ",".join(each.replace(".", "") for each in capabilities)]
    compiled += ["--out", PLUGIN_FOLDER]
    return f"{shlex.join(compiled)} && {shlex.join([*command, '--plugin', PLUGIN_FOLDER])}"
