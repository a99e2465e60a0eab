"""Whether a folder or a file for results can become one."""

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


def check_file(out: Path, option: str = "--out", name: str = "report.json") -> None:
    """Refuse a file for results that cannot become one, before any work is done.

    `name` is what the advice calls a file in the folder that was given.

    Raises:
        OutputError: there is a folder of that name, or a file in its way.
    """
    if out.is_dir():
        raise OutputError(
            f"{option} {out} is a folder",
            expected="the path of a file",
            found="a folder of that name",
            do=f"write {option} {out / name}",
        )
    check_folder(out.parent, option)
