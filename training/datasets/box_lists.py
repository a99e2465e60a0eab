"""Paired box lists: every object of a panorama boxed, and boxed again in a satellite picture.

The format of LV-BO001/det_geo_2 (2024), the public precursor of MOGeo, with boxes on CVUSA:

    panos_train.txt, panos_val.txt      one picture a line: its path, then boxes "x1,y1,x2,y2"
    sat_train.txt, sat_val.txt          line i belongs to line i of the other file

    data/dataset/panos/0000060.jpg 630,113,771,154 195,118,351,163
    data/dataset/sat/0000060.jpg 298,275,377,341 120,402,255,530

Boxes are whole pixels of the pictures as stored (CVUSA: panoramas 1232 x 224, satellite pictures
750 x 750), and the k-th boxes of both lines are one object. Where the counts differ nobody knows
which is which: the published lists have 22 such lines of 11,485, which are left out and counted.
Paths are those of the authors' machine: the longest end of a path that exists below the folder of
the lists is taken.

The published loader brings panoramas to 512 x 256 and satellite pictures to 1024 x 1024, boxes with
them, and so does this one. There are no clicks in the files: a click is the centre of its panorama
box, an assumption of ours.

CMLocation V1 and V2 (MOGeo, CVPR 2026, arXiv 2603.13843) are not public yet. They are read as this
format, in a folder `CMLocation_V1` or `CMLocation_V2`, with pictures of any size and a third pair
of lists, `panos_test.txt` and `sat_test.txt`, since the paper reports test results: assumptions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import DataError
from training.datasets.faults import Fault, FaultKind
from training.datasets.pictures import describe_folder, read_picture
from training.datasets.sample import PairSample, unknown_places

SPLITS = ("train", "val", "test")
FRAME_LIST, WINDOW_LIST = "panos", "sat"
LINE = "a path without blanks, then boxes x1,y1,x2,y2"
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class BoxListLayout:
    """One of the data sets of this format."""

    name: str
    folder: str | None  # None: the lists lie in the root itself
    frame_file_wh_px: tuple[int, int] | None  # of the stored pictures; None: any
    window_file_wh_px: tuple[int, int] | None
    whole: tuple[str, ...] = SPLITS  # the splits of a complete download
    frame_wh_px: tuple[int, int] = (512, 256)  # of the samples
    window_px: int = 1024

    def home(self, root: Path) -> Path:
        """Where the lists are.

        Raises:
            DataError: there is no such folder.
        """
        if self.folder is not None and (root / self.folder).is_dir():
            return root / self.folder
        if root.is_dir() and (self.folder is None or any(root.glob(f"{FRAME_LIST}_*.txt"))):
            return root
        raise DataError(
            f"{root} does not hold {self.name}",
            expected=f"{FRAME_LIST}_train.txt, there or in a folder {self.folder}",
            found=describe_folder(root),
            do="give the folder of the lists",
        )

    def splits(self, root: Path) -> tuple[str, ...]:
        """The splits that have both lists below `root`."""
        try:
            home = self.home(root)
        except DataError:
            return ()
        return tuple(s for s in SPLITS if all(path.is_file() for path in list_paths(home, s)))


CVUSA_BOXES = BoxListLayout("cvusa_boxes", None, (1232, 224), (750, 750), ("train", "val"))
CMLOCATION_V1 = BoxListLayout("cmlocation_v1", "CMLocation_V1", None, None)
CMLOCATION_V2 = BoxListLayout("cmlocation_v2", "CMLocation_V2", None, None)
LAYOUTS = (CMLOCATION_V1, CMLOCATION_V2, CVUSA_BOXES)


@dataclass(frozen=True, slots=True)
class BoxPair:
    """A panorama and a satellite picture with N objects; boxes in pixels of the stored pictures."""

    line: int  # from 1
    frame_file: str
    window_file: str
    frame_boxes: tuple[Box, ...]
    window_boxes: tuple[Box, ...]


def list_paths(home: Path, split: str) -> tuple[Path, Path]:
    """The two lists of a split."""
    return home / f"{FRAME_LIST}_{split}.txt", home / f"{WINDOW_LIST}_{split}.txt"


def read_lists(home: Path, split: str) -> tuple[list[BoxPair], list[Fault]]:
    """All usable pairs of a split, and what is wrong with the other lines.

    Lines whose counts of boxes differ are among the faults, as notes.

    Raises:
        DataError: a list is missing, is not text, or has more lines than the other.
    """
    paths = list_paths(home, split)
    sides = [_lines(path, home, split) for path in paths]
    if len(sides[0]) != len(sides[1]):
        counts = " and ".join(f"{len(s)} lines" for s in sides)
        names = f"{paths[0]} and {paths[1].name}"
        raise Fault(FaultKind.BROKEN_LIST, names, "as many lines in both", counts).as_error()
    pairs, faults = [], []
    for number, texts in enumerate(zip(*sides, strict=True), start=1):
        if not any(text.strip() for text in texts):
            continue
        where = f"{paths[0].name} and {paths[1].name} line {number}"
        try:
            (frame, frame_boxes), (window, window_boxes) = (_parse(text) for text in texts)
        except ValueError as error:
            faults.append(Fault(FaultKind.BROKEN_RECORD, where, LINE, str(error)))
            continue
        if len(frame_boxes) != len(window_boxes) or not frame_boxes:
            found = f"{len(frame_boxes)} and {len(window_boxes)}; the line is left out"
            expected = "as many boxes on both sides, at least one"
            faults.append(Fault(FaultKind.UNEQUAL_COUNTS, where, expected, found))
            continue
        pairs.append(BoxPair(number, frame, window, frame_boxes, window_boxes))
    return pairs, faults


@dataclass(frozen=True, slots=True)
class BoxLists:
    """One split, read one pair of pictures at a time."""

    layout: BoxListLayout
    split: str
    home: Path
    pairs: tuple[BoxPair, ...]
    skipped: tuple[Fault, ...]  # lines with unequal counts

    @staticmethod
    def open(layout: BoxListLayout, root: Path, split: str) -> BoxLists:
        """Read the lists of a split; pictures are opened when they are asked for.

        Raises:
            DataError: no such folder or split, or a line that breaks the format.
        """
        home = layout.home(root)
        pairs, faults = read_lists(home, split)
        for fault in faults:
            if not fault.is_note:
                raise fault.as_error()
        return BoxLists(layout, split, home, tuple(pairs), tuple(faults))

    @property
    def name(self) -> str:
        """Data set and split."""
        return f"{self.layout.name}/{self.split}"

    def __len__(self) -> int:
        return len(self.pairs)

    def locate(self, file: str) -> Path:
        """Where a picture is: the longest end of its path that exists below the lists' folder."""
        parts = [part for part in PurePosixPath(file).parts if part not in ("/", "..")]
        ends = [self.home.joinpath(*parts[start:]) for start in range(len(parts))]
        return next((end for end in ends if end.is_file()), ends[0])

    def read(self, index: int) -> PairSample:
        """Decode one sample with as many clicks as objects.

        Raises:
            DataError: a picture that is missing, broken or of another size.
        """
        pair, layout = self.pairs[index], self.layout
        what = f"{self.name} line {pair.line}"
        side = (layout.window_px, layout.window_px)
        frame = read_picture(self.locate(pair.frame_file), what, layout.frame_file_wh_px)
        window = read_picture(self.locate(pair.window_file), what, layout.window_file_wh_px)
        frame_boxes = _scaled(pair.frame_boxes, frame, layout.frame_wh_px)
        count = len(frame_boxes)
        return PairSample(
            frame=_resized(frame, layout.frame_wh_px),
            window=_resized(window, side),
            click_xy_px=(frame_boxes[:, :2] + frame_boxes[:, 2:]) / 2,
            box_xyxy_px=_scaled(pair.window_boxes, window, side),
            present=np.ones(count, bool),
            expected_xy_px=unknown_places(count),
            source=f"{layout.name}/{PurePosixPath(pair.window_file).stem}",
        )


def _lines(path: Path, home: Path, split: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        where, found = str(path), f"bytes that are no text ({error.reason})"
        raise Fault(FaultKind.BROKEN_LIST, where, f"lines of {LINE}", found).as_error() from error
    except OSError as error:
        there = sorted(p.name for p in home.glob("*.txt"))
        raise DataError(
            f"{home} has no split {split!r}",
            expected=" and ".join(p.name for p in list_paths(home, split)),
            found=", ".join(there) or "no list",
            do="name another split, or complete the download",
        ) from error


def _parse(text: str) -> tuple[str, tuple[Box, ...]]:
    """Path and boxes of a line."""
    file, *words = text.split() or [""]
    if not file or "," in file:
        raise ValueError(f"no path in {text.strip()[:80]!r}")
    boxes = []
    for word in words:
        try:
            x1, y1, x2, y2 = map(float, word.split(","))
            if not all(map(math.isfinite, (x1, y1, x2, y2))):
                raise ValueError("a side that is no number")
        except ValueError as error:
            raise ValueError(f"{word[:40]!r} in the line of {file}") from error
        boxes.append((x1, y1, x2, y2))
    return file, tuple(boxes)


def _scaled(
    boxes: tuple[Box, ...], stored: NDArray[np.uint8], size_wh_px: tuple[int, int]
) -> NDArray[np.float32]:
    """Boxes of the stored picture in pixels of the sample's. -> [N, 4]."""
    factor = np.array(size_wh_px) / np.array([stored.shape[1], stored.shape[0]])
    return (np.array(boxes, np.float64) * np.tile(factor, 2)).astype(np.float32)


def _resized(image: NDArray[np.uint8], size_wh_px: tuple[int, int]) -> NDArray[np.uint8]:
    if (image.shape[1], image.shape[0]) == size_wh_px:
        return image
    shrinks = size_wh_px[0] < image.shape[1] or size_wh_px[1] < image.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size_wh_px, interpolation=how), np.uint8)
