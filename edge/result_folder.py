"""Whether a folder for results can become one."""

from __future__ import annotations

from pathlib import Path

from edge.errors import OutputError


def check_folder(out: Path, option: str = "--out") -> None:
    """Refuse a folder for results that cannot become one, before any work is done.

    Raises:
        OutputError: there is a file of that name, or in its way.
    """
    for place in (out, *out.parents):
        if place.is_dir():
            return
        if place.exists() or place.is_symlink():
            raise OutputError(
                f"{option} {out} is no folder",
                expected="a folder, new or existing",
                found=f"{place} is there and is no folder",
                do=f"give another folder with {option}, or move that file away",
            )
