"""Pick a representative set of frames and windows: scan, screen, choose, write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.selection.candidate import Candidate, FeatureMaker, vectors
from calibration.selection.contact_sheet import draw_sheet, sheet_bytes
from calibration.selection.coverage import balanced_blocks, choose
from calibration.selection.groups import group_keys
from calibration.selection.listing import ListedSource, list_sources
from calibration.selection.look import BLOCKS
from calibration.selection.record import (
    FRAME,
    RECORD_NAME,
    SCHEMA,
    SHEET_NAME,
    WINDOW,
    Selection,
    SelectionFolder,
    record_bytes,
)
from calibration.selection.request import SelectionRequest, checked, why
from calibration.selection.scan import scan_frames
from calibration.selection.screening import check_enough, screen
from calibration.selection.summary import (
    all_taken,
    left_out,
    sizes_told,
    steps_told,
    summaries,
)
from calibration.selection.windows import ListedMap, list_maps, scan_windows
from calibration.selection.working_folder import WorkingFolder, earlier, working
from calibration.selection.writing import numbered, write_frames, write_windows
from edge.types import Float32

# Of the network's block in squared distance; the four cheap ones have 1 each. On held-out frames
# the peaks of `calibration.selection.peaks` say more of ranges than all cheap numbers together
# (benchmarks/records/selection.md).
FEATURE_WEIGHT = 16.0


@dataclass(frozen=True, slots=True)
class SelectionProgress:
    """How far a selection is."""

    stage: str  # "frames", "windows": looked at; "choosing"; "writing"
    done: int
    total: int


Progress = Callable[[SelectionProgress], None]


def select(
    request: SelectionRequest,
    folder: Path,
    progress: Progress = lambda progress: None,
    features: FeatureMaker | None = None,
) -> SelectionFolder:
    """Choose pictures by coverage and write the selection folder.

    The same request over the same files gives the same bytes on the same machine. A run that was
    stopped goes on where it was: looked-at candidates and written pictures are kept in
    `<folder>.part` until all is whole. Memory holds about 2 kB of each candidate, and the pixels of
    some dozens of pictures at a time. A finished selection of the same request is checked and
    handed back.

    Args:
        request: sources, sizes and numbers.
        folder: to make; new, empty, or of the same request.
        progress: called after each step.
        features: a network's descriptor beside the cheap ones.

    Raises:
        UsageError: a request that cannot be meant.
        SourceError, TelemetryError, MapError: a source or map that cannot be opened.
        CalibrationError: too few pictures that can be used, with the reasons; sources that change
            meanwhile; something else in the folder.
        OutputError: no room or no permission.
    """
    request = checked(request)
    sources = list_sources(request)
    maps = list_maps(request)
    try:
        asked = _asked(request, sources, maps, features)
        identity = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        before = earlier(folder, asked, identity)
        if before is not None:
            return before
        with working(folder, asked, identity) as work:
            files = work.finished_before()
            if files is None:
                files = _make(work, request, sources, maps, progress, features)
            return work.finish({*files, RECORD_NAME, SHEET_NAME})
    finally:
        for each in maps:
            each.tiles.close()


def pick(
    usable: Sequence[Candidate], sites: Sequence[str], count: int, seed: int
) -> list[Candidate]:
    """At most `count` candidates: a share for every group, far apart in descriptors."""
    if not usable:
        return []
    points = _points(list(usable))
    return [usable[n] for n in choose(points, group_keys(usable, sites), count, seed)]


def _make(
    work: WorkingFolder,
    request: SelectionRequest,
    sources: tuple[ListedSource, ...],
    maps: tuple[ListedMap, ...],
    progress: Progress,
    features: FeatureMaker | None,
) -> set[str]:
    """All files but the record's own name; the record is written last."""
    total = sum(source.looked_at for source in sources)

    def looked(done: int) -> None:
        progress(SelectionProgress("frames", done, total))

    seen_frames = scan_frames(sources, request, work, features, looked)
    frames = screen(seen_frames, blur=True)
    reason = why(request.least_frames)
    check_enough(frames, "frames", len(seen_frames), request.least_frames, reason, request.option)
    most = sum(each.most for each in maps)
    seen_windows = scan_windows(
        maps, request, work, features, lambda n: progress(SelectionProgress("windows", n, most))
    )
    windows = screen(seen_windows, blur=False)
    reason = why(request.least_windows)
    if request.windows:
        check_enough(
            windows, "windows", len(seen_windows), request.least_windows, reason, request.option
        )

    progress(SelectionProgress("choosing", 0, 1))
    frame_sites = [source.given.site for source in sources]
    map_sites = [each.given.site for each in maps]
    chosen_frames = numbered(
        FRAME, pick(frames.usable, frame_sites, request.frames, request.seed), frame_sites
    )
    chosen_windows = numbered(
        WINDOW, pick(windows.usable, map_sites, request.windows, request.seed), map_sites
    )
    progress(SelectionProgress("choosing", 1, 1))
    both = len(chosen_frames) + len(chosen_windows)

    def written(done: int) -> None:
        progress(SelectionProgress("writing", done, both))

    write_frames(work, sources, chosen_frames, request.frame_px, written)
    write_windows(work, maps, chosen_windows, lambda n: written(n + len(chosen_frames)))
    images = tuple(image for _, image in (*chosen_frames, *chosen_windows))
    selection = Selection(
        seed=request.seed,
        frame_px=request.frame_px,
        window_px=request.window_px,
        gsd_m=request.gsd_m,
        images=images,
        left_out=left_out(frames, windows),
        sources=(
            *summaries(FRAME, sources, seen_frames, frames, [x for x, _ in chosen_frames]),
            *summaries(WINDOW, maps, seen_windows, windows, [x for x, _ in chosen_windows]),
        ),
        notes=(
            *all_taken("frames", len(chosen_frames), request.frames),
            *all_taken("windows", len(chosen_windows), request.windows),
            *sizes_told(sources, seen_frames),
            *steps_told(maps),
            *frames.notes,
        ),
        request_sha256=work.request_sha256,
    )
    work.write(SHEET_NAME, sheet_bytes(draw_sheet(selection, work.path)))
    work.write(RECORD_NAME, record_bytes(selection))
    return {image.file for image in images}


def _points(usable: list[Candidate]) -> Float32:
    """[N, D]: the cheap blocks, and the network's where there is one."""
    points = balanced_blocks(vectors(usable, "descriptor"), BLOCKS)
    if not usable[0].feature:
        return points
    feature = vectors(usable, "feature")
    scaled = balanced_blocks(feature, (feature.shape[1],))
    return np.concatenate([points, np.float32(np.sqrt(FEATURE_WEIGHT)) * scaled], axis=1)


def _asked(
    request: SelectionRequest,
    sources: tuple[ListedSource, ...],
    maps: tuple[ListedMap, ...],
    features: FeatureMaker | None,
) -> dict[str, Any]:
    """All that decides the result, by names for people."""
    return {
        "schema": SCHEMA,
        "frames of sources": [[x.given.site, x.given.path.name, x.identity] for x in sources],
        "maps": [[x.given.site, x.given.path.name, x.given.season, x.tiles.map_id] for x in maps],
        "frame size": list(request.frame_px),
        "window size": list(request.window_px),
        "metres per pixel": request.gsd_m,
        "number of frames": request.frames,
        "number of windows": request.windows,
        "seed": request.seed,
        "least and most": [
            request.least_frames,
            request.least_windows,
            request.most_frame_candidates,
            request.most_window_candidates,
        ],
        "features": features.name if features is not None else None,
    }
