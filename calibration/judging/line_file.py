"""One finished piece of work a line: what was done survives a kill, and is not done again."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from edge.errors import CalibrationError, OutputError

Line = TypeVar("Line", bound=msgspec.Struct)


class LineFile(Generic[Line]):
    """Values by their keys in a file of JSON lines that only grows.

    Args:
        path: the file; its name must tell all that the lines depend on.
        kind: type of a line; it has a field `key`.
    """

    def __init__(self, path: Path, kind: type[Line]) -> None:
        self._path = path
        self._lines: dict[str, Line] = {}
        text = path.read_bytes() if path.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]  # a kill may have cut the last line
        try:
            for line in whole.splitlines():
                value = msgspec.json.decode(line, type=kind)
                self._lines[_key(value)] = value
        except msgspec.DecodeError as error:
            raise CalibrationError(
                f"the file {path} of earlier work is damaged",
                expected="a line for each piece of finished work, as this version writes it",
                found=str(error),
                do=f"remove {path} and run the same command again",
            ) from error
        self._cut = len(whole) if len(whole) < len(text) else None

    def get(self, key: str) -> Line | None:
        """The value of a key; None: not done yet."""
        return self._lines.get(key)

    def add(self, value: Line) -> None:
        """Keep a value, on the disk first.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._cut is not None:
                with self._path.open("rb+") as stream:
                    stream.truncate(self._cut)
                self._cut = None
            with self._path.open("ab") as stream:
                stream.write(msgspec.json.encode(value) + b"\n")
        except OSError as error:
            raise OutputError(
                f"{self._path} cannot be written",
                expected="a folder with room for the judge's work",
                found=f"{type(error).__name__}: {error}",
                do="free some space, or choose another folder; finished work is kept",
            ) from error
        self._lines[_key(value)] = value


def _key(value: msgspec.Struct) -> str:
    key: str = value.key  # type: ignore[attr-defined]
    return key
