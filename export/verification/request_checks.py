"""What `tilefix verify` can find out before it runs anything."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edge.bundle import Bundle
from edge.engine_manifest import MANIFEST_FILE, read_engine
from edge.errors import CheckpointError, UsageError
from edge.machine import usable_cores


def check_threads(threads: int) -> None:
    """More threads than cores wait for each other, and seem to hang.

    Raises:
        UsageError: there are more.
    """
    cores = usable_cores()
    if threads > cores:
        raise UsageError(
            "there are more threads than processor cores",
            expected=f"--threads from 1 to {cores}: so many cores may be used here",
            found=f"--threads {threads}",
            do="give fewer, or leave --threads out",
        )


def check_plugin(folder: Path) -> None:
    """Refuse what is no plugin, or an altered one.

    Args:
        folder: of `tilefix plugin build`, or of an engine.

    Raises:
        ExecutorError: it is neither, or a file of it was altered.
    """
    from export.plugin.build import read_manifest

    if (folder / MANIFEST_FILE).is_file():
        read_engine(folder, renamed=True)
    else:
        read_manifest(folder)


def check_checkpoint(bundle: Bundle, checkpoint: Path) -> None:
    """Refuse a checkpoint that is none, or whose model is not that of the bundle.

    Raises:
        CheckpointError: it cannot be read, or takes or gives other tensors than the bundle.
    """
    if importlib.util.find_spec("torch") is None:
        return  # its runs are skipped, with the reason
    from export.bundle_manifest import manifest_of
    from training.checkpoints.weights import load_weights

    model, _ = load_weights(checkpoint)
    ours = bundle.manifest
    theirs = manifest_of(model, ours.name, ours.version, ours.origin, ours.window.gsd_m)
    unlike = [
        (name, getattr(ours, name), getattr(theirs, name))
        for name in ("model", "frame", "window", "features")
        if getattr(ours, name) != getattr(theirs, name)
    ]
    if unlike:
        raise CheckpointError(
            f"the checkpoint {checkpoint} is not of the bundle {ours.name}",
            expected="; ".join(f"{name} {wanted}" for name, wanted, _ in unlike),
            found="; ".join(f"{name} {found}" for name, _, found in unlike),
            do="give the checkpoint that the bundle was exported from, or leave --checkpoint out",
        )
