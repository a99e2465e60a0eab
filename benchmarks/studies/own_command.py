"""The command line of a study, as its record states it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def own_command(module: str, arguments: Sequence[str] | None = None) -> str:
    """How to run a study again; of absolute paths, which are one machine's, the last part.

    Args:
        module: `benchmarks.studies.NAME`.
        arguments: default: those of this process.

    >>> own_command("benchmarks.studies.entropy", ["--selection", "/home/me/int8.work/selection"])
    'python -m benchmarks.studies.entropy --selection selection'
    """
    given = sys.argv[1:] if arguments is None else arguments
    short = [Path(each).name if Path(each).is_absolute() else each for each in given]
    return shlex.join(["python", "-m", module, *short])
