"""One line of the report, and what the lines are found in."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class State(str, Enum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"  # works, with less
    FAILED = "failed"  # tilefix does not run like this


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    state: State
    found: str
    advice: str = ""  # in words
    commands: tuple[str, ...] = ()  # what mends it, in order, each a line of a shell

    @property
    def remedy(self) -> str:
        """Words and commands in one line."""
        return ": ".join(part for part in (self.advice, "; ".join(self.commands)) if part)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that asks: what it is, and what it sees. Nothing is imported to find out."""

    version: tuple[int, int]
    in_venv: bool
    sees_system: bool  # False: a virtual environment without the system's packages
    where: Callable[[str], str | None]  # module -> its file or folder
    version_of: Callable[[str], str | None]  # distribution -> version

    @staticmethod
    def this() -> Interpreter:
        """The running one."""
        in_venv = sys.prefix != sys.base_prefix
        return Interpreter(
            version=sys.version_info[:2],
            in_venv=in_venv,
            sees_system=not in_venv or _includes_system(Path(sys.prefix)),
            where=_where,
            version_of=distribution_version,
        )

    @property
    def name(self) -> str:
        """ "python3.10"."""
        return f"python{self.version[0]}.{self.version[1]}"


def distribution_version(name: str) -> str | None:
    """Version of an installed distribution."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def read_text(path: Path) -> str | None:
    """A small file of the system; None where it is not there or not readable."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").rstrip("\x00\n")
    except OSError:
        return None


def _where(module: str) -> str | None:
    spec = importlib.util.find_spec(module)
    if spec is None:
        return None
    return spec.origin or next(iter(spec.submodule_search_locations or ()), "")


def _includes_system(prefix: Path) -> bool:
    text = read_text(prefix / "pyvenv.cfg") or ""
    pairs = (line.partition("=") for line in text.splitlines())
    values = {key.strip().lower(): value.strip().lower() for key, _, value in pairs}
    return values.get("include-system-site-packages") == "true"
