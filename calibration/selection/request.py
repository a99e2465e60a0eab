"""What a selection is asked for."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from edge.errors import UsageError

FRAMES, WINDOWS = 256, 128
# With n pictures seen, the next one of the same kind exceeds the largest value so far with a chance
# of 1 in n + 1, whatever the distribution: 3 % at 32 frames, 6 % at 16 windows.
LEAST_FRAMES, LEAST_WINDOWS = 32, 16
MOST_FRAME_CANDIDATES, MOST_WINDOW_CANDIDATES = 4096, 2048

EXPORT_AGAIN = "correct the bundle's frame and window: export it again with `tilefix export`"


@dataclass(frozen=True, slots=True)
class ImageSource:
    """A picture, a folder of pictures or videos, a video, or a map.

    `season` and `altitude_m` of `telemetry` are for the balance only; what is not known is its own
    group. An empty site becomes the name of the folder, or of the file without its suffix.
    """

    path: Path
    site: str = ""
    telemetry: Path | None = None  # CSV of edge.telemetry
    season: str | None = None  # for all of the source; None: by the date of each picture


@dataclass(frozen=True, slots=True)
class SelectionRequest:
    """Everything that decides which pictures are chosen.

    Frames of any size are taken, also of several sizes in one source: each is letterboxed by itself
    to `frame_px`, exactly as it is in flight.
    """

    sources: tuple[ImageSource, ...]
    maps: tuple[ImageSource, ...]
    frame_px: tuple[int, int]  # width, height, of the bundle
    window_px: tuple[int, int]
    gsd_m: float  # of a window
    frames: int = FRAMES
    windows: int = WINDOWS  # 0 without a map: frames alone
    seed: int = 0
    least_frames: int = LEAST_FRAMES
    least_windows: int = LEAST_WINDOWS
    most_frame_candidates: int = MOST_FRAME_CANDIDATES  # that are looked at, spread over the source
    most_window_candidates: int = MOST_WINDOW_CANDIDATES
    option: str = "--frames"  # that `sources` were given with, for what errors advise


def parse_source(text: str) -> ImageSource:
    """`PATH`, or `NAME=PATH` where the site has another name than the folder.

    Raises:
        UsageError: a name without a path, or a path without its name.
    """
    name, sign, path = text.partition("=")
    if not sign or Path(text).exists():
        return ImageSource(Path(text))
    if not name or not path:
        raise UsageError(
            "a source cannot be read",
            expected="PATH or NAME=PATH, such as harbour=flights/0412",
            found=repr(text),
            do="give a name before and a path behind the equals sign",
        )
    return ImageSource(Path(path), site=name)


def checked(request: SelectionRequest) -> SelectionRequest:
    """The request with a name for every site.

    Raises:
        UsageError: no source or map, or a number that cannot be meant.
    """
    if not request.sources:
        raise _bad(
            "no frames were given", "at least one --frames PATH", "none", "give --frames FOLDER"
        )
    if not request.maps and request.windows:
        raise _bad(
            "no map was given",
            "at least one --tiles MAP: the reference encoder is calibrated on its windows",
            "none",
            "give --tiles MAP",
        )
    for name, size in (("frame", request.frame_px), ("window", request.window_px)):
        if len(size) != 2 or min(size) < 1:
            what = f"the size of a {name} cannot be used"
            raise _bad(what, "width and height in px", str(size), EXPORT_AGAIN)
    if request.window_px[0] != request.window_px[1]:
        found = f"{request.window_px[0]} x {request.window_px[1]} px"
        expected = "a square: the lattice of a map has squares"
        raise _bad("the window is not square", expected, found, EXPORT_AGAIN)
    if not (math.isfinite(request.gsd_m) and request.gsd_m > 0):
        what = "the ground sampling distance cannot be used"
        raise _bad(what, "metres per px above 0", str(request.gsd_m), EXPORT_AGAIN)
    _check_counts(request)
    return replace(
        request,
        gsd_m=float(request.gsd_m),
        sources=named(request.sources),
        maps=named(request.maps),
    )


def _check_counts(request: SelectionRequest) -> None:
    """Both numbers at once, so that one answer mends both."""
    counts = [
        ("frames", request.frames, request.least_frames, request.most_frame_candidates),
        ("windows", request.windows, request.least_windows, request.most_window_candidates),
    ]
    if not request.windows and not request.maps:
        del counts[1]  # a flight alone, to be compared with ranges that there are
    wrong = [each for each in counts if not 1 <= each[2] <= each[1] <= each[3]]
    if not wrong:
        return
    names = " and ".join(name for name, *_ in wrong)
    raise _bad(
        f"the number of {names} cannot be used",
        "; ".join(f"{least} to {most} {name}: {why(least)}" for name, _, least, most in wrong),
        ", ".join(
            f"{count} {name}" if least >= 1 else f"a least number of {least} {name}"
            for name, count, least, _ in wrong
        ),
        "give "
        + " ".join(
            f"--{name[:-1]}-count {min(max(count, least, 1), most)}"
            for name, count, least, most in wrong
        ),
    )


def why(count: int) -> str:
    """Why fewer pictures than this are not enough."""
    return (
        f"with {count} seen, the next one exceeds all of them with a chance of "
        f"{100 / (count + 1):.0f} %, with fewer a range is left to luck"
    )


def named(sources: tuple[ImageSource, ...]) -> tuple[ImageSource, ...]:
    """Sources with sites; where two folders have one name, their parents tell them apart."""
    paths = [source.path.absolute() for source in sources]
    names = [path.stem if path.is_file() else path.name for path in paths]
    twice = Counter(name for name, source in zip(names, sources, strict=True) if not source.site)
    named = []
    for source, path, name in zip(sources, paths, names, strict=True):
        site = source.site or (f"{path.parent.name}/{name}" if twice[name] > 1 else name)
        named.append(replace(source, site=site))
    return tuple(named)


def _bad(what: str, expected: str, found: str, do: str) -> UsageError:
    return UsageError(what, expected=expected, found=found, do=do)
