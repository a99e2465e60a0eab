"""The folder that a selection is made in: shards of the scan and pictures, kept over a kill.

It is `<folder>.part` until the selection is whole; then it is renamed. Every file is written under
another name first, so that what is there is whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from calibration.selection.asked import (
    EARLIER_FORM,
    REQUEST_NAME,
    differences,
    read_request,
    request_bytes,
)
from calibration.selection.candidate import Candidate
from calibration.selection.record import RECORD_NAME, SelectionFolder, read_record
from edge.errors import CalibrationError, OutputError
from edge.sinks import write_whole

_SCAN, _LOCK_NAME = "scan", "lock"
_ELSEWHERE = "give another --work, or remove {}"


class WorkingFolder:
    """Where one selection is being made. Also the `Shards` of its scan."""

    def __init__(self, target: Path, request: dict[str, Any], request_sha256: str) -> None:
        """Begin, or go on with what an earlier run of the same request left.

        Args:
            target: the folder that the selection is to become.
            request: what was asked for, by names for people.
            request_sha256: its identity.

        Raises:
            CalibrationError: another request is half done there, or another process works there.
            OutputError: the folder cannot be made.
        """
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self.request_sha256 = request_sha256
        self._lock: int | None = None
        try:
            (self.path / _SCAN).mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._check_request(request)
        except OSError as error:
            self.close()
            raise OutputError(
                f"the folder {self.path} cannot be made",
                expected="a place that can be written to",
                found=f"{type(error).__name__}: {error.strerror}",
                do="give another --work",
            ) from error
        except CalibrationError:
            self.close()
            raise

    def get(self, name: str) -> list[Candidate] | None:
        """A shard of an earlier run; None: not there, or damaged, so that it is scanned again."""
        try:
            data = (self.path / _SCAN / f"{name}.msgpack").read_bytes()
            return msgspec.msgpack.decode(data, type=list[Candidate])
        except (OSError, msgspec.DecodeError):
            return None

    def put(self, name: str, candidates: list[Candidate]) -> None:
        """Keep a shard.

        Raises:
            OutputError: it cannot be written.
        """
        data = msgspec.msgpack.encode(candidates)
        write_whole(self.path / _SCAN / f"{name}.msgpack", data)

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the selection.

        Raises:
            OutputError: it cannot be written; what was written before stays.
        """
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        write_whole(path, data)

    def finish(self, files: set[str]) -> SelectionFolder:
        """Take away all but `files`, and give the folder its name."""
        shutil.rmtree(self.path / _SCAN, ignore_errors=True)
        for path in sorted(self.path.rglob("*")):
            inside = path.relative_to(self.path).as_posix()
            if path.is_file() and inside not in {*files, REQUEST_NAME, _LOCK_NAME}:
                path.unlink()
        (self.path / _LOCK_NAME).unlink(missing_ok=True)
        try:
            self.path.rename(self.target)
        except OSError as error:
            raise _taken(self.target, f"{type(error).__name__}: {error.strerror}") from error
        return SelectionFolder.open(self.target)

    def finished_before(self) -> set[str] | None:
        """The files of the selection where an earlier run was stopped just before its end."""
        if not (self.path / RECORD_NAME).is_file():
            return None
        selection = read_record(self.path)
        if selection.request_sha256 != self.request_sha256:
            return None
        return {image.file for image in selection.images}

    def close(self) -> None:
        """Let go of the lock; what was done stays."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _check_request(self, request: dict[str, Any]) -> None:
        place = self.path / REQUEST_NAME
        if not place.is_file():  # a new folder, or one that an earlier version was about to rename
            write_whole(place, request_bytes(request, self.request_sha256))
            return
        found = read_request(self.path) or {}
        if found.get("request_sha256") != self.request_sha256:
            raise CalibrationError(
                f"{self.path} holds the first part of another selection",
                expected="the same frames, maps, model and numbers as in the run that was stopped",
                found=differences(request, found),
                do=_ELSEWHERE.format(self.path),
            )

    def _take_lock(self) -> None:
        import fcntl  # only where selections are made: Linux and macOS

        self._lock = os.open(self.path / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CalibrationError(
                f"another process is making the selection {self.target}",
                expected="one at a time",
                found=f"a lock on {self.path / _LOCK_NAME}",
                do="wait until it ends, or stop it",
            ) from error


def earlier(target: Path, request: dict[str, Any], request_sha256: str) -> SelectionFolder | None:
    """The finished selection of the same request, checked; None: nothing is there.

    Raises:
        CalibrationError: something else is there, or it was altered; of another request, what
            differs is told.
    """
    if not target.exists():
        return None
    if target.is_dir() and not any(target.iterdir()):
        return None
    if not (target / RECORD_NAME).is_file():
        raise _taken(target, "files that are no selection")
    folder = SelectionFolder.open(target)
    if folder.selection.request_sha256 != request_sha256:
        found = read_request(target)
        raise _taken(target, EARLIER_FORM if found is None else differences(request, found))
    for image in folder.selection.images:
        folder.read(image)
    return folder


@contextlib.contextmanager
def working(target: Path, request: dict[str, Any], request_sha256: str) -> Iterator[WorkingFolder]:
    """A `WorkingFolder` that is let go of in the end."""
    folder = WorkingFolder(target, request, request_sha256)
    try:
        yield folder
    finally:
        folder.close()


def _taken(target: Path, found: str) -> CalibrationError:
    return CalibrationError(
        f"the selection cannot be written to {target}",
        expected="a new or empty folder, or the selection of the same request",
        found=found,
        do=_ELSEWHERE.format(target),
    )
