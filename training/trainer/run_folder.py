"""The folder of a run: its configuration, its log, its weights, and all that a resume needs.

config.json         the recipe and what it was run with; a resume must match it
log.jsonl           one line per report
state.pt            everything at the last save: a resume goes on from there
best.safetensors    the weights of the best validation
last.safetensors    the weights of the last one
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from edge.errors import CheckpointError


class RunFolder:
    """One run on disk; only the first process writes.

    Raises:
        CheckpointError: the folder holds a run with another configuration.
    """

    def __init__(self, path: Path, config: dict[str, Any], *, writes: bool = True) -> None:
        self.path = path
        self.writes = writes
        text = json.dumps(config, indent=1)
        file = path / "config.json"
        if file.exists() and file.read_text() != text:
            raise CheckpointError(
                f"the run in {path} was begun with other options",
                expected=file.read_text(),
                found=text,
                do="give the same options, or another --out",
            )
        if writes:
            path.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    @property
    def best(self) -> Path:
        """Weights of the best validation."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """Weights of the last validation."""
        return self.path / "last.safetensors"

    def load_state(self, device: torch.device) -> dict[str, Any] | None:
        """What `save_state` wrote, or None.

        Raises:
            CheckpointError: a truncated or foreign file.
        """
        file = self.path / "state.pt"
        if not file.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
            return {**state, "step": int(state["step"])}
        except (RuntimeError, EOFError, KeyError, ValueError, TypeError, OSError) as error:
            raise CheckpointError(
                f"the state in {file} cannot be read",
                expected="a file that a run of `tilefix train` wrote whole",
                found=str(error).splitlines()[0] if str(error) else type(error).__name__,
                do=f"remove {file} to start again from the first step",
            ) from error

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
