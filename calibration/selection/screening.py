"""Leave out what would only waste a place: broken, black, constant, blurred, or seen before.

Blurred is judged against the picture's own source, since sharpness depends on scene, lens and
height: a frame is blurred where its Laplacian's variance is far below the median of its source, and
a slight blur takes less of it away than of the others. The second keeps a sharp frame of a meadow,
which has little to be sharp. Where more than half of a source is blurred, its median is blurred
too, and nothing can be seen so. Windows are not judged: a map has no motion blur.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from calibration.selection.candidate import Candidate
from calibration.selection.reasons import WHAT_IT_MEANS, PoorImage
from edge.errors import CalibrationError
from edge.types import Float32

BLUR_SHARPNESS = 0.35  # of the source's median
BLUR_REMAINDER = 1.6  # of the source's median: share of the sharpness that survives a slight blur
DUPLICATE_LEVELS = 3.0  # RMS difference of 16 x 16 thumbnails, of 255 levels
_NAMED = 3  # unreadable pictures that are named in a note


@dataclass(frozen=True, slots=True)
class Screened:
    """What is left, and what became of the rest."""

    usable: list[Candidate]
    left_out: dict[PoorImage, int]  # in the order of `PoorImage`
    notes: tuple[str, ...]

    def told(self) -> str:
        """The counts as words: "3 are black, 1 cannot be decoded"."""
        return ", ".join(f"{n} {WHAT_IT_MEANS[why]}" for why, n in self.left_out.items())


def screen(candidates: list[Candidate], *, blur: bool) -> Screened:
    """Sort out what cannot be used; the first of two near-duplicates stays.

    Args:
        candidates: in the order in which they were scanned.
        blur: whether blurred ones are left out.
    """
    reasons: dict[int, PoorImage] = {
        n: PoorImage(each.poor) for n, each in enumerate(candidates) if each.poor
    }
    if blur:
        fit = [n for n in range(len(candidates)) if n not in reasons]
        reasons |= dict.fromkeys(_blurred(candidates, fit), PoorImage.BLURRED)
    fit = [n for n in range(len(candidates)) if n not in reasons]
    reasons |= {fit[n]: PoorImage.DUPLICATE for n in repeated([candidates[n] for n in fit])}
    counts = Counter(reasons.values())
    broken = [each for each in candidates if each.poor == PoorImage.UNREADABLE.value]
    notes = [f"{each.name} {each.words}: {each.detail}" for each in broken[:_NAMED]]
    if len(broken) > _NAMED:
        notes.append(f"{len(broken) - _NAMED} more cannot be decoded")
    return Screened(
        [each for n, each in enumerate(candidates) if n not in reasons],
        {why: counts[why] for why in PoorImage if counts[why]},
        tuple(notes),
    )


def check_enough(
    screened: Screened,
    kind: str,
    looked_at: int,
    least: int,
    reason: str,
    option: str = "--frames",
) -> None:
    """Refuse a selection that would leave its ranges to luck.

    Args:
        screened: what is left.
        kind: "frames" or "windows".
        looked_at: candidates.
        least: how many are needed.
        reason: why.
        option: that the flights were given with.

    Raises:
        CalibrationError: too few, or none at all that shows anything.
    """
    if len(screened.usable) >= least:
        return
    of = "the flights" if kind == "frames" else "the map"
    single = next(iter(screened.left_out), None) if len(screened.left_out) == 1 else None
    if not screened.usable and single is not None:
        what = f"all {looked_at} {kind} of {of} {WHAT_IT_MEANS[single]}"
    else:
        what = f"{of} {'have' if kind == 'frames' else 'has'} too few {kind} to calibrate with"
    found = f"{len(screened.usable)} usable of {looked_at} looked at"
    if screened.left_out:
        found += f"; {screened.told()}"
    if screened.notes:
        found += f" ({'; '.join(screened.notes)})"
    more = {
        "frames": f"give more flights with {option}, of several places and lights",
        "windows": "give a larger map with --tiles, or several; look at it with tilefix tiles info",
    }
    raise CalibrationError(
        what, expected=f"at least {least} {kind}: {reason}", found=found, do=more[kind]
    )


def repeated(candidates: list[Candidate]) -> list[int]:
    """Indices of those whose thumbnail is nearly that of an earlier one that stays."""
    if not candidates:
        return []
    thumbs = np.stack([each.thumb_pixels().reshape(-1) for each in candidates])
    kept = np.empty(thumbs.shape, np.float32)  # [N, 768]
    count, found = 0, []
    for n, thumb in enumerate(thumbs.astype(np.float32)):
        if count and _nearest_levels(kept[:count], thumb) < DUPLICATE_LEVELS:
            found.append(n)
            continue
        kept[count] = thumb
        count += 1
    return found


def _nearest_levels(kept: Float32, thumb: Float32) -> float:
    return float(np.sqrt(np.square(kept - thumb).mean(axis=1).min()))


def _blurred(candidates: list[Candidate], fit: list[int]) -> list[int]:
    found: list[int] = []
    for source in sorted({candidates[n].source for n in fit}):
        own = [n for n in fit if candidates[n].source == source]
        sharpness = np.array([candidates[n].sharpness for n in own])
        remainder = np.array([1 - candidates[n].fineness for n in own])
        dull = sharpness < BLUR_SHARPNESS * np.median(sharpness)
        soft = remainder > BLUR_REMAINDER * np.median(remainder)
        found += [own[n] for n in np.flatnonzero(dull & soft).tolist()]
    return found
