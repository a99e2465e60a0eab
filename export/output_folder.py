"""Folders of the user's that results go into: found out before the work whether they take any."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge.errors import OutputError
from edge.result_folder import check_folder


def check_output(folder: Path, option: str = "--out") -> None:
    """Find out whether files can be written into a folder; one that is missing is not made.

    Args:
        folder: new or existing.
        option: that names it.

    Raises:
        OutputError: it is a file, or it cannot be written.
    """
    check_folder(folder, option)
    place = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    with writing(folder, option), tempfile.TemporaryFile(dir=place):
        pass


@contextlib.contextmanager
def writing(folder: Path, option: str = "--out") -> Iterator[None]:
    """What the system refuses in here is an error of the folder's.

    Raises:
        OutputError: no permission, no room.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"nothing can be written into {folder}",
            expected=f"{option} with a folder that can be written, on a disk with room",
            found=f"{type(error).__name__}: {error.strerror or error}",
            do=f"give another folder with {option}, or make this one writable",
        ) from error
