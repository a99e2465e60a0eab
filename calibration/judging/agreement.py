"""Agreement with float32 where nothing is labelled: the selection's own frames in its windows.

A selection does not say which window shows a frame, so every frame is located in a few windows
drawn for it. In most of them it is not to be found; there the best of many equal places wins, and
boxes jump at the least change. Such an agreement is a lower bound of the one at true places, and
the verdicts, which refuse these, tell more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from calibration.judging.line_file import LineFile
from calibration.judging.locating import PLAIN, Answer, answers_id, as_stored
from calibration.judging.priors import Progress
from calibration.judging.record import AgreementScore
from calibration.judging.scores import CLOSE_IOU, acceptance_of
from calibration.ranges.inputs import seeded_clicks
from calibration.selection.record import ChosenImage, SelectionFolder
from edge.acceptance import AcceptanceModel
from edge.bundle import Bundle
from edge.localizer import Localizer
from edge.scoring import iou
from edge.types import Float32, ReferenceWindow

WINDOWS = 16  # that frames are located in: each is encoded once per candidate
PER_FRAME = 2  # windows of each frame
MOST_FRAMES = 64


class FrameAnswers(msgspec.Struct, frozen=True):
    """Answers of one frame in one window."""

    key: str
    answer: Answer


def selection_answers(
    bundle: Bundle,
    precision: str,
    folder: SelectionFolder,
    work: Path,
    progress: Progress | None = None,
    stored: str = PLAIN,
) -> dict[str, Answer]:
    """Answers on four seeded clicks of frames in windows, by names of both.

    `stored`: how a feature store holds the features in between, "float16" or "int8".

    Raises:
        CalibrationError, OutputError, ExecutorError: a picture, the disk or a graph.
    """
    digest = hashlib.sha256(folder.selection.digest().encode()).hexdigest()[:16]
    name = f"selection-{answers_id(bundle, precision, stored)}-{digest}.jsonl"
    lines = LineFile(work / name, FrameAnswers)
    todo = meetings(folder)
    localizer: Localizer | None = None
    found = {}
    done = 0
    for window, frames in todo:
        feature = None
        for frame in frames:
            key = f"{frame.file} in {window.file}"
            line = lines.get(key)
            if line is None:
                localizer = localizer or Localizer.open(bundle, precision=precision, threads=1)
                if feature is None:
                    pixels = folder.read(window)
                    valid = np.ones(pixels.shape[:2], bool)
                    seen = ReferenceWindow(pixels, valid, None, window.file, "selection")
                    feature = as_stored(localizer.encode(seen), bundle, stored)
                clicks = fitted_clicks(frame, folder.selection.frame_px)
                answer = Answer.of(localizer.locate(folder.read(frame), clicks, feature))
                line = FrameAnswers(key, answer)
                lines.add(line)
            found[key] = line.answer
            done += 1
            if progress:
                progress(f"selection in {precision}", done, sum(len(f) for _, f in todo))
    return found


def meetings(folder: SelectionFolder) -> list[tuple[ChosenImage, list[ChosenImage]]]:
    """Windows, each with the frames that are located in it; seeded by the pictures."""
    if not folder.windows or not folder.frames:
        return []
    draw = np.random.default_rng(int(folder.selection.digest()[:16], 16))
    count = min(WINDOWS, len(folder.windows))
    windows = sorted(draw.choice(len(folder.windows), count, replace=False).tolist())
    frames = draw.permutation(len(folder.frames))[:MOST_FRAMES].tolist()
    met: dict[int, list[ChosenImage]] = {index: [] for index in windows}
    for frame in frames:
        for at in draw.choice(count, min(PER_FRAME, count), replace=False).tolist():
            met[windows[at]].append(folder.frames[frame])
    return [(folder.windows[index], found) for index, found in met.items() if found]


def fitted_clicks(image: ChosenImage, frame_px: tuple[int, int]) -> Float32:
    """The seeded clicks of a frame in pixels of the selected picture, float32 [4, 2]."""
    affine = np.array(image.frame_affine, np.float32).reshape(2, 3)
    clicks = seeded_clicks(image, frame_px, seed=0)
    return (clicks @ affine[:, :2].T + affine[:, 2]).astype(np.float32)


def score_agreement(
    candidate: str,
    base: Sequence[Answer],
    other: Sequence[Answer],
    acceptance: AcceptanceModel,
) -> AgreementScore:
    """Boxes and verdicts of a candidate against float32's, click by click."""
    overlaps: list[float] = []
    same: list[bool] = []
    accepted = [0, 0]
    for a, b in zip(base, other, strict=True):
        overlaps += [iou(x, y) for x, y in zip(a.box_xyxy_px, b.box_xyxy_px, strict=True)]
        before = acceptance_of(a.localizations(), None, acceptance)[1]
        after = acceptance_of(b.localizations(), None, acceptance)[1]
        same += (before == after).tolist()
        accepted = [accepted[0] + int(before.sum()), accepted[1] + int(after.sum())]
    return AgreementScore(
        candidate=candidate,
        clicks=len(overlaps),
        box_iou_median=float(np.median(overlaps)) if overlaps else 0.0,
        box_iou_90=float(np.mean(np.array(overlaps) >= CLOSE_IOU)) if overlaps else 0.0,
        same_verdict=float(np.mean(same)) if same else 0.0,
        accepted=(accepted[0], accepted[1]),
    )
