"""What changed since a file was made: one line for each part of its identity that differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.errors import CalibrationError

_SHORT = 60  # characters of a value in an error's text


@dataclass(frozen=True, slots=True)
class Change:
    """One part of an identity, as it was and as it is."""

    what: str
    then: str
    now: str


def changes_between(then: Mapping[str, object], now: Mapping[str, object]) -> tuple[Change, ...]:
    """The parts that differ, in the order of `now`; a part that one side lacks reads "none"."""
    names = (*now, *(name for name in then if name not in now))
    return tuple(
        Change(name, str(then.get(name, "none")), str(now.get(name, "none")))
        for name in names
        if then.get(name) != now.get(name)
    )


def stale(what: str, changes: tuple[Change, ...], do: str) -> CalibrationError:
    """The error for a file of another identity; it names exactly what changed."""
    return CalibrationError(
        f"{what}: changed: {', '.join(change.what for change in changes)}",
        expected="; ".join(f"{change.what} {_brief(change.now)}" for change in changes),
        found="; ".join(f"{change.what} {_brief(change.then)}" for change in changes),
        do=do,
    )


def _brief(value: str) -> str:
    return value if len(value) <= _SHORT else value[: _SHORT - 3] + "..."
