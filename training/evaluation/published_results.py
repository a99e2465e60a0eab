"""The rows of the papers' tables, for printing beside ours; the data are `published_results.toml`.

A row of a paper is marked "paper", one of ours "measured here": nobody should take the first for
what this program does, nor the second for what the paper claims.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import msgspec
from rich.markup import escape
from rich.table import Table

from edge.scoring import Scores

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).parent / "published_results.toml"
PAPER, MEASURED = "paper", "measured here"
# What a row states -> the key of `training.evaluation.metrics`
CELLS = {
    "acc_25": "acc@0.25",
    "acc_50": "acc@0.5",
    "acc_i_25": "accI@0.25",
    "acc_i_50": "accI@0.5",
}


class PublishedRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row; percents, None where the source does not say."""

    model: str
    set: str
    source: str
    variant: str = ""  # of an ablation
    split: str = "test"
    acc_25: float | None = None
    acc_50: float | None = None
    acc_i_25: float | None = None
    acc_i_50: float | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    row: tuple[PublishedRow, ...]


@lru_cache(maxsize=1)
def published_rows() -> tuple[PublishedRow, ...]:
    """All rows that are known."""
    return msgspec.convert(tomllib.loads(FILE.read_text()), _File).row


def rows_of(set_name: str, split: str = "test", *, ablations: bool = False) -> list[PublishedRow]:
    """Rows of one data set and split, in the file's order; ablations only if asked for.

    A set with masks (`cvogl_drone_seg`) has the pairs, and so the rows, of that without.
    """
    plain = set_name.removesuffix("_seg")
    return [
        row
        for row in published_rows()
        if row.set == plain and row.split == split and (ablations or not row.variant)
    ]


def table_beside(
    title: str, published: Sequence[PublishedRow], measured: Sequence[tuple[str, Scores]]
) -> Table:
    """One table of both: papers first, then ours with their 95 % intervals.

    Args:
        title: above the table.
        published: rows of the papers.
        measured: (what was measured, its scores).
    """
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    table.add_column("from", no_wrap=True)
    for key in CELLS.values():
        table.add_column(key, justify="right", no_wrap=True)
    table.add_column("source")
    for row in published:
        name = f"{row.model}, {row.variant}" if row.variant else row.model
        cells = [_percent(getattr(row, field)) for field in CELLS]
        table.add_row(name, PAPER, *cells, row.source)
    for name, scores in measured:
        cells = [interval(scores, key) for key in CELLS.values()]
        table.add_row(escape(name), MEASURED, *cells, "")
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def interval(scores: Scores, key: str, factor: float = 100.0, digits: int = 2) -> str:
    """A score times a factor, and its 95 % interval; "-" where it is not defined."""
    value, low, high = (scores.get(f"{key}{end}") for end in ("", "_lo", "_hi"))
    if value is None:
        return "-"
    ends = "" if low is None or high is None else f" ({factor * low:.1f}..{factor * high:.1f})"
    return f"{factor * value:.{digits}f}{ends}"
