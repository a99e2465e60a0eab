"""The file of a record: lines are only ever appended, and none is lost to a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from benchmarks.record.lines import CacheState, Line, RunLine, Scenario

FILE_NAME = "bench.jsonl"


class RecordFile:
    """A file of lines, open for appending by one process alone. A context manager."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; a last line that a kill has torn is cut off.

        Raises:
            BenchmarkError: it is no record of this schema, or another process appends to it.
            OutputError: it cannot be written.
        """
        raise NotImplementedError

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
        raise NotImplementedError

    def append(self, line: Line) -> None:
        """Write one line, and see it on the disk."""
        raise NotImplementedError

    def lines(self) -> Iterator[Line]:
        """All lines in order."""
        raise NotImplementedError

    def earlier(self, run: RunLine) -> RunLine | None:
        """The first line of a run that `run` goes on with; None: there is none.

        Bundle, settings, commit, version and kind of environment are equal. The later call takes
        its `run_id` over, and appends its own line: two `run` lines of one id are two calls.
        """
        raise NotImplementedError

    def done(self, run: RunLine) -> frozenset[tuple[Scenario, CacheState, int]]:
        """What an earlier call of such a run measured completely: (scenario, state, clicks)."""
        raise NotImplementedError


def lines(path: Path) -> Iterator[Line]:
    """The lines of a file that may be in use; a torn last one is left out.

    Raises:
        BenchmarkError: no such file, another schema, or a broken line, with its number.
    """
    raise NotImplementedError
