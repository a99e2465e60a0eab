"""The shards of a feature store put together into one: the same bytes, each checked on the way.

The merged store is written beside its place and renamed when all of it has been read back, so it
is whole or not there. Its windows are in the order of the lattice, row by row, as one process
would have written them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge.errors import FeatureStoreError, OutputError
from edge.feature_header import FeatureHeader, write_header
from edge.feature_index import INDEX_NAME, IndexEntry, append_line
from edge.feature_refusals import unwritable
from edge.feature_store import DATA_NAME, FeatureStore
from edge.shard_set import OpenedShard, open_shards


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge made."""

    shards: int
    windows: int
    data_bytes: int


def merge_shards(
    folders: Sequence[Path],
    out: Path,
    *,
    resume_command: str = "tilefix tiles merge SHARD... --store OUT",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Merged:
    """Make one store of all its shards.

    Args:
        folders: of the shards, in any order.
        out: folder of the store; new or empty.
        resume_command: what an error tells the reader to run again.
        progress: called with windows done and in all.

    Raises:
        FeatureStoreError: shards that are missing, twice there, unfinished, corrupt, or of
            different models, maps or settings, or cannot be read. Nothing is written then, nor
            here:
        OutputError: something at `out`, no room, or a place that cannot be written to.
    """
    shards = open_shards(folders)
    header = next(shard.header for shard in shards if shard.header is not None)
    windows = _in_order(shards)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _check_place(out)
        size = len(windows) * header.record_bytes
        with _beside(out) as partial:
            _check_room(out, size, resume_command)
            _copy(windows, partial, header, progress)
            _check_written(partial, header, len(windows))
            partial.rename(out)
    except OSError as error:
        raise unwritable(out, error, resume_command) from error
    return Merged(len(shards), len(windows), size)


def _in_order(shards: Sequence[OpenedShard]) -> list[tuple[OpenedShard, IndexEntry]]:
    """Every window with its shard, row by row."""
    found = [(shard, entry) for shard in shards for entry in shard.entries.values()]
    return sorted(found, key=lambda pair: _row_column(pair[1].window_id))


def _row_column(window_id: str) -> tuple[int, int]:
    """Top and left of a window out of its id, which every grid ends so."""
    match = re.search(r"/x(-?\d+)/y(-?\d+)$", window_id)
    return (int(match[2]), int(match[1])) if match else (0, 0)


def _copy(
    windows: Sequence[tuple[OpenedShard, IndexEntry]],
    folder: Path,
    header: FeatureHeader,
    progress: Callable[[int, int], None],
) -> None:
    with contextlib.ExitStack() as opened:
        sources: dict[Path, int] = {}
        for source in {shard.folder for shard, _ in windows}:
            with _reading(source):
                sources[source] = os.open(source / DATA_NAME, os.O_RDONLY)
            opened.callback(os.close, sources[source])
        data = opened.enter_context((folder / DATA_NAME).open("wb"))
        index = opened.enter_context((folder / INDEX_NAME).open("ab"))
        for slot, (shard, entry) in enumerate(windows):
            start = entry.slot * header.record_bytes
            with _reading(shard.folder):
                record = os.pread(sources[shard.folder], header.record_bytes, start)
            _check_record(shard, entry, record, header.record_bytes)
            data.write(record)
            append_line(index.fileno(), msgspec.structs.replace(entry, slot=slot))
            progress(slot + 1, len(windows))
        for stream in (data, index):
            stream.flush()
            os.fsync(stream.fileno())
    write_header(folder, header)


@contextlib.contextmanager
def _reading(shard: Path) -> Iterator[None]:
    """What a shard cannot give is no matter of the place that is written to."""
    try:
        yield
    except OSError as error:
        raise FeatureStoreError(
            f"the shard {shard} cannot be read",
            expected=f"{DATA_NAME} in it, as tilefix tiles encode wrote it",
            found=f"{type(error).__name__}: {error}",
            do="fetch the shard again, or encode it again into a new folder",
        ) from error


def _check_record(shard: OpenedShard, entry: IndexEntry, record: bytes, size: int) -> None:
    crc = zlib.crc32(record)
    if len(record) != size or crc != entry.crc32:
        raise FeatureStoreError(
            f"the window {entry.window_id} in the shard {shard.folder} is corrupt",
            expected=f"{size} bytes with crc32 {entry.crc32:08x}",
            found=f"{len(record)} bytes with crc32 {crc:08x}",
            do=f"run tilefix tiles encode with --shard {shard.record.title} again: it re-does such "
            "windows; then merge again",
        )


def _check_written(folder: Path, header: FeatureHeader, windows: int) -> None:
    """Read the merged store back, as a flight would."""
    with FeatureStore.open(folder, model_id=header.model_id, map_id=header.map_id) as store:
        broken = store.verify()
        if broken or len(store) != windows:
            raise FeatureStoreError(
                "the merged store is not what was written to it",
                expected=f"{windows} windows, each with its checksum",
                found=f"{len(store)} windows, {len(broken)} broken: {', '.join(broken[:3])}",
                do="check the disk, and merge again",
            )


def _check_place(out: Path) -> None:
    there = sorted(path.name for path in out.iterdir()) if out.is_dir() else ["a file"]
    if out.exists() and there:
        raise OutputError(
            f"there is something at {out} already",
            expected="a new or empty folder for the merged store",
            found=", ".join(there[:3]),
            do="choose another folder with --store",
        )


def _check_room(out: Path, size_bytes: int, resume: str) -> None:
    free = shutil.disk_usage(out.parent).free
    if free < size_bytes:
        raise OutputError(
            f"the disk is too full for the feature store {out}",
            expected=f"{size_bytes / 1e6:.1f} MB free",
            found=f"{free / 1e6:.1f} MB free",
            do=f"free some room, then: {resume}",
        )


@contextlib.contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A folder beside `out` that is gone afterwards, unless renamed; one merge at a time."""
    lock = out.with_name(f".{out.name}.merge-lock")
    descriptor = _locked(lock, out)
    partial = out.with_name(f".{out.name}.merging")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a merge that was killed
        partial.mkdir()
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            lock.unlink()
    finally:
        os.close(descriptor)


def _locked(lock: Path, out: Path) -> int:
    """A descriptor of the lock file, locked.

    The merge before removes the file as it ends: what was opened before that and locked after it
    is a file without a name, which the next merge would not see. Then it is opened anew.

    Raises:
        FeatureStoreError: another merge holds it.
    """
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), lock.stat()):
                    return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise FeatureStoreError(
                f"another process is merging into {out}",
                expected="one merge at a time",
                found=f"a lock on {lock}",
                do="wait until it ends, or stop it",
            ) from error
        except OSError:  # a drive that knows no locks
            os.close(descriptor)
            raise
        os.close(descriptor)
