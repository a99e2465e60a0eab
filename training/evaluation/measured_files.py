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
from edge.errors import OutputError


def where_and_when() -> dict[str, str]:
    """Command, date, machine and version: without them a number is none."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    if torch.cuda.is_available():
        machine += f", {torch.cuda.get_device_name()}"
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    command = " ".join(["tilefix", *sys.argv[1:]])
    return {"command": command, "date": now, "machine": machine, "version": __version__}


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
