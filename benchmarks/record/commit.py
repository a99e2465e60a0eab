"""Which commit of tilefix runs."""

from __future__ import annotations

from benchmarks.record.lines import Unknown


def read_commit() -> str | Unknown:
    """The commit of the checkout that tilefix is imported from, "+" at the end: with changes."""
    raise NotImplementedError
