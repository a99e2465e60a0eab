"""Pairs files (`edge.pairs` documents the format) as samples to fine-tune on.

    ROOT/train.json, ROOT/val.json        one file, one site, for each split; or
    ROOT/train/*.json, ROOT/val/*.json    several sites for each
    ROOT/*.json, or ROOT a single file    the split "all"

Sites are never divided: a split is made of whole files. The map is cut as `tilefix evaluate` cuts
it: resampled to the given ground sampling distance, padded, and cut by the lattice where it is
larger than a window. Every frame is paired with every window, without regard to what is in it. A
click whose object lies mostly outside a window is absent there; one whose object is cut in two by
the window's edge is left out of that sample, as it is neither.

Frames are letterboxed to the model's size as the runtime does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.errors import DataError
from edge.letterbox import apply_affine, letterbox
from edge.pairs import Pairs, PairsClick, read_pairs
from edge.pairs_images import MapWindow, read_frame, read_map, window_for
from training.datasets.pictures import describe_folder
from training.datasets.sample import PairSample, unknown_places

WHOLE = "all"  # the split of files that no split is named for
PRESENT_SHARE = 0.6  # of a box inside the window; less and it is cut in two
ABSENT_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class PairsSite:
    """One pairs file and the windows of its map."""

    pairs: Pairs
    windows: tuple[MapWindow, ...]


@dataclass(frozen=True, slots=True)
class PairsView:
    """One frame in one window, and which of its clicks count there."""

    site: PairsSite
    frame: int
    window: int
    clicks: tuple[tuple[PairsClick, bool], ...]  # with whether the window shows the object


@dataclass(frozen=True, slots=True)
class PairsSource:
    """All frames of some pairs files in all windows of their maps."""

    split: str
    views: tuple[PairsView, ...]
    frame_wh_px: tuple[int, int]

    @staticmethod
    def open(
        files: Sequence[Path],
        split: str = WHOLE,
        *,
        gsd_m: float = 0.25,
        window_px: int = 1024,
        frame_wh_px: tuple[int, int] = (512, 512),
        keep_absent: bool = True,
    ) -> PairsSource:
        """Read the files and cut their maps; frames are opened when they are asked for.

        Args:
            files: the JSON files.
            split: what to call them.
            gsd_m: ground size of a window pixel.
            window_px: side of the windows.
            frame_wh_px: width and height that frames are letterboxed to.
            keep_absent: keep clicks on what a window does not show; the published models cannot
                say "not here" and need them gone. Views without a click are left out.

        Raises:
            PairsError: a file or map that is missing or breaks the format.
            DataError: no click is left.
        """
        views = []
        for path in files:
            pairs = read_pairs(path)
            site = PairsSite(pairs, tuple(window_for(read_map(pairs), gsd_m, window_px)))
            for frame in range(len(pairs.frames)):
                for window in range(len(site.windows)):
                    clicks = _clicks(site, frame, window, window_px, keep_absent)
                    if clicks:
                        views.append(PairsView(site, frame, window, clicks))
        if not views:
            raise DataError(
                "no click can be trained on",
                expected="a click on an object that lies in a window of its map",
                found=f"none in {', '.join(str(path) for path in files) or 'no file'}",
                do="label objects of the map, or keep clicks on what is absent",
            )
        return PairsSource(split, tuple(views), frame_wh_px)

    @property
    def name(self) -> str:
        """Format and split."""
        return f"pairs/{self.split}"

    def __len__(self) -> int:
        return len(self.views)

    def read(self, index: int) -> PairSample:
        """Decode one sample.

        Raises:
            PairsError: a frame that is missing, cannot be read, or is of another shape.
        """
        view = self.views[index]
        pairs = view.site.pairs
        window = view.site.windows[view.window]
        stated = pairs.frames[view.frame]
        fitted = letterbox(read_frame(pairs, stated, view.frame).image, *self.frame_wh_px)
        xy = np.array([(click.x_px, click.y_px) for click, _ in view.clicks], np.float64)
        boxes = np.zeros((len(view.clicks), 4), np.float32)
        names = []
        side = window.window.image.shape[0]
        for k, (click, present) in enumerate(view.clicks):
            known = pairs.objects.get(click.object_id) if click.object_id is not None else None
            names.append(known.object_class if known else "")
            if known and present:
                boxes[k] = np.clip(window.box_to_window(known.box_xyxy_px), 0, side)
        return PairSample(
            frame=np.asarray(fitted.image),
            window=window.window.image,
            click_xy_px=apply_affine(fitted.affine, xy).astype(np.float32),
            box_xyxy_px=boxes,
            present=np.array([present for _, present in view.clicks]),
            expected_xy_px=unknown_places(len(view.clicks)),
            source=f"pairs/{pairs.name}",
            class_names=tuple(names),
            geometry=window.window.geometry,
        )


def pairs_files(root: Path, split: str) -> list[Path]:
    """The files of a split below `root`, as the module's text says.

    Raises:
        DataError: there are none.
    """
    if root.is_file() and split == WHOLE:
        return [root]
    single = root / f"{split}.json"
    folder = root if split == WHOLE else root / split
    found = [single] if single.is_file() else sorted(folder.glob("*.json"))
    if not found:
        expected = f"{folder}/*.json" if split == WHOLE else f"{single} or {folder}/*.json"
        raise DataError(
            f"{root} has no split {split!r}",
            expected=expected,
            found="one file, which is the split 'all'" if root.is_file() else describe_folder(root),
            do="put the pairs files of that split there: whole sites, never single frames",
        )
    return found


def pairs_splits(root: Path) -> tuple[str, ...]:
    """The splits below `root`."""
    named = ("train", "val", "test")
    there = tuple(
        s for s in named if (root / f"{s}.json").is_file() or any((root / s).glob("*.json"))
    )
    whole = root.suffix == ".json" if root.is_file() else any(root.glob("*.json"))
    return there or ((WHOLE,) if whole else ())


def _clicks(
    site: PairsSite, frame: int, window: int, window_px: int, keep_absent: bool
) -> tuple[tuple[PairsClick, bool], ...]:
    kept = []
    for click in site.pairs.frames[frame].clicks:
        share = 0.0
        if click.object_id is not None:
            box = site.pairs.objects[click.object_id].box_xyxy_px
            share = _share_inside(site.windows[window].box_to_window(box), window_px)
        if share >= PRESENT_SHARE:
            kept.append((click, True))
        elif share <= ABSENT_SHARE and keep_absent:
            kept.append((click, False))
    return tuple(kept)


def _share_inside(box_xyxy_px: tuple[float, float, float, float], side_px: int) -> float:
    x1, y1, x2, y2 = box_xyxy_px
    wide = max(0.0, min(x2, side_px) - max(x1, 0.0))
    high = max(0.0, min(y2, side_px) - max(y1, 0.0))
    return wide * high / ((x2 - x1) * (y2 - y1))
