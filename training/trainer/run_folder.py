"""The folder of a run: its configuration, its log, its weights, and all that a resume needs.

config.json         the recipe and what it was run with; a resume must match it
log.jsonl           one line per report
state.pt            everything at the last save: a resume goes on from there
best.safetensors    the weights of the best validation
last.safetensors    the weights of the last one
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from edge.errors import CheckpointError, OutputError, TilefixError
from training.checkpoints.safe_pickle import load_plain
from training.trainer.option_differences import differences
from training.trainer.processes import Processes

CONFIG = "config.json"
STATE_KEYS = ("step", "best", "model", "optimizer", "scaler", "average")


class RunFolder:
    """One run on disk; only the first process writes.

    Its configuration is written once, by the first start, and never again; a start that is refused
    before its first save takes it back, so that the corrected command finds no other run.

    Args:
        path: the folder.
        config: what shapes the run: JSON's plain values.
        writes: whether this is the first process; the others look at what it wrote.

    Raises:
        CheckpointError: the folder holds a run with another configuration, or one that cannot be
            read; or none is there although the first process has begun the run.
        OutputError: the folder cannot be written to.
    """

    def __init__(self, path: Path, config: dict[str, Any], *, writes: bool = True) -> None:
        self.path = path
        self.writes = writes
        self._begun = False  # by this very process
        file = path / CONFIG
        if file.exists():
            _refuse_other_options(file, config)
        elif writes:
            _begin(file, config)
            self._begun = True
        else:
            raise CheckpointError(
                f"this process does not see the run in {path}",
                expected=f"{file}, written by the first process",
                found="no such file",
                do="look for the error of the first process; on several machines, give an --out "
                "that all of them see",
            )

    @property
    def best(self) -> Path:
        """Weights of the best validation."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """Weights of the last validation."""
        return self.path / "last.safetensors"

    @contextlib.contextmanager
    def taken_back_if_refused(self) -> Iterator[None]:
        """Leave no trace of a run that this process began, and that is refused before any save.

        What a model cannot do with its first batch is known no earlier. A kill is no refusal.
        """
        try:
            yield
        except TilefixError:
            saved = (self.path / "state.pt", self.best, self.last)
            if self._begun and not any(file.exists() for file in saved):
                for name in ("log.jsonl", CONFIG):
                    (self.path / name).unlink(missing_ok=True)
            raise

    def load_state(self) -> dict[str, Any] | None:
        """What `save_state` wrote, on the CPU, or None.

        Raises:
            CheckpointError: a truncated or foreign file; nothing in it is run.
        """
        file = self.path / "state.pt"
        if not file.exists():
            return None
        try:
            state = load_plain(file, CheckpointError)
        except CheckpointError as error:
            raise _unreadable_state(file, error.found) from error
        if not isinstance(state, dict):
            raise _unreadable_state(file, f"a {type(state).__name__}")
        missing = [key for key in STATE_KEYS if key not in state]
        if missing:
            raise _unreadable_state(file, f"nothing under {', '.join(missing)}")
        return state

    def save_state(self, state: dict[str, Any]) -> None:
        """Replace the state at once."""
        if not self.writes:
            return
        torch.save(state, self.path / "state.tmp")
        (self.path / "state.tmp").replace(self.path / "state.pt")

    def log(self, line: dict[str, Any]) -> None:
        """Append one line."""
        if self.writes:
            with (self.path / "log.jsonl").open("a") as stream:
                stream.write(json.dumps(line) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """All lines of the log; a last one that was cut off by a kill is left out."""
        file = self.path / "log.jsonl"
        text = file.read_text() if file.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    def forget_from(self, step: int) -> None:
        """Drop the lines of steps that a resume will do again."""
        if not self.writes:
            return
        kept = [line for line in self.lines() if line.get("step", -1) < step]
        (self.path / "log.tmp").write_text("".join(json.dumps(line) + "\n" for line in kept))
        (self.path / "log.tmp").replace(self.path / "log.jsonl")


def open_run(path: Path, config: dict[str, Any], processes: Processes) -> RunFolder:
    """Begin or check the folder in the first process; then the others look at it.

    Raises:
        TilefixError: see `RunFolder`.
    """
    if processes.first:
        try:
            return RunFolder(path, config)
        finally:
            processes.wait()  # after an error too: the others meet it then, and do not hang
    processes.wait()
    return RunFolder(path, config, writes=False)


def _begin(file: Path, config: dict[str, Any]) -> None:
    temporary = file.with_suffix(".tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(config, indent=1))
        temporary.replace(file)
    except OSError as error:
        raise OutputError(
            f"no run can be begun in {file.parent}",
            expected="a folder that can be written to",
            found=str(error),
            do="give another --out",
        ) from error


def _refuse_other_options(file: Path, config: dict[str, Any]) -> None:
    try:
        begun = json.loads(file.read_text())
    except (OSError, ValueError) as error:  # bytes that are no text are a ValueError too
        raise CheckpointError(
            f"the configuration in {file} cannot be read",
            expected="the JSON that the run was begun with",
            found=str(error),
            do=f"give another --out; or remove {file}, if the run in this folder was begun with "
            "the very options given now",
        ) from error
    found = differences(begun, json.loads(json.dumps(config)))
    if found:
        raise CheckpointError(
            f"the run in {file.parent} was begun with other options",
            expected=f"those of {file}",
            found="; ".join(found),
            do="give the same options, or another --out",
        )


def _unreadable_state(file: Path, found: str) -> CheckpointError:
    return CheckpointError(
        f"the state in {file} cannot be read",
        expected="a file that a run of `tilefix train` wrote whole",
        found=found,
        do=f"remove {file} to start again from the first step",
    )
