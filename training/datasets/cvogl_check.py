"""Every fault of a split in CVOGL's layout, without stopping at the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.errors import DataError
from training.datasets.cvogl import WINDOW_PX, CvoglFolder, CvoglLayout
from training.datasets.cvogl_masks import OBJECT_ABOVE, MaskFolder
from training.datasets.cvogl_records import CvoglRecord, read_records
from training.datasets.faults import Fault, FaultKind, box_faults, click_faults
from training.datasets.pictures import PictureCheck, look_at
from training.datasets.reports import Progress, SplitReport

POLYGON_TOLERANCE_PX = 2.0


def inspect_cvogl(
    layout: CvoglLayout, root: Path, split: str, progress: Progress = iter
) -> SplitReport:
    """Look at every record and every picture of a split.

    Args:
        layout: which data set.
        root: folder of the download.
        split: "train", "val" or "test".
        progress: wraps the record numbers to show progress.
    """
    there = split in layout.splits(root)
    try:
        path = layout.list_path(root, split)
        records, faults = read_records(path)
    except DataError as error:
        kind = FaultKind.BROKEN_LIST if there else FaultKind.MISSING_SPLIT
        return SplitReport(layout.name, split, 0, 0, (Fault.of_error(kind, error),))
    masks = None
    if layout.masks:
        try:
            masks = MaskFolder.open(layout.home(root))
        except DataError as error:
            faults.append(Fault.of_error(FaultKind.MISSING_IMAGE, error))
    published = layout.published_counts.get(split)
    if published is not None and published != len(records) + len(faults):
        expected, found = f"{published}, as published", f"{len(records) + len(faults)}"
        faults.append(Fault(FaultKind.OTHER_COUNT, path.name, expected, found))
    folder = CvoglFolder(layout, split, layout.home(root), tuple(records), masks)
    pictures = PictureCheck()
    for index in progress(range(len(folder))):
        faults += _record_faults(folder, records[index], pictures)
    return SplitReport(layout.name, split, len(records), len(records), tuple(faults))


def _record_faults(folder: CvoglFolder, record: CvoglRecord, pictures: PictureCheck) -> list[Fault]:
    where = f"{folder.name} record {record.record_id}"
    frame_wh_px, window_wh_px = folder.layout.frame_wh_px, (WINDOW_PX, WINDOW_PX)
    faults = click_faults(where, record.click_xy_px, frame_wh_px)
    faults += box_faults(where, record.box_xyxy_px, window_wh_px)
    for path, what, size_wh_px in (
        (folder.frame_path(record), "query", frame_wh_px),
        (folder.window_path(record), "satellite picture", window_wh_px),
    ):
        seen = pictures.size(path, f"{what}, {where}", size_wh_px)
        if isinstance(seen, Fault):
            faults.append(seen)
    faults += _polygon_faults(where, record)
    if folder.layout.georeferenced and folder.geometry(record) is None:
        name = "centreE_centreN_extent_EPSG.jpg"
        faults.append(Fault(FaultKind.NO_GEOREFERENCE, where, name, record.window_file))
    if folder.masks is not None:
        mask = look_at(folder.masks.mask_path(record), f"mask, {where}", window_wh_px, grey=True)
        if isinstance(mask, Fault):
            faults.append(mask)
        elif not (mask > OBJECT_ABOVE).any():
            found = f"no pixel above {OBJECT_ABOVE}"
            faults.append(Fault(FaultKind.EMPTY_MASK, where, "pixels of the object", found))
    return faults


def _polygon_faults(where: str, record: CvoglRecord) -> list[Fault]:
    """The oriented polygon's bounding box is the box."""
    corners = np.array(record.polygon_xy_px).reshape(4, 2)
    bounds = np.concatenate([corners.min(0), corners.max(0)])
    apart = float(np.abs(bounds - np.array(record.box_xyxy_px)).max())
    if apart <= POLYGON_TOLERANCE_PX:
        return []
    expected = f"a bounding box within {POLYGON_TOLERANCE_PX:g} px of the box"
    found = f"{apart:.1f} px between them"
    return [Fault(FaultKind.POLYGON_APART, where, expected, found)]
