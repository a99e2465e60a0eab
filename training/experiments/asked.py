"""What is asked, OUT/experiment.json: a folder holds the answers to one question alone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.errors import TilefixError, UsageError
from edge.result_folder import check_folder
from training.evaluation.measured_files import read_json, write_json
from training.trainer.option_differences import differences

FILE = "experiment.json"
SHOWN = 3  # of the differences: an epoch more is one in every variant


def refuse_another(out: Path, asked: dict[str, Any]) -> None:
    """Make sure that a folder holds answers to this question, or none.

    Raises:
        UsageError: it holds those to another one.
        OutputError: it is no folder.
        DataError: what it was begun with cannot be read.
    """
    check_folder(out)
    file = out / FILE
    if not file.exists():
        return
    begun = read_json(
        file,
        expected="the JSON that the experiment was begun with",
        do=f"give another --out; or remove {file}, if the experiment in this folder was begun with "
        "the very options given now",
    )
    found = differences(begun, json.loads(json.dumps(asked)))
    if found:
        more = [f"{len(found) - SHOWN} more"] if len(found) > SHOWN else []
        raise UsageError(
            f"{out} holds another experiment",
            expected=f"what {file} says",
            found="; ".join([*found[:SHOWN], *more]),
            do="give the same options to go on with it, or another --out",
        )


def write_asked(out: Path, asked: dict[str, Any]) -> None:
    """Write what is asked.

    Raises:
        OutputError: the folder cannot be written to.
    """
    write_json(out / FILE, asked)


@contextlib.contextmanager
def asking(out: Path, asked: dict[str, Any]) -> Iterator[None]:
    """Write what is asked, and take it back if that is refused before anything is kept.

    The corrected command would find another experiment else. A kill is no refusal.

    Raises:
        OutputError: the folder cannot be written to.
    """
    new = not (out / FILE).exists()
    write_asked(out, asked)
    try:
        yield
    except TilefixError:
        if new and [path for path in out.rglob("*") if path.is_file()] == [out / FILE]:
            (out / FILE).unlink()
        raise
