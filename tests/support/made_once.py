"""Dear artefacts that one run of the tests makes once, whichever of its processes needs them first.

Every worker of pytest-xdist has a session of its own; the folder above their temporary folders is
common to them, and goes when pytest removes that.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MadeOnce:
    """`once(name, make) -> folder`, filled by `make(folder)`; it is only to be read."""

    home: Path

    def __call__(self, name: str, make: Callable[[Path], object]) -> Path:
        """A process that comes while another makes it waits; what failed is tried again.

        Args:
            name: of the artefact, a file name: it says all that decides the content.
            make: fills an empty folder.
        """
        self.home.mkdir(exist_ok=True)
        folder = self.home / name
        with (self.home / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                with tempfile.TemporaryDirectory(dir=self.home) as scratch:
                    made = Path(scratch) / name
                    made.mkdir()
                    make(made)
                    made.rename(folder)
        return folder


def made_once(base: Path) -> MadeOnce:
    """For the temporary folder of one session, of a worker or of the only process."""
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return MadeOnce(shared / "made-once")
