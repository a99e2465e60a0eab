"""Every fault of a split of paired box lists, without stopping at the first."""

from __future__ import annotations

from pathlib import Path

from edge.errors import DataError
from training.datasets.box_lists import BoxListLayout, BoxLists, BoxPair, read_lists
from training.datasets.faults import Fault, FaultKind, box_faults
from training.datasets.pictures import PictureCheck
from training.datasets.reports import Progress, SplitReport


def inspect_box_lists(
    layout: BoxListLayout, root: Path, split: str, progress: Progress = iter
) -> SplitReport:
    """Look at every line and every picture of a split.

    Args:
        layout: which data set.
        root: folder of the download.
        split: "train", "val" or "test".
        progress: wraps the line numbers to show progress.
    """
    there = split in layout.splits(root)
    try:
        home = layout.home(root)
        pairs, faults = read_lists(home, split)
    except DataError as error:
        kind = FaultKind.BROKEN_LIST if there else FaultKind.MISSING_SPLIT
        return SplitReport(layout.name, split, 0, 0, (Fault.of_error(kind, error),))
    lists = BoxLists(layout, split, home, tuple(pairs), ())
    pictures = PictureCheck()
    for index in progress(range(len(pairs))):
        faults += _pair_faults(lists, pairs[index], pictures)
    objects = sum(len(pair.frame_boxes) for pair in pairs)
    return SplitReport(layout.name, split, len(pairs), objects, tuple(faults))


def _pair_faults(lists: BoxLists, pair: BoxPair, pictures: PictureCheck) -> list[Fault]:
    faults: list[Fault] = []
    layout = lists.layout
    for side, file, size_wh_px, boxes in (
        ("panorama", pair.frame_file, layout.frame_file_wh_px, pair.frame_boxes),
        ("satellite picture", pair.window_file, layout.window_file_wh_px, pair.window_boxes),
    ):
        where = f"{lists.name} line {pair.line}"
        seen = pictures.size(lists.locate(file), f"{side}, {where}", size_wh_px)
        if isinstance(seen, Fault):
            faults.append(seen)
            continue  # without its size, nothing is known of its boxes
        for number, box in enumerate(boxes, start=1):
            faults += box_faults(f"{where} {side} box {number}", box, seen)
    return faults
