"""Files of what was measured: JSON, written whole, with what makes a number one."""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from edge import __version__
from edge.errors import DataError, OutputError
from edge.scoring import Scores


def where_and_when() -> dict[str, str]:
    """Command, date, machine and version: without them a number is none."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    if torch.cuda.is_available():
        machine += f", {torch.cuda.get_device_name()}"
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    command = " ".join(["tilefix", *sys.argv[1:]])
    return {"command": command, "date": now, "machine": machine, "version": __version__}


def read_json(path: Path, *, expected: str, do: str) -> dict[str, Any]:
    """What `write_json` wrote.

    Args:
        path: of the file.
        expected: what it should hold, for the error.
        do: what helps where it does not, for the error.

    Raises:
        DataError: it cannot be read, is no JSON, or holds no table; with the given words.
    """
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:  # bytes that are no text are a ValueError too
        raise DataError(
            f"{path} cannot be read", expected=expected, found=str(error), do=do
        ) from error
    if not isinstance(values, dict):
        raise DataError(
            f"{path} cannot be read", expected=expected, found=f"a {type(values).__name__}", do=do
        )
    return values


def read_scores(path: Path) -> Scores:
    """Scores that were measured earlier.

    Raises:
        DataError: the file is damaged.
    """
    expected, do = "scores as JSON, with n_objects", "remove it: the same command measures it again"
    scores: Scores = read_json(path, expected=expected, do=do)
    if "n_objects" not in scores:
        raise DataError(f"{path} holds no scores", expected=expected, found="no n_objects", do=do)
    return scores


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write values at once, under the name only when whole.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n")
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written",
            expected="a folder that can be written to",
            found=str(error),
            do="give another path",
        ) from error
