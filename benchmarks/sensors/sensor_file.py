"""One file of sysfs with one number in it, held open: a read costs microseconds, not a lookup."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

BYTES = 64  # no sensor says more


class SensorFile:
    """A number that the kernel gives anew at each read."""

    def __init__(self, path: Path, scale: float = 1.0) -> None:
        """Open it; `scale` turns the number into the unit that is wanted.

        Raises:
            OSError: it is not there, or not to be read by this user.
        """
        self.path = path
        self._scale = scale
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def read(self) -> float | None:
        """The number; None: the sensor does not answer now (switched off with what it measures)."""
        try:
            text = os.pread(self._descriptor, BYTES, 0)
        except OSError:
            return None
        try:
            return self._scale * int(text)
        except ValueError:
            return None


def open_sensor(path: Path, scale: float = 1.0) -> SensorFile | None:
    """Open a sensor; None: it is not there.

    Raises:
        PermissionError: it is there, and not for this user.
    """
    try:
        return SensorFile(path, scale)
    except PermissionError:
        raise
    except OSError:
        return None


def no_permission(error: PermissionError) -> str:
    """The reason for people: which file, and the command that gives permission until the reboot."""
    path = Path(str(error.filename))
    return f"no permission to read {path}: sudo chmod a+r {path.parent}/*"
