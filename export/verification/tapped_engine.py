"""Engines of a bundle whose graphs put out their taps: built for one comparison.

The taps become outputs of the engine, so the builder may not fuse across them: what is compared is
the arithmetic of the layers, in the types that they have without taps, and not the very kernels of
the engine that flies. The boxes of that one are compared without --taps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge.bundle import ENCODER, LOCALIZER, Bundle

BUCKETS = (16, 64)


def build_tapped(
    bundle: Bundle,
    executor: str,
    precision: str,
    plugin: Path | None,
    progress: Callable[[str], None],
) -> None:
    """Build both engines on this device, where the executor looks for them.

    With $TILEFIX_ENGINES they stay there, and serve the next comparison of the same graphs.

    Args:
        bundle: the copy from `tapped_bundle`.
        executor: "tensorrt" or "tensorrt-rtx".
        precision: of the graphs.
        plugin: folder of `tilefix plugin build`; None will do for graphs without custom nodes.
        progress: takes lines for people.

    Raises:
        ExecutorError: no GPU, no plugin, too little memory, or the builder refuses the graph.
        MissingLibraryError: no toolkit.
    """
    from export.engines.build import BuildSettings, build_engine
    from export.engines.device import local_gpu
    from export.engines.targets import LOCAL, choose_target

    target = choose_target(LOCAL, executor.replace("-", "_"), local_gpu())
    settings = BuildSettings(target, plugin, BUCKETS)
    for kind in (ENCODER, LOCALIZER):
        build_engine(bundle, kind, precision, settings, progress)
