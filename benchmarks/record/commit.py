"""Which commit of tilefix runs."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import edge
from benchmarks.record.lines import Unknown

TIMEOUT_S = 10


def read_commit(top: Path | None = None) -> str | Unknown:
    """The commit of the checkout that tilefix is imported from.

    "+" and eight digits follow where tracked files were changed: the sha256 of the changes, so
    that two runs of the same text are still known to be of the same.

    Args:
        top: folder that should be the top of a checkout; that of the running tilefix when not
            given.
    """
    folder = (top or Path(edge.__file__).parent.parent).resolve()
    found = _git(folder, "rev-parse", "--show-toplevel", "HEAD")
    where, _, commit = (found or b"").decode(errors="replace").strip().partition("\n")
    if not commit or Path(where).resolve() != folder:  # perhaps a checkout of something else
        return Unknown("not run from a checkout; the version tells the release")
    changes = _git(folder, "diff", "HEAD", "--no-ext-diff", "--binary")
    if changes is None:
        return Unknown(f"git does not tell the changes to {commit}")
    return f"{commit}+{hashlib.sha256(changes).hexdigest()[:8]}" if changes else commit


def _git(folder: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
