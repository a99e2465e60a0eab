"""Whether the manifest and the localizer graph of a bundle mean the same inputs."""

from __future__ import annotations

from edge.bundle import Bundle
from edge.errors import BundleError
from edge.executors.base import Executor


def check_inputs(bundle: Bundle, localizer: Executor) -> None:
    """Compare what the manifest says of frame and features with the graph.

    Raises:
        BundleError: they disagree.
    """
    manifest = bundle.manifest
    wanted = {f"frame uint8 [{manifest.frame.height_px}, {manifest.frame.width_px}, 3]"}
    for feature in manifest.features:
        wanted.add(f"{feature.name} {feature.dtype} [{', '.join(map(str, feature.shape))}]")
    found = {str(spec) for spec in localizer.inputs}
    if not wanted <= found:
        raise BundleError(
            f"the manifest and the localizer graph of the bundle {manifest.name} disagree",
            expected="; ".join(sorted(wanted)),
            found="; ".join(sorted(found)),
            do="export the bundle again with this version of tilefix",
        )
