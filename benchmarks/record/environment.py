"""The machine of a run, read from files; what it does not say is unknown, with the reason."""

from __future__ import annotations

from pathlib import Path

from benchmarks.record.lines import Environment

ROOT = Path("/")


def read_environment(root: Path = ROOT) -> Environment:
    """Board, processor, GPU, libraries, power mode, clocks and temperatures as they are now."""
    raise NotImplementedError
