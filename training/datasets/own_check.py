"""Every fault of data in the project's own formats: pairs files and rendered folders."""

from __future__ import annotations

from pathlib import Path

from edge.errors import DataError, TilefixError
from edge.pairs import Pairs, read_pairs
from edge.pairs_images import read_frame, read_map
from training.datasets.faults import Fault, FaultKind, box_faults, click_faults
from training.datasets.pair_folder import SampleLine, decode_line, listing_path
from training.datasets.pairs_file import pairs_files
from training.datasets.pictures import PictureCheck
from training.datasets.reports import Progress, SplitReport

PAIRS, RENDERED = "pairs", "rendered"


def inspect_pairs(root: Path, split: str, progress: Progress = iter) -> SplitReport:
    """Look at every file, map and frame of a split of pairs files.

    `edge.pairs` refuses a file at its first fault; the other files are still looked at.

    Args:
        root: as `training.datasets.pairs_file` describes it.
        split: "train", "val", "test" or "all".
        progress: wraps the file numbers to show progress.
    """
    try:
        files = pairs_files(root, split)
    except DataError as error:
        missing = Fault.of_error(FaultKind.MISSING_SPLIT, error)
        return SplitReport(PAIRS, split, 0, 0, (missing,))
    faults: list[Fault] = []
    samples = objects = 0
    for number in progress(range(len(files))):
        try:
            pairs = read_pairs(files[number])
        except TilefixError as error:
            faults.append(Fault.of_error(FaultKind.BROKEN_LIST, error))
            continue
        samples += len(pairs.frames)
        objects += sum(len(frame.clicks) for frame in pairs.frames)
        faults += _image_faults(pairs)
    return SplitReport(PAIRS, split, samples, objects, tuple(faults))


def inspect_rendered(root: Path, split: str, progress: Progress = iter) -> SplitReport:
    """Look at every line and picture of a rendered folder.

    Args:
        root: the folder, or one that holds a folder for each split.
        split: its name, or "all" for `root` itself.
        progress: wraps the line numbers to show progress.
    """
    listing = listing_path(root, split)
    if listing is None:
        expected = "samples.jsonl, as `tilefix datasets render` writes it"
        missing = Fault(FaultKind.MISSING_SPLIT, f"{root}, {split}", expected, "no such file")
        return SplitReport(RENDERED, split, 0, 0, (missing,))
    lines = listing.read_bytes().splitlines()
    faults: list[Fault] = []
    samples = objects = 0
    sizes: dict[str, tuple[int, int]] = {}  # of the first pictures, which all others share
    for index in progress(range(len(lines))):
        where = f"{listing} line {index + 1}"
        try:
            line = decode_line(lines[index], where)
        except DataError as error:
            faults.append(Fault.of_error(FaultKind.BROKEN_RECORD, error))
            continue
        samples += 1
        objects += len(line.click_xy_px)
        faults += _line_faults(listing.parent, line, where, sizes)
    return SplitReport(RENDERED, split, samples, objects, tuple(faults))


def _image_faults(pairs: Pairs) -> list[Fault]:
    faults = []
    for file, read in (
        (pairs.map.file, lambda: read_map(pairs)),
        *((f.file, lambda f=f: read_frame(pairs, f)) for f in pairs.frames),
    ):
        kind = FaultKind.MISSING_IMAGE
        try:
            pairs.locate(file)
            kind = FaultKind.REFUSED_IMAGE
            read()
        except TilefixError as error:
            faults.append(Fault.of_error(kind, error))
    return faults


def _line_faults(
    folder: Path, line: SampleLine, where: str, sizes: dict[str, tuple[int, int]]
) -> list[Fault]:
    faults: list[Fault] = []
    pictures = PictureCheck()
    for kind in ("frame", "window"):
        path = folder / f"{line.id}_{kind}.jpg"
        seen = pictures.size(path, f"{kind}, {where}", sizes.get(kind))
        if isinstance(seen, Fault):
            faults.append(seen)
        else:
            sizes.setdefault(kind, seen)
    for click in line.click_xy_px if "frame" in sizes else ():
        faults += click_faults(where, click, sizes["frame"])
    for box, present in zip(line.box_xyxy_px, line.present, strict=False):
        if present and "window" in sizes:
            faults += box_faults(where, box, sizes["window"])
    counts = {len(line.click_xy_px), len(line.box_xyxy_px), len(line.present)}
    if len(counts) > 1:
        found = f"{len(line.click_xy_px)}, {len(line.box_xyxy_px)} and {len(line.present)}"
        expected = "as many clicks, boxes and marks of presence"
        faults.append(Fault(FaultKind.BROKEN_RECORD, where, expected, found))
    return faults
