"""The file of a record: lines are only ever appended, and none is lost to a kill.

A line is one write of JSON and its newline, synchronised before `append` returns. A kill in the
midst of it leaves a last line without its newline, which the next opening cuts off.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from benchmarks.record.kinds import goes_on
from benchmarks.record.lines import (
    COMPLETE,
    SCHEMA,
    CacheState,
    Line,
    MeasurementLine,
    RunLine,
    Scenario,
)
from edge.errors import BenchmarkError, OutputError

FILE_NAME = "bench.jsonl"


class _Head(msgspec.Struct):
    """What tells one line from another before its fields are looked at."""

    line: str = ""
    schema: str = ""


class RecordFile:
    """A file of lines, open for appending by one process alone. A context manager."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; a last line that a kill has torn is cut off.

        Raises:
            BenchmarkError: it is no record of this schema, or another process appends to it.
            OutputError: it cannot be written.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            self._lock()
            self._cut()
            for _ in lines(path):  # refuse a broken record now, not after an hour
                pass
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file free."""
        if self._descriptor >= 0:
            os.close(self._descriptor)  # and with it the lock
            self._descriptor = -1

    def append(self, line: Line) -> None:
        """Write one line, and see it on the disk.

        Raises:
            BenchmarkError: it could not be read again; nothing is written.
            OutputError: it cannot be written; nothing of it stays in the file.
        """
        data = _encode(line)
        size = os.fstat(self._descriptor).st_size
        try:
            while data:  # once; a full disk takes what fits, and refuses the rest
                data = data[os.write(self._descriptor, data) :]
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, size)
            raise _unwritable(self.path, error) from error

    def lines(self) -> Iterator[Line]:
        """All lines in order."""
        return lines(self.path)

    def earlier(self, run: RunLine) -> RunLine | None:
        """The first line of a run that `run` goes on with; None: there is none.

        Bundle, settings, commit, version and machine are equal. The later call takes its `run_id`
        over, and appends its own line before the first other one that it adds: two `run` lines of
        one id are two calls that added something.
        """
        runs = (line for line in self.lines() if isinstance(line, RunLine))
        return next((line for line in runs if goes_on(line, run)), None)

    def done(self, run: RunLine) -> frozenset[tuple[Scenario, CacheState, int]]:
        """What an earlier call of such a run measured completely: (scenario, state, clicks)."""
        every = list(self.lines())
        ids = {line.run_id for line in every if isinstance(line, RunLine) and goes_on(line, run)}
        measured = (line for line in every if isinstance(line, MeasurementLine))
        return frozenset(
            (line.scenario, line.state, line.clicks)
            for line in measured
            if line.run_id in ids and line.ended == COMPLETE
        )

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BenchmarkError(
                f"another process appends to {self.path}",
                expected="one benchmark at a time: two would slow each other down",
                found="the file is locked",
                do="wait until the other one ends, or stop it; give another folder with --out if "
                "the lock belongs to another machine",
            ) from error
        except OSError as error:  # a network drive that knows no locks
            raise _unwritable(self.path, error) from error

    def _cut(self) -> None:
        """Cut off what follows the last newline."""
        text = self.path.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole == len(text):
            return
        # Only a line of ours may be torn; a file of something else is not touched.
        if not text[whole:].startswith(_START[: len(text) - whole]):
            raise _broken(self.path, text.count(b"\n") + 1, "a line that no record begins with")
        os.ftruncate(self._descriptor, whole)
        os.fsync(self._descriptor)


_START = b'{"line":"'


def lines(path: Path) -> Iterator[Line]:
    """The lines of a file that may be in use; a torn last one is left out.

    Raises:
        BenchmarkError: no such file, another schema, or a broken line, with its number.
    """
    try:
        with path.open("rb") as stream:
            for number, text in enumerate(stream, 1):
                if not text.endswith(b"\n"):
                    return
                yield _decode(path, number, text)
    except OSError as error:
        raise BenchmarkError(
            f"there is no readable record at {path}",
            expected=f"a file {FILE_NAME}, or a folder with one",
            found=f"{type(error).__name__}: {error.strerror}",
            do="measure first: tilefix bench --out DIR",
        ) from error


def _encode(line: Line) -> bytes:
    """A line as it is written, once it is known that it can be read again.

    JSON has no nan and no infinity; `null` in their place is no number, and a file with such a line
    in it could never be used again.
    """
    data = msgspec.json.encode(line) + b"\n"
    lost = next(_not_finite("", msgspec.to_builtins(line)), None)
    try:
        msgspec.json.decode(data, type=Line)
    except msgspec.MsgspecError as error:
        lost = lost or str(error)
    if lost is not None:
        raise BenchmarkError(
            "a line cannot be kept in the record",
            expected="fields of their kind, and finite numbers in them",
            found=lost,
            do="report this, with the command that you ran; the record is as it was",
        )
    return data


def _not_finite(name: str, value: object) -> Iterator[str]:
    """The fields that are nan or infinite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{name} is {value}"
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _not_finite(f"{name}.{key}" if name else str(key), each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _not_finite(name, each)


def _decode(path: Path, number: int, text: bytes) -> Line:
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.line == "run" and head.schema != SCHEMA:
            raise BenchmarkError(
                f"{path}, line {number} is of another schema",
                expected=SCHEMA,
                found=head.schema or "none",
                do="read it with the version of tilefix that wrote it, or measure again",
            )
        line: Line = msgspec.json.decode(text, type=Line)
        return line
    except msgspec.MsgspecError as error:
        raise _broken(path, number, str(error)) from error


def _broken(path: Path, number: int, found: str) -> BenchmarkError:
    return BenchmarkError(
        f"{path}, line {number} is broken",
        expected=f"a line of {SCHEMA}",
        found=found,
        do="move the file away and measure again; only a last line may be cut short",
    )


def _unwritable(path: Path, error: OSError) -> OutputError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    first = "free some space, or choose" if full else "choose"
    return OutputError(
        f"the record {path} cannot be written",
        expected="a folder of yours with room for a few megabytes",
        found=f"{type(error).__name__}: {error.strerror}",
        do=f"{first} another folder with --out; what was measured is kept",
    )
