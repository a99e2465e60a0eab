"""Encoded windows on disk: memory-mapped, checked on every read, never half written.

A store is one folder for one model and one map: `header.json` (edge.feature_header), `features.bin`
with one record of fixed size for each window, and `index.jsonl` (edge.feature_index). A window is
written as record, fsync, index line, fsync. What a kill or a full disk cuts short has no index line
and is written again on resuming. The CRC-32 of a record is checked whenever it is read.
"""

from __future__ import annotations

import mmap
import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from edge.errors import FeatureStoreError
from edge.feature_header import (
    HEADER_NAME,
    FeatureHeader,
    read_header,
    tensor_specs,
    write_header,
)
from edge.feature_index import INDEX_NAME, IndexEntry, append_line, end_torn_line, read_index
from edge.feature_refusals import (
    ENCODE_COMMAND,
    check_empty,
    check_identity,
    check_same,
    describe_layout,
    unwritable,
)
from edge.geodesy import geometry_from_dict
from edge.types import Array, ReferenceFeature

DATA_NAME = "features.bin"


class FeatureStore:
    """The windows of one map, encoded by one model. Reading is safe between threads."""

    def __init__(self, path: Path, header: FeatureHeader, *, writable: bool, resume: str) -> None:
        """Use `create` or `open`."""
        self.path = path
        self.header = header
        self.resume_command = resume
        self._layout = header.layout()
        self._lock = threading.Lock()
        self._mapped: mmap.mmap | None = None
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        self._data_fd = os.open(path / DATA_NAME, flags, 0o644)
        self._index_fd: int | None = None
        if writable:
            self._lock_for_writing()
            self._index_fd = os.open(path / INDEX_NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            end_torn_line(self._index_fd)
        self._entries, self.broken_lines = read_index(path)
        self._next_slot = 1 + max((entry.slot for entry in self._entries.values()), default=-1)

    @staticmethod
    def create(
        path: str | os.PathLike[str], header: FeatureHeader, *, resume_command: str | None = None
    ) -> FeatureStore:
        """Begin a store, or go on with the one that is there if its header is the same.

        Args:
            path: the folder.
            header: what the store is for.
            resume_command: what an error tells the reader to run again.

        Raises:
            FeatureStoreError: another store or something else is there, or another process writes
                to it.
            OutputError: the folder cannot be made.
        """
        folder = Path(path)
        resume = resume_command or ENCODE_COMMAND.format(path=folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / HEADER_NAME).exists():
                check_same(folder, header, read_header(folder))
            else:
                check_empty(folder)
                write_header(folder, header)
            return FeatureStore(folder, header, writable=True, resume=resume)
        except OSError as error:
            raise unwritable(folder, error, resume) from error

    @staticmethod
    def open(path: str | os.PathLike[str], *, model_id: str, map_id: str) -> FeatureStore:
        """Open a store for reading.

        Raises:
            FeatureStoreError: no store, an altered one, or one of another model or map.
        """
        folder = Path(path)
        header = read_header(folder)
        check_identity(folder, "model", model_id, header.model_id)
        check_identity(folder, "map", map_id, header.map_id)
        try:
            return FeatureStore(folder, header, writable=False, resume="")
        except OSError as error:
            raise FeatureStoreError(
                f"the feature store {folder} cannot be opened",
                expected=f"{DATA_NAME} beside {HEADER_NAME}",
                found=f"{type(error).__name__}: {error}",
                do=ENCODE_COMMAND.format(path=folder),
            ) from error

    def __contains__(self, window_id: str) -> bool:
        return window_id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._entries))

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def read(self, window_id: str) -> ReferenceFeature:
        """A stored window: read-only views of the mapped file; int8 with its scales stays so.

        Raises:
            FeatureStoreError: not stored, or its record does not fit its checksum.
        """
        entry = self._entries.get(window_id)
        if entry is None:
            raise FeatureStoreError(
                f"the window {window_id} is not in the feature store {self.path}",
                expected=f"one of its {len(self)} windows",
                found="no such window",
                do=self.resume_command or ENCODE_COMMAND.format(path=self.path),
            )
        start = entry.slot * self.header.record_bytes
        mapped = self._map(start + self.header.record_bytes)
        with memoryview(mapped) as view, view[start : start + self.header.record_bytes] as record:
            crc = zlib.crc32(record)
        if crc != entry.crc32:
            raise FeatureStoreError(
                f"the window {window_id} in the feature store {self.path} is corrupt",
                expected=f"{self.header.record_bytes} bytes with crc32 {entry.crc32:08x}",
                found=f"crc32 {crc:08x}",
                do="run tilefix tiles encode with the same store again: it re-does such windows",
            )
        geometry = geometry_from_dict(entry.geometry) if entry.geometry is not None else None
        return ReferenceFeature(
            tensors=self._views(mapped, start),
            geometry=geometry,
            width_px=self.header.window_px[0],
            height_px=self.header.window_px[1],
            window_id=window_id,
            map_id=self.header.map_id,
            model_id=self.header.model_id,
            coverage=entry.coverage,
            imagery_ce90_m=entry.imagery_ce90_m,
        )

    def write(self, feature: ReferenceFeature) -> None:
        """Store a window, in the place of an earlier one of the same id; on the disk on return.

        Raises:
            FeatureStoreError: it does not fit the header.
            OutputError: the disk is full.
        """
        if self._index_fd is None:
            raise FeatureStoreError(
                f"the feature store {self.path} is open for reading only",
                expected="a store from FeatureStore.create",
                found="one from FeatureStore.open, or a closed one",
                do="open it for writing",
            )
        record = self._record(feature)
        known = self._entries.get(feature.window_id)
        slot = self._next_slot if known is None else known.slot
        entry = IndexEntry(
            feature.window_id,
            slot,
            zlib.crc32(record),
            float(feature.coverage),
            None if feature.geometry is None else feature.geometry.to_dict(),
            feature.imagery_ce90_m,
        )
        index_bytes = os.fstat(self._index_fd).st_size
        try:
            _write_all(self._data_fd, record, slot * len(record))
            os.fsync(self._data_fd)
            append_line(self._index_fd, entry)
            os.fsync(self._index_fd)
        except OSError as error:
            os.ftruncate(self._index_fd, index_bytes)
            if known is None:  # give the room back
                os.ftruncate(self._data_fd, slot * len(record))
            raise unwritable(self.path, error, self.resume_command) from error
        self._entries[feature.window_id] = entry
        self._next_slot = max(self._next_slot, slot + 1)

    def is_intact(self, window_id: str) -> bool:
        """Whether a window is stored and fits its checksum."""
        try:
            self.read(window_id)
        except FeatureStoreError:
            return False
        return True

    def verify(self) -> tuple[str, ...]:
        """Read every window; the ids of those that do not fit their checksum."""
        return tuple(window_id for window_id in self if not self.is_intact(window_id))

    def close(self) -> None:
        """Close the files; tensors that were read stay usable."""
        with self._lock:
            self._mapped = None
            for descriptor in (self._data_fd, self._index_fd):
                if descriptor is not None and descriptor >= 0:
                    os.close(descriptor)
            self._data_fd, self._index_fd = -1, None

    def _map(self, needed_bytes: int) -> mmap.mmap:
        with self._lock:
            mapped = self._mapped
            if mapped is None or len(mapped) < needed_bytes:
                size = os.fstat(self._data_fd).st_size
                if size < needed_bytes:  # also keeps an empty file from being mapped
                    raise FeatureStoreError(
                        f"the feature store {self.path} is truncated",
                        expected=f"{DATA_NAME} of at least {needed_bytes} bytes",
                        found=f"{size} bytes",
                        do="run tilefix tiles encode with the same store again: it re-does them",
                    )
                mapped = self._mapped = mmap.mmap(self._data_fd, size, access=mmap.ACCESS_READ)
            return mapped

    def _views(self, mapped: mmap.mmap, start: int) -> dict[str, Array]:
        views: dict[str, Array] = {}
        for spec, offset in self._layout:
            dtype = np.dtype(spec.dtype).newbyteorder("<")
            count = spec.size_bytes // dtype.itemsize
            flat = np.frombuffer(mapped, dtype, count, start + offset)
            views[spec.name] = flat.reshape(spec.shape)
        return views

    def _record(self, feature: ReferenceFeature) -> bytearray:
        """The bytes of one window.

        Raises:
            FeatureStoreError: another model, map, size or layout than the header says.
        """
        check_identity(self.path, "model", feature.model_id, self.header.model_id)
        check_identity(self.path, "map", feature.map_id, self.header.map_id)
        size = (feature.width_px, feature.height_px)
        found = tensor_specs(feature.tensors)
        if found != self.header.tensors or size != self.header.window_px:
            raise FeatureStoreError(
                f"the window {feature.window_id} does not fit the feature store {self.path}",
                expected=describe_layout(self.header.window_px, self.header.tensors),
                found=describe_layout(size, found),
                do="encode with the bundle that the store was begun with, or into a new folder",
            )
        record = bytearray(self.header.record_bytes)
        for spec, offset in self._layout:
            value = feature.tensors[spec.name]
            data = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()
            record[offset : offset + len(data)] = data
        return record

    def _lock_for_writing(self) -> None:
        import fcntl  # only where stores are written: Linux and macOS

        try:
            fcntl.flock(self._data_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._data_fd)
            raise FeatureStoreError(
                f"another process is writing to the feature store {self.path}",
                expected="one writer at a time",
                found="a lock on the data file",
                do="wait until it ends, or stop it",
            ) from error


def _write_all(descriptor: int, data: bytearray, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
