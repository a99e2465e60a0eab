"""What a selection was asked for, kept beside it, so that another request is told what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REQUEST_NAME = "request.json"
EARLIER_FORM = (
    "a selection of another request, made by an earlier version of tilefix, which did not write "
    f"down ({REQUEST_NAME}) what was asked for"
)
_SOURCES = ("frames of sources", "maps")  # lists of [site, name, ..., identity]
_SHOWN = 16  # hexadecimal digits
_WORDS = {
    "features": "model",
    "frame size": "frame size in px",
    "window size": "window size in px",
    "least and most": "least frames, least windows, most candidates of each",
}


def request_bytes(request: Mapping[str, Any], request_sha256: str) -> bytes:
    """The bytes of request.json."""
    return (json.dumps({"request_sha256": request_sha256, **request}, indent=1) + "\n").encode()


def read_request(folder: Path) -> dict[str, Any] | None:
    """What the selection in a folder was asked for; None: that is not there, or makes no sense."""
    try:
        found = json.loads((folder / REQUEST_NAME).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What differs between two requests, for people: "seed: wanted 1, found 0; ..."."""
    same_form: Mapping[str, Any] = json.loads(json.dumps(wanted))  # tuples become lists
    told = [
        f"{_WORDS.get(name, name)}: {_told(name, value, found.get(name))}"
        for name, value in same_form.items()
        if found.get(name) != value
    ]
    return "; ".join(told) or "what a request of another version of tilefix asks for"


def _told(name: str, wanted: Any, found: Any) -> str:
    if name in _SOURCES and isinstance(found, list):
        if [each[:2] for each in wanted] == [each[:2] for each in found]:
            pairs = zip(wanted, found, strict=True)
            changed = [each for each, other in pairs if each != other]
            return f"other files, season or telemetry of {_sources(changed)}"
        wanted, found = _sources(wanted), _sources(found)
    elif name == "features":
        wanted, found = _model(wanted), _model(found)
    return f"wanted {_plain(wanted)}, found {_plain(found)}"


def _sources(listed: list[list[Any]]) -> str:
    return " and ".join(
        site if site == Path(name).stem else f"{site}={name}" for site, name, *_ in listed
    )


def _model(features: Any) -> str:
    """`peaks of <sha256>` of its localizer's graph, short enough to be compared by eye."""
    if features is None:
        return "none whose convolutions see the frame alone"
    kind, _, sha256 = str(features).rpartition(" of ")
    return f"{kind} of {sha256[:_SHOWN]}" if kind else str(features)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " x ".join(map(str, value)) if len(value) == 2 else ", ".join(map(str, value))
    return "nothing" if value in (None, "") else str(value)
