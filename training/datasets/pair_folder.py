"""Rendered samples on disk: JPEG pictures and one JSON line per sample.

    FOLDER/samples.jsonl        {"id", "source", "click_xy_px", "box_xyxy_px", "present",
                                 "expected_xy_px"} per line
    FOLDER/made_by.json         the command and the seed
    FOLDER/<id>_frame.jpg, <id>_window.jpg

Rendering is slow and training reads each sample many times, so samples are rendered once. A line is
appended only after both pictures are in place: a killed render resumes behind the last whole line,
or where the first picture is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import DataError
from edge.film import encode_image
from edge.sinks import write_whole
from training.datasets.sample import PairSample

JPEG_QUALITY = 95
LISTING = "samples.jsonl"
WHOLE = "all"  # the split of a folder that is not divided


class SampleLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of samples.jsonl."""

    id: str
    source: str
    click_xy_px: list[tuple[float, float]]
    box_xyxy_px: list[tuple[float, float, float, float]]
    present: list[bool]
    expected_xy_px: list[tuple[float, float] | None]  # None: the window shows another place


@dataclass(frozen=True, slots=True)
class PairFolder:
    """A folder of rendered samples, read one at a time."""

    path: Path
    lines: tuple[SampleLine, ...]

    @staticmethod
    def open(path: Path) -> PairFolder:
        """Read the list of samples.

        Raises:
            DataError: no such folder, or a line that breaks the format.
        """
        listing = path / LISTING
        if not listing.exists():
            raise DataError(
                f"{path} holds no rendered samples",
                expected="a file samples.jsonl, as `tilefix datasets render` writes it",
                found="no such file",
                do=f"tilefix datasets render --out {path}",
            )
        lines = listing.read_bytes().splitlines()
        return PairFolder(
            path, tuple(decode_line(line, f"{listing} line {n}") for n, line in enumerate(lines, 1))
        )

    @staticmethod
    def open_split(root: Path, split: str) -> PairFolder:
        """Read the list of ROOT/<split>, or of ROOT itself for the split "all".

        Raises:
            DataError: no such folder, or a line that breaks the format.
        """
        return PairFolder.open(root if split == WHOLE else root / split)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    def __len__(self) -> int:
        return len(self.lines)

    def read(self, index: int) -> PairSample:
        """Decode one sample."""
        line = self.lines[index]
        frame, window = _pictures(line.id)
        return PairSample(
            self._picture(frame),
            self._picture(window),
            np.array(line.click_xy_px, np.float32).reshape(-1, 2),
            np.array(line.box_xyxy_px, np.float32).reshape(-1, 4),
            np.array(line.present, bool),
            np.array([e or (np.nan, np.nan) for e in line.expected_xy_px], np.float32),
            line.source,
        )

    def _picture(self, name: str) -> NDArray[np.uint8]:
        bgr = cv2.imread(str(self.path / name), cv2.IMREAD_COLOR)
        if bgr is None:
            raise DataError(
                f"the picture {name} of {self.path} cannot be read",
                expected="a JPEG file",
                found="missing or broken",
                do="remove it, and render the folder again: it goes on from there",
            )
        return np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8)


def listing_path(root: Path, split: str) -> Path | None:
    """The list of a rendered split: ROOT/<split>/samples.jsonl; "all" is ROOT itself."""
    path = (root if split == WHOLE else root / split) / LISTING
    return path if path.is_file() else None


def rendered_splits(root: Path) -> tuple[str, ...]:
    """The splits below `root`; "all" where it is a rendered folder itself."""
    return tuple(s for s in (WHOLE, "train", "val", "test") if listing_path(root, s) is not None)


def decode_line(line: bytes, where: str) -> SampleLine:
    """One line of samples.jsonl.

    Raises:
        DataError: it breaks the format, or is no UTF-8.
    """
    try:
        return msgspec.json.decode(line, type=SampleLine)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{where} cannot be read",
            expected=f"one sample per line: {', '.join(SampleLine.__struct_fields__)}",
            found=str(error),
            do="remove the line, or render the folder again",
        ) from error


def render(
    path: Path,
    count: int,
    draw: Callable[[int], PairSample],
    *,
    made_by: dict[str, object],
    jobs: int = 1,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> PairFolder:
    """Fill a folder up to `count` samples; those before the first that is not there are kept.

    Args:
        path: the folder.
        count: samples wanted in all.
        draw: index -> sample; depends on the index alone, so a resumed run equals a whole one.
        made_by: command, seed and options, stored beside the samples.
        jobs: processes that draw; their number does not change the samples.
        progress: wraps the lines to show progress.

    Raises:
        DataError: the folder was begun by another command.
        OutputError: a picture cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    origin = path / "made_by.json"
    text = json.dumps(made_by, indent=1, sort_keys=True)
    if origin.exists() and origin.read_text() != text:
        raise DataError(
            f"{path} was begun by another command",
            expected=text,
            found=origin.read_text(),
            do="choose an empty folder",
        )
    origin.write_text(text)
    listing = path / LISTING
    done = _cut_to_what_is_there(listing)
    with listing.open("a") as stream, drawing(path, draw, jobs) as draw_all:
        for line in progress(draw_all(range(done, count))):
            stream.write(line + "\n")
            stream.flush()
    return PairFolder.open(path)


def _cut_to_what_is_there(listing: Path) -> int:
    """Shorten a list to its lines before the first that is cut or has no picture; their number."""
    data = listing.read_bytes() if listing.exists() else b""
    kept, done = 0, 0
    for line in data.splitlines(keepends=True):
        there = line.endswith(b"\n") and all(
            (listing.parent / name).is_file()
            for name in _pictures(decode_line(line, f"{listing} line {done + 1}").id)
        )
        if not there:
            break
        kept, done = kept + len(line), done + 1
    with listing.open("ab") as stream:
        stream.truncate(kept)
    return done


def _pictures(sample_id: str) -> tuple[str, str]:
    return f"{sample_id}_frame.jpg", f"{sample_id}_window.jpg"


@contextmanager
def drawing(
    path: Path, draw: Callable[[int], PairSample], jobs: int
) -> Iterator[Callable[[Iterable[int]], Iterable[str]]]:
    """A map from indices to finished lines in their order, in this process or in several."""
    if jobs == 1:
        yield lambda indices: (_finish(path, index, draw(index)) for index in indices)
        return
    cv2.setNumThreads(0)  # its threads do not survive a fork
    with get_context("fork").Pool(jobs, _remember, (path, draw)) as pool:
        yield lambda indices: pool.imap(_finish_remembered, indices)


_task: list[tuple[Path, Callable[[int], PairSample]]] = []  # of a drawing process


def _remember(path: Path, draw: Callable[[int], PairSample]) -> None:
    _task[:] = [(path, draw)]


def _finish_remembered(index: int) -> str:
    path, draw = _task[0]
    return _finish(path, index, draw(index))


def _finish(path: Path, index: int, sample: PairSample) -> str:
    """Write the pictures of a sample; its line."""
    name = f"{index:06d}"
    for file, image in zip(_pictures(name), (sample.frame, sample.window), strict=True):
        write_whole(path / file, encode_image(image, ".jpg", JPEG_QUALITY))
    line = SampleLine(
        name,
        sample.source,
        [tuple(map(float, c)) for c in sample.click_xy_px],
        [tuple(map(float, b)) for b in sample.box_xyxy_px],
        [bool(p) for p in sample.present],
        [tuple(map(float, e)) if np.isfinite(e).all() else None for e in sample.expected_xy_px],
    )
    return msgspec.json.encode(line).decode()
