"""What a shard of a feature store says of itself: which share of which windows, and whether whole.

`shard.json` lies in the folder of the shard beside the files of its store. A share may hold no
imagery at all: then it is the only file there.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from edge.errors import FeatureStoreError
from edge.feature_refusals import SHARD_NAME, unwritable

SCHEMA = "tilefix-shard/1"
WHOLE_MAP = "whole map"
_OF_ITSELF = ("number", "done", "stored", "empty", "windows")  # the rest is equal in all shards


class ShardRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One shard of a store."""

    number: int  # from 1
    of: int
    area: str  # the --bbox that was given, or WHOLE_MAP
    model_id: str
    map_id: str
    gsd_m: float
    zoom: int | None
    window_px: tuple[int, int]
    windows: int  # of the lattice in this share
    done: bool = False  # every one of them was looked at
    stored: int = 0
    empty: int = 0  # without imagery
    schema: str = SCHEMA

    @property
    def title(self) -> str:
        """Its number, for people."""
        return f"{self.number}/{self.of}"


def begin_shard(folder: Path, record: ShardRecord, resume: str) -> None:
    """Claim a folder for a shard, or go on with it.

    Raises:
        FeatureStoreError: the folder holds another shard, or something else; or see `write_shard`.
    """
    if (folder / SHARD_NAME).exists():
        there = read_shard(folder)
        differ = [*differing(record, there)]
        differ += [n for n in ("number", "windows") if getattr(record, n) != getattr(there, n)]
        if differ:
            raise FeatureStoreError(
                f"the folder {folder} holds another shard",
                expected=", ".join(f"{name} {getattr(record, name)}" for name in differ),
                found=", ".join(f"{name} {getattr(there, name)}" for name in differ),
                do="give the same settings again, or encode into a new folder",
            )
    elif folder.is_dir() and (strangers := sorted(p.name for p in folder.glob("[!.]*"))):
        raise FeatureStoreError(
            f"the folder {folder} holds no shard",
            expected=f"a new or empty folder, or one with {SHARD_NAME}",
            found=", ".join(strangers[:3]),
            do="encode into a new folder",
        )
    write_shard(folder, record, resume)


def write_shard(folder: Path, record: ShardRecord, resume: str) -> None:
    """Write shard.json, under a temporary name first; `resume` is what an error says to run again.

    Raises:
        OutputError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{SHARD_NAME}.{os.getpid()}"
        with partial.open("wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(folder / SHARD_NAME)
    except OSError as error:
        raise unwritable(folder, error, resume) from error


def read_shard(folder: Path) -> ShardRecord:
    """Read shard.json.

    Raises:
        FeatureStoreError: none there, altered, or of another schema.
    """
    path = folder / SHARD_NAME
    try:
        record = msgspec.json.decode(path.read_bytes(), type=ShardRecord)
        if record.schema != SCHEMA:
            raise msgspec.ValidationError(f"schema {record.schema}")
    except (OSError, msgspec.DecodeError) as error:
        raise FeatureStoreError(
            f"{folder} is no shard of a feature store",
            expected=f"a folder with {SHARD_NAME} of the schema {SCHEMA}",
            found=f"{type(error).__name__}: {error}",
            do="make it: tilefix tiles encode --tiles MAP --store DIR --shard I/N",
        ) from error
    return record


def differing(a: ShardRecord, b: ShardRecord) -> tuple[str, ...]:
    """What tells two shards apart that must not; empty: they are of one store."""
    fields = (name for name in a.__struct_fields__ if name not in _OF_ITSELF)
    return tuple(name for name in fields if getattr(a, name) != getattr(b, name))
