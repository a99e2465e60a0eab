"""Engines of a bundle whose graphs put out their taps: built for one comparison.

The taps become outputs of the engine, so the builder may not fuse across them: what is compared is
the arithmetic of the layers, in the types that they have without taps, and not the very kernels of
the engine that flies. The boxes of that one are compared without --taps.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.devices.base import DeviceFacts
from edge.engine_command import build_command
from edge.errors import ExecutorError
from edge.executors.engine_choice import choose_engine
from export.engines.targets import LOCAL, Target, choose_target

BUCKETS = (16, 64)
KINDS = (ENCODER, LOCALIZER)


def build_tapped(
    bundle: Bundle,
    original: Bundle,
    executor: str,
    precision: str,
    plugin: Path | None,
    progress: Callable[[str], None],
) -> None:
    """Build both engines on this device, where the executor looks for them.

    With $TILEFIX_ENGINES they stay there, and serve the next comparison of the same graphs.

    Args:
        bundle: the copy from `tapped_bundle`.
        original: what it is a copy of.
        executor: "tensorrt" or "tensorrt-rtx".
        precision: of the graphs.
        plugin: folder of `tilefix plugin build`; None: that of the engines of `original`.
        progress: takes lines for people.

    Raises:
        ExecutorError: no GPU, no plugin, too little memory, or the builder refuses the graph.
        MissingLibraryError: no toolkit.
    """
    from export.engines.build import BuildSettings, build_engine
    from export.engines.device import local_gpu
    from export.engines.graph_facts import read_graph

    target = choose_target(LOCAL, executor.replace("-", "_"), local_gpu())
    graphs = [read_graph(bundle.graph(kind, precision))[1] for kind in KINDS]
    if plugin is None and any(facts.custom_nodes for facts in graphs):
        plugin = engine_with_plugin(original, precision, target)
        progress(f"{executor}/{precision}: the plugin is that of the engine {plugin}")
    settings = BuildSettings(target, plugin, BUCKETS)
    for kind in KINDS:
        build_engine(bundle, kind, precision, settings, progress)


def engine_with_plugin(bundle: Bundle, precision: str, target: Target) -> Path:
    """The folder of an engine that was built for this device, with a copy of the plugin in it.

    Raises:
        ExecutorError: there is none; the commands that make one are named.
    """
    toolkit, capability = target.toolkit, target.dotted[0]
    device = DeviceFacts(target.gpu_name, capability, integrated=False, total_bytes=0)
    missed = []
    for kind in reversed(KINDS):
        try:
            engine = choose_engine(bundle, kind, precision, toolkit.name, toolkit.version, device)
        except ExecutorError as error:
            missed.append(f"{error.what}: {error.found}")
            continue
        if engine.manifest.key.plugin_sha256:
            return engine.folder
    command = build_command(
        bundle.path, precision, toolkit=toolkit.name, capabilities=target.dotted
    )
    verify = ["tilefix", "verify", str(bundle.path), "--taps", "--executors", toolkit.executor]
    raise ExecutorError(
        f"the graphs in {precision} need the plugin, for engines that put out their taps",
        expected="--plugin FOLDER, or an engine of this bundle that was built on this device",
        found=f"no --plugin, and {'; '.join(missed) or 'only engines without it'}",
        do=f"{command} && {shlex.join([*verify, '--precision', precision])}",
    )
