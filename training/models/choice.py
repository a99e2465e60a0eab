"""Options that are one of a few names, as text in checkpoints and recipes."""

from __future__ import annotations

import difflib
from enum import Enum
from typing import TypeVar

Choice = TypeVar("Choice", bound=Enum)


def chosen(field: str, kind: type[Choice], value: str) -> Choice:
    """The member of `kind` with this value.

    Args:
        field: name of the option, for the error.
        kind: an enumeration of strings.
        value: what the option says.

    Raises:
        ValueError: no such member; names the nearest.
    """
    known = [str(member.value) for member in kind]
    if value not in known:
        near = difflib.get_close_matches(str(value), known, 1, 0)
        raise ValueError(
            f"unknown {field} {str(value)!r}; nearest: {near[0]!r}; known: {', '.join(known)}"
        )
    return kind(value)
