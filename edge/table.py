"""Small tables that people write: CSV or JSON lines, every complaint with its file and line.

A column that is not known is an error that names the nearest known one: a misspelt `sigma` must
not be a silent default.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import TilefixError

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; values as text, absent ones left out."""

    path: str
    line: int  # from 1, of the file
    values: Mapping[str, str]

    @property
    def where(self) -> str:
        """File and line, for people."""
        return f"{self.path}, line {self.line}"


@dataclass(frozen=True, slots=True)
class Schema:
    """Which columns a table may have, and the error that its faults are raised as."""

    kind: str  # "click file"
    columns: tuple[str, ...]
    required: tuple[str, ...]
    error: type[TilefixError]
    example: str  # a header and a line, for the reader of an error
    optional: bool = False  # whether the user may do without such a file

    def fail(self, what: str, expected: str, found: str, do: str) -> TilefixError:
        """An error of this schema's kind."""
        return self.error(what, expected=expected, found=found, do=do)

    def number(self, row: Row, column: str) -> float | None:
        """A finite number of a row; None where the cell is empty.

        Raises:
            TilefixError: of the schema's kind; text, NaN or infinity.
        """
        text = row.values.get(column)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.fail(
                f"{row.where}: `{column}` is not a number",
                f"a finite number in `{column}`",
                repr(text),
                "correct that line, or take it out",
            )
        return value

    def needed(self, row: Row, column: str) -> float:
        """A number that must be there."""
        value = self.number(row, column)
        if value is None:
            raise self.fail(
                f"{row.where}: `{column}` is empty",
                f"a finite number in `{column}`",
                "nothing",
                "fill it in, or take that line out",
            )
        return value


def read_table(path: str | os.PathLike[str], schema: Schema) -> tuple[Row, ...]:
    """Read a CSV file (with a header) or JSON lines (an object a line), in order.

    Raises:
        TilefixError: of the schema's kind: missing or unreadable file, no lines, an unknown or a
            missing column, a line with too few or too many cells.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise schema.fail(
            f"the {schema.kind} {file} cannot be read",
            "a CSV file or JSON lines, in UTF-8",
            f"text in another encoding, or no text: byte {error.object[error.start]:#04x} at "
            f"position {error.start}",
            "save it as UTF-8 (spreadsheets call it CSV UTF-8)",
        ) from error
    except OSError as error:
        raise schema.fail(
            f"the {schema.kind} {file} cannot be read",
            "a CSV file or JSON lines, in UTF-8",
            f"{type(error).__name__}: {error.strerror or error}",
            "check the path",
        ) from error
    as_json = file.suffix.lower() in JSON_SUFFIXES or text.lstrip().startswith("{")
    rows = _json_rows(str(file), text, schema) if as_json else _csv_rows(str(file), text, schema)
    if not rows:
        raise schema.fail(
            f"the {schema.kind} {file} is empty",
            f"at least one line, such as {schema.example}",
            "a header without lines" if text.strip() else "an empty file",
            "fill it, or leave the option out" if schema.optional else "write that into it",
        )
    return rows


def _csv_rows(path: str, text: str, schema: Schema) -> tuple[Row, ...]:
    header: list[str] | None = None
    rows = []
    for line, cells in _csv_lines(path, text, schema):
        stripped = [cell.strip() for cell in cells]
        if not any(stripped):
            continue
        if header is None:
            header = stripped
            _check_columns(f"{path}, line {line}", header, schema)
            continue
        if len(stripped) != len(header):
            raise schema.fail(
                f"{path}, line {line}: not as many cells as columns",
                f"{len(header)} cells: {', '.join(header)}",
                f"{len(stripped)} cells: {', '.join(stripped)}",
                "correct that line; decimals take a point, cells are separated by commas",
            )
        present = zip(header, stripped, strict=True)
        rows.append(Row(path, line, {name: cell for name, cell in present if cell}))
    return tuple(rows)


def _csv_lines(path: str, text: str, schema: Schema) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise schema.fail(
            f"{path}, line {reader.line_num}: not a line of CSV",
            f"lines such as {schema.example}",
            str(error),
            "correct that line; an unpaired quotation mark swallows what follows it",
        ) from error


def _json_rows(path: str, text: str, schema: Schema) -> tuple[Row, ...]:
    rows = []
    for line, content in enumerate(text.split("\n"), start=1):  # a string may hold U+2028
        if not content.strip():
            continue
        try:
            value = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _not_an_object(path, line, schema, str(error)) from error
        if not isinstance(value, dict):
            raise _not_an_object(path, line, schema, content.strip()[:60])
        _check_columns(f"{path}, line {line}", list(value), schema)
        present = {name: _text_of(item) for name, item in value.items() if item is not None}
        rows.append(Row(path, line, present))
    return tuple(rows)


def _text_of(value: object) -> str:
    """What a JSON value would be in a CSV cell; a list or true becomes text that is no number."""
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _check_columns(where: str, names: Sequence[str], schema: Schema) -> None:
    for name in names:
        if name in schema.columns:
            continue
        if any(mark in name for mark in ";\t") and len(names) == 1:
            raise schema.fail(
                f"{where}: the columns are not separated by commas",
                f"lines such as {schema.example}",
                name,
                "save it with commas between the cells, and points in the numbers",
            )
        left = [column for column in schema.columns if column not in names]
        near = difflib.get_close_matches(name.lower(), left, n=1)
        meant = f"write `{near[0]}` if that was meant, or take" if near else "take"
        raise schema.fail(
            f"{where}: unknown column `{name}`",
            f"columns out of: {', '.join(schema.columns)}",
            ", ".join(names),
            f"{meant} the column out",
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise schema.fail(
            f"{where}: the column `{twice}` is there twice",
            "each column once",
            ", ".join(names),
            "take one of them out",
        )
    missing = [name for name in schema.required if name not in names]
    if missing:
        raise schema.fail(
            f"{where}: the column `{missing[0]}` is missing",
            f"columns {', '.join(schema.required)}",
            ", ".join(names),
            f"add it, as in {schema.example}",
        )


def _not_an_object(path: str, line: int, schema: Schema, found: str) -> TilefixError:
    return schema.fail(
        f"{path}, line {line}: not a JSON object",
        "one JSON object a line",
        found,
        "write one object a line, or a CSV file with a header",
    )
