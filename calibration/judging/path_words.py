"""Texts without the folders of the machine they were written on: a bundle carries them away."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath, PureWindowsPath

_ABSOLUTE = re.compile(r"(?<![\w./~+-])~?/(?:[^\s/'\",;:()]+/)*([^\s/'\",;:()]+)/?")
_START = re.compile(r"^(?:~?/|~\w+/|[A-Za-z]:[\\/])")


def last_parts(text: str) -> str:
    """The text with every absolute path in it shortened to its last part.

    A path ends at a space, so of one with spaces in it only the front is shortened.

    >>> last_parts("no plugin in /home/me/flights/plugin: build one, 1/2 done")
    'no plugin in plugin: build one, 1/2 done'
    """
    return _ABSOLUTE.sub(r"\1", text)


def without_folders(command: str) -> str:
    """A command whose absolute paths are shortened to their last parts; relative ones stay.

    >>> without_folders("tilefix calibrate --frames=site=/data/flights/0412 '/a b/m.mbtiles' x/y")
    'tilefix calibrate --frames=site=0412 m.mbtiles x/y'
    """
    words = shlex.split(command)
    return shlex.join("=".join(_last(part) for part in word.split("=")) for word in words)


def _last(part: str) -> str:
    if not _START.match(part):
        return part
    path = PureWindowsPath(part) if "\\" in part else PurePosixPath(part)
    return path.name or part
