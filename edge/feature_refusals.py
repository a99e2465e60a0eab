"""Why a feature store refuses: another model or map, other settings, a full disk."""

from __future__ import annotations

import errno
from pathlib import Path

from edge.errors import FeatureStoreError, OutputError
from edge.feature_header import HEADER_NAME, FeatureHeader, TensorSpec

SHARD_NAME = "shard.json"  # lies beside the files of a store: edge.feature_shard
ENCODE_COMMAND = "tilefix tiles encode --tiles MAP --store {path}"
_ENCODE_NEW = ENCODE_COMMAND.format(path="NEW")


def check_identity(
    folder: Path, what: str, expected: str, found: str, *, encode: str = _ENCODE_NEW
) -> None:
    """Refuse a store of another model or map, naming both, and the command for the right one."""
    if expected != found:
        raise FeatureStoreError(
            f"the feature store {folder} is for another {what}",
            expected=f"{what} {expected}",
            found=f"{what} {found}",
            do=f"use the {what} that it was made with, or encode into a new folder: {encode}",
        )


def check_same(folder: Path, wanted: FeatureHeader, there: FeatureHeader) -> None:
    """Refuse to go on with a store that was begun for something else."""
    check_identity(folder, "model", wanted.model_id, there.model_id)
    check_identity(folder, "map", wanted.map_id, there.map_id)
    names = [name for name in wanted.__struct_fields__ if name != "schema"]
    differ = [name for name in names if getattr(wanted, name) != getattr(there, name)]
    if differ:
        raise FeatureStoreError(
            f"the feature store {folder} was begun with other settings",
            expected=", ".join(f"{name} {getattr(wanted, name)}" for name in differ),
            found=", ".join(f"{name} {getattr(there, name)}" for name in differ),
            do="give the same settings again, or encode into a new folder",
        )


def check_empty(folder: Path) -> None:
    """Refuse to begin a store among files of something else."""
    names = (entry.name for entry in folder.iterdir())
    strangers = sorted(name for name in names if name != SHARD_NAME and not name.startswith("."))
    if strangers:
        raise FeatureStoreError(
            f"{folder} is not a feature store",
            expected=f"a new or empty folder, or one with {HEADER_NAME}",
            found=f"a folder that holds {', '.join(strangers[:3])}",
            do="choose another folder",
        )


def describe_layout(size_px: tuple[int, int], specs: tuple[TensorSpec, ...]) -> str:
    """Size and tensors of a window, for people."""
    tensors = ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in specs)
    return f"{size_px[0]} x {size_px[1]} px: {tensors}"


def unwritable(folder: Path, error: OSError, resume: str) -> OutputError:
    """The error for a disk that is full or a folder that cannot be written to."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return OutputError(
        f"the disk is full: the feature store {folder} cannot grow"
        if full
        else f"the feature store {folder} cannot be written",
        expected="room for more windows" if full else "a folder that can be written to",
        found=f"{type(error).__name__}: {error}",
        do=f"free some room, then go on where it stopped: {resume}"
        if full
        else f"check the folder, then run: {resume}",
    )
