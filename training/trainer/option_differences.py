"""In what the options of two runs differ, in the words that a user gives them in."""

from __future__ import annotations

import json
from typing import Any

NOTHING = "nothing"
GIVEN = "given."  # what `training.tasks.opening.describe` says: options of the command itself
RECIPE = "recipe."


def differences(there: Any, here: Any) -> list[str]:
    """One text for each value that differs, as "run.batch: 12 there, 8 here".

    Args:
        there: plain values, as `json.loads` gives them; of a run, {"recipe": ..., "given": ...}.
        here: others.
    """
    a, b = _leaves(there), _leaves(here)
    keys = [*a, *(key for key in b if key not in a)]
    return [
        f"{_in_words(key)}: {a.get(key, NOTHING)} there, {b.get(key, NOTHING)} here"
        for key in keys
        if a.get(key) != b.get(key)
    ]


def _leaves(value: Any, key: str = "") -> dict[str, str]:
    """Values by dotted keys, as JSON; a list stays whole unless it holds tables (loss terms)."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = {str(number): item for number, item in enumerate(value)}
    if not isinstance(value, dict):
        return {key: json.dumps(value)}
    found: dict[str, str] = {}
    for name, item in value.items():
        found |= _leaves(item, f"{key}.{name}" if key else name)
    return found


def _in_words(key: str) -> str:
    """`run.batch` as --set takes it; `--from-scratch` as the command does."""
    if key.startswith(GIVEN):
        return "--" + key.removeprefix(GIVEN).replace("_", "-")
    return key.removeprefix(RECIPE) or "all"
