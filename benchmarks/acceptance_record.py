"""What the acceptance on a GPU writes down: parts with their verdicts, and the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
RECORD_FILE = "gpu_acceptance.json"


class Verdict(str, Enum):
    """How a part, or all of them, ended."""

    PASSED = "passed"
    FAILED = "failed"  # a requirement was missed, or the part broke off
    SKIPPED = "skipped"


class Skip(Exception):  # noqa: N818 - not an error
    """A part cannot be measured here; its text says why."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A number, and what it must reach."""

    name: str
    value: float
    limit: float
    at_most: bool

    @property
    def met(self) -> bool:
        """False for a value that is no number."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the acceptance."""

    name: str
    verdict: Verdict
    seconds: float
    reason: str = ""  # of a skip or a failure
    values: dict[str, Any] = field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()


Work = Callable[[], tuple[dict[str, Any], list[Requirement]]]


class Trial:
    """Runs parts one after another, none after the time is up.

    Args:
        budget_s: seconds for all.
        say: takes lines for people.
        clock: seconds, of any beginning.
    """

    def __init__(
        self,
        budget_s: float,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.parts: list[Part] = []
        self._say, self._clock = say, clock
        self._end_s = clock() + budget_s

    def left_s(self) -> float:
        """Seconds until the time is up."""
        return self._end_s - self._clock()

    def run(self, name: str, needs_s: float, work: Work) -> Part:
        """Run one part, keep and return it; an exception of it fails it and stops nothing.

        Args:
            name: of the part.
            needs_s: what it may take; with less left it is skipped.
            work: returns values and requirements; raises Skip to say why not.
        """
        start = self._clock()
        if self.left_s() < needs_s:
            reason = f"{self.left_s():.0f} s were left, and it may take {needs_s:.0f} s"
            part = Part(name, Verdict.SKIPPED, 0.0, reason)
        else:
            try:
                values, requirements = work()
                missed = [
                    f"{r.name} is {r.value:.4g}, not {'<=' if r.at_most else '>='} {r.limit:.4g}"
                    for r in requirements
                    if not r.met
                ]
                verdict = Verdict.FAILED if missed else Verdict.PASSED
                took = self._clock() - start
                part = Part(name, verdict, took, "; ".join(missed), values, tuple(requirements))
            except Skip as why:
                part = Part(name, Verdict.SKIPPED, self._clock() - start, str(why))
            except Exception as error:  # whatever a part dies of, the others still run
                reason = f"{type(error).__name__}: {error}"
                part = Part(name, Verdict.FAILED, self._clock() - start, reason)
        self.parts.append(part)
        self._say(f"{part.verdict.value:8}{part.seconds:7.1f} s  {name}  {part.reason}".rstrip())
        return part

    def verdict(self) -> Verdict:
        """Failed where a part failed; passed where none did and one passed."""
        verdicts = {part.verdict for part in self.parts}
        for verdict in (Verdict.FAILED, Verdict.PASSED):
            if verdict in verdicts:
                return verdict
        return Verdict.SKIPPED


def record(trial: Trial, environment: dict[str, Any], command: str) -> dict[str, Any]:
    """All of a trial as JSON's types."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "gpu_acceptance",
        "finished_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "environment": environment,
        "verdict": trial.verdict().value,
        "parts": [asdict(part) for part in trial.parts],
    }


def write_record(values: dict[str, Any], folder: Path, name: str = RECORD_FILE) -> Path:
    """Write whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path, scratch = folder / name, folder / f".{name}.part"
    scratch.write_text(json.dumps(values, indent=1, allow_nan=True) + "\n", encoding="utf-8")
    scratch.replace(path)
    return path


def machine() -> dict[str, Any]:
    """Everything about this machine and checkout that needs no GPU."""
    root = Path(__file__).resolve().parent.parent
    return {
        "git_commit": said("git", "-C", str(root), "rev-parse", "HEAD") or "unknown",
        "git_clean": said("git", "-C", str(root), "status", "--porcelain", "-uno") == "",
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
    }


def said(*command: str) -> str | None:
    """What a command prints; None where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
