"""All data sets by name: what a recipe calls them, how they are opened, checked and recognised."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edge.errors import DataError, UsageError
from training.datasets import box_lists, cvogl
from training.datasets.box_lists import BoxListLayout, BoxLists
from training.datasets.box_lists_check import inspect_box_lists
from training.datasets.cvogl import CvoglFolder, CvoglLayout
from training.datasets.cvogl_check import inspect_cvogl
from training.datasets.cvogl_masks import MaskFolder
from training.datasets.own_check import PAIRS, RENDERED, inspect_pairs, inspect_rendered
from training.datasets.pair_folder import PairFolder, rendered_splits
from training.datasets.pairs_file import PairsSource, pairs_files, pairs_splits
from training.datasets.pictures import describe_folder
from training.datasets.reports import Progress, SplitReport
from training.datasets.sample import SampleSource

PAIRS_OPTIONS = ("gsd_m", "window_px", "frame_wh_px", "keep_absent")


@dataclass(frozen=True, slots=True)
class DatasetKind:
    """One name of the registry."""

    name: str
    about: str  # for people: what it is and where it comes from
    whole: tuple[str, ...]  # the splits of a complete download
    splits: Callable[[Path], tuple[str, ...]]  # those that are there
    detect: Callable[[Path], bool]
    open: Callable[..., SampleSource]  # (root, split, **options)
    inspect: Callable[[Path, str, Progress], SplitReport]


def open_dataset(name: str, root: Path, split: str, **options: Any) -> SampleSource:
    """Open one split of a data set.

    Args:
        name: one of `KINDS`.
        root: folder of the download.
        split: "train", "val", "test"; "all" for a single pairs file or rendered folder.
        options: only for "pairs": `gsd_m`, `window_px`, `frame_wh_px`, `keep_absent`.

    Raises:
        UsageError: an unknown name or option.
        DataError: no such folder or split, or a list that breaks its format.
    """
    kind = find_kind(name)
    if options and name != PAIRS:
        raise UsageError(
            f"the data set {name!r} takes no options",
            expected="options for 'pairs' alone: every other set has its own sizes",
            found=", ".join(options),
            do="leave them out",
        )
    return kind.open(root, split, **options)


def find_kind(name: str) -> DatasetKind:
    """The entry of a name.

    Raises:
        UsageError: there is none; the nearest is named.
    """
    if name in KINDS:
        return KINDS[name]
    near = difflib.get_close_matches(name, KINDS, n=1, cutoff=0.0)[0]
    raise UsageError(
        f"there is no data set {name!r}",
        expected=f"one of {', '.join(KINDS)}",
        found=repr(name),
        do=f"write {near!r} if that was meant",
    )


def detect(root: Path) -> list[DatasetKind]:
    """The data sets in a folder, by its layout.

    Raises:
        DataError: none is recognised.
    """
    found = [kind for kind in KINDS.values() if kind.detect(root)]
    if found:
        return found
    raise DataError(
        f"no data set is recognised in {root}",
        expected="CVOGL_DroneAerial/, CVOGL_SVI/, G2D/, CMLocation_V1/ or _V2/, panos_train.txt, "
        "samples.jsonl, or pairs files (*.json)",
        found=describe_folder(root),
        do="give the folder that the download was unpacked to, or say what it is: --name",
    )


def _cvogl_kind(layout: CvoglLayout, about: str) -> DatasetKind:
    return DatasetKind(
        layout.name,
        about,
        tuple(layout.lists),
        layout.splits,
        partial(_is_cvogl, layout),
        partial(CvoglFolder.open, layout),
        partial(inspect_cvogl, layout),
    )


def _is_cvogl(layout: CvoglLayout, root: Path) -> bool:
    try:
        home = layout.home(root)
    except DataError:
        return False
    if layout is cvogl.FEWSHOT:
        return bool(layout.splits(root))
    if layout is cvogl.G2D:
        return True
    try:
        MaskFolder.open(home)
    except DataError:
        return not layout.masks
    return layout.masks  # with masks, the one check covers both


def _box_list_kind(layout: BoxListLayout, about: str) -> DatasetKind:
    return DatasetKind(
        layout.name,
        about,
        layout.whole,
        layout.splits,
        partial(_is_box_list, layout),
        partial(BoxLists.open, layout),
        partial(inspect_box_lists, layout),
    )


def _is_box_list(layout: BoxListLayout, root: Path) -> bool:
    folders = [each.folder for each in box_lists.LAYOUTS]
    if layout.folder is not None:
        return layout.folder == root.name or (root / layout.folder).is_dir()
    return any(root.glob(f"{box_lists.FRAME_LIST}_*.txt")) and root.name not in folders


def _is_pairs(root: Path) -> bool:
    splits = pairs_splits(root)
    if not splits:
        return False
    try:
        content = json.loads(pairs_files(root, splits[0])[0].read_text())
    except (OSError, ValueError):
        return root.is_file()
    return isinstance(content, dict) and str(content.get("schema", "")).startswith("tilefix-pairs")


def _open_pairs(root: Path, split: str, **options: Any) -> SampleSource:
    unknown = sorted(options.keys() - set(PAIRS_OPTIONS))
    if unknown:
        raise UsageError(
            f"the data set {PAIRS!r} has no option {unknown[0]!r}",
            expected=", ".join(PAIRS_OPTIONS),
            found=", ".join(unknown),
            do="correct its name",
        )
    return PairsSource.open(pairs_files(root, split), split, **options)


KINDS: dict[str, DatasetKind] = {
    kind.name: kind
    for kind in (
        _cvogl_kind(cvogl.DRONE, "CVOGL, drone to satellite (DetGeo, TGRS 2023)"),
        _cvogl_kind(cvogl.SVI, "CVOGL, street view to satellite (DetGeo, TGRS 2023)"),
        _cvogl_kind(cvogl.DRONE_SEG, "CVOGL drone with the masks of CVOGL-Seg (TROGeo, ICCV 2025)"),
        _cvogl_kind(cvogl.SVI_SEG, "CVOGL street view with the masks of CVOGL-Seg (TROGeo)"),
        _cvogl_kind(cvogl.FEWSHOT, "CVOGL-fewshot, four new classes (OCGNet, JSTARS 2025)"),
        _cvogl_kind(cvogl.G2D, "G2D, ground to drone (AttenGeo); layout assumed"),
        _box_list_kind(box_lists.CMLOCATION_V1, "CMLocation V1 (MOGeo, CVPR 2026); layout assumed"),
        _box_list_kind(box_lists.CMLOCATION_V2, "CMLocation V2 (MOGeo, CVPR 2026); layout assumed"),
        _box_list_kind(box_lists.CVUSA_BOXES, "boxes on CVUSA (det_geo_2, 2024)"),
        DatasetKind(
            PAIRS,
            "pairs files of one's own, `python -m pydoc edge.pairs`",
            (),
            pairs_splits,
            _is_pairs,
            _open_pairs,
            inspect_pairs,
        ),
        DatasetKind(
            RENDERED,
            "samples of `tilefix datasets render`",
            (),
            rendered_splits,
            lambda root: bool(rendered_splits(root)),
            PairFolder.open_split,
            inspect_rendered,
        ),
    )
}
