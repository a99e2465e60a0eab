"""Histograms of a graph's tensors on disk: equal content gives equal bytes.

A file is one line of magic with the sha256 of all that follows, then the record in MessagePack.
Counts are little-endian, cut behind the last that is not zero, in four bytes each where they fit.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from calibration.ranges.histogram import BINS, Histogram
from edge.errors import CalibrationError, OutputError
from edge.sinks import not_written

FORMAT = "tilefix-histograms/1"
_MAGIC = b"tilefix-histograms "


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that the counts depend on. Two files of one identity can be merged."""

    graph: str  # kind, e.g. "localizer"
    graph_sha256: str
    selection_sha256: str
    preprocessing: str  # what the graph was fed, see `calibration.ranges.inputs`
    sampling: str  # how values were chosen, see `calibration.ranges.sampling`
    runtime: str  # library, version and provider: another one rounds differently
    tensors_sha256: str  # of the names of the wanted tensors in their order
    format: str = FORMAT


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    tensor: str
    exponent: int
    lowest: float
    highest: float
    zeros: int
    wide: bool  # eight bytes a count
    counts: bytes


class _Record(msgspec.Struct, frozen=True, array_like=True):
    identity: Identity
    images: tuple[tuple[str, str], ...]
    entries: tuple[_Entry, ...]


@dataclass(frozen=True, slots=True)
class TensorHistograms:
    """What was seen of the wanted tensors of one graph, and of which images."""

    identity: Identity
    images: tuple[tuple[str, str], ...]  # name and sha256, sorted
    tensors: dict[str, Histogram]  # in the order of the wanted names

    def encoded(self) -> bytes:
        """The bytes of the file."""
        entries = tuple(_entry(name, histogram) for name, histogram in self.tensors.items())
        body = msgspec.msgpack.encode(_Record(self.identity, tuple(sorted(self.images)), entries))
        return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body

    def write(self, path: Path) -> None:
        """Write a file under a temporary name, make sure that it is on the disk, and rename it.

        Raises:
            OutputError: a full disk, or a folder that cannot be written to; what was there stays.
        """
        write_synced(path, self.encoded())

    @staticmethod
    def read(path: Path) -> TensorHistograms:
        """Read a file that `write` made.

        Raises:
            CalibrationError: none there, damaged, or of another format.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _damaged(path, f"{type(error).__name__}: {error.strerror}") from error
        head, _, body = data.partition(b"\n")
        if head != _MAGIC + hashlib.sha256(body).hexdigest().encode():
            raise _damaged(path, f"{len(data)} bytes whose sha256 does not fit")
        try:
            record = msgspec.msgpack.decode(body, type=_Record)
        except msgspec.DecodeError as error:
            raise _damaged(path, f"another format: {error}") from error
        tensors = {entry.tensor: _histogram(entry) for entry in record.entries}
        return TensorHistograms(record.identity, record.images, tensors)


def merged(first: TensorHistograms, second: TensorHistograms) -> TensorHistograms:
    """Two sets of images of one identity together, in either order.

    Raises:
        CalibrationError: an image is in both.
    """
    twice = sorted(set(first.images) & set(second.images))
    if twice:
        raise CalibrationError(
            "an image would be counted twice",
            expected="shards that share no image",
            found=f"{len(twice)} in both, among them {twice[0][0]}",
            do="give every shard its own number, and remove the files of an earlier run",
        )
    tensors = {
        name: histogram.merged(second.tensors[name]) for name, histogram in first.tensors.items()
    }
    return TensorHistograms(first.identity, tuple(sorted((*first.images, *second.images))), tensors)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file so that after a kill or a power cut it is whole, or as it was.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # shards write beside each other
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            part.unlink()
        raise _unwritten(path, error) from error


def remove_parts(path: Path) -> None:
    """Remove what writers of `path` that were killed left behind."""
    for part in path.parent.glob(f"{path.name}.*.part"):
        part.unlink(missing_ok=True)


def _unwritten(path: Path, error: OSError) -> OutputError:
    told = not_written(path, error)
    return OutputError(
        told.what,
        expected=told.expected,
        found=told.found,
        do="free some space and run the same command again: it goes on where it stopped",
    )


def _entry(name: str, histogram: Histogram) -> _Entry:
    counts = np.trim_zeros(histogram.counts, "b")
    wide = bool(counts.size) and int(counts.max()) >= 1 << 32
    data = counts.astype("<u8" if wide else "<u4").tobytes()
    return _Entry(
        name,
        histogram.exponent,
        histogram.lowest,
        histogram.highest,
        histogram.zeros,
        wide,
        data,
    )


def _histogram(entry: _Entry) -> Histogram:
    found = np.frombuffer(entry.counts, "<u8" if entry.wide else "<u4")
    counts = np.zeros(BINS, np.int64)
    counts[: found.size] = found
    return Histogram(entry.exponent, entry.lowest, entry.highest, entry.zeros, counts)


def _damaged(path: Path, found: str) -> CalibrationError:
    return CalibrationError(
        f"the histograms {path} cannot be used",
        expected=f"a whole file of the format {FORMAT}",
        found=found,
        do="remove that file and run the same command again: its images are looked at anew",
    )
