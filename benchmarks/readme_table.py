"""A table that a command writes into the README, between two marks of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.errors import OutputError


@dataclass(frozen=True, slots=True)
class Marks:
    """The two lines that a table lies between."""

    begin: str
    end: str
    what: str  # of the table, for the error: "the table of GPUs"

    def put(self, text: str, made: str) -> str:
        """A README with the table between its marks.

        Raises:
            OutputError: the marks are not there, once each and in order.
        """
        before, begin, rest = text.partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not (begin and end) or self.begin in rest or self.end in before + after:
            raise OutputError(
                f"the README has no place for {self.what}",
                expected=f"{self.begin} and, below it, {self.end}, once each",
                found=f"{text.count(self.begin)} and {text.count(self.end)} of them, or in another "
                "order",
                do="put the two lines back where the table belongs",
            )
        return f"{before}{begin}\n{made}\n{end}{after}"

    def write(self, readme: Path, made: str) -> None:
        """Put the table into a file.

        Raises:
            OutputError: see `put`, or the file cannot be read or written.
        """
        try:
            text = readme.read_text(encoding="utf-8")
            changed = self.put(text, made)
            if changed != text:
                readme.write_text(changed, encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"{self.what} cannot be written into {readme}",
                expected="a text file that can be written to",
                found=f"{type(error).__name__}: {error}",
                do="check the path",
            ) from error
