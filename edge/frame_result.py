"""What came of one frame: its fixes, the windows they lie in, and what was worth saying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge.frame_placer import PlacedFrame
from edge.tiles.lattice import WindowPlace
from edge.types import Click, Fix, Frame, ReferenceFeature, Timings, Verdict
from edge.window_choice import WindowChoice


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What came of one frame."""

    frame: Frame
    clicks: tuple[Click, ...]
    fixes: tuple[Fix, ...]  # in the order of the clicks
    place: WindowPlace | None  # the window that most fixes lie in
    feature: ReferenceFeature | None  # of that window
    placed: PlacedFrame | None  # where the frame lies on the map
    timings: Timings
    note: str = ""  # on the windows, for people
    place_note: str = ""  # why the frame is not aligned, for people
    places: Mapping[str, WindowPlace] = field(default_factory=dict)  # of the windows of the fixes

    def box_shown(self, fix: Fix) -> tuple[float, float, float, float] | None:
        """The box of a fix in pixels of the window `place`, whichever window it was found in."""
        own = self.places.get(fix.window_id or "")
        if fix.box_xyxy_px is None or own is None or self.place is None:
            return None
        right, down = own.left_px - self.place.left_px, own.top_px - self.place.top_px
        x1, y1, x2, y2 = fix.box_xyxy_px
        return x1 + right, y1 + down, x2 + right, y2 + down


def window_shown(
    fixes: Sequence[Fix], choice: WindowChoice, aligned_in: WindowPlace | None
) -> WindowPlace | None:
    """The window to show: that of most accepted fixes, else of most fixes, else the likeliest."""
    score: dict[str, int] = {}
    for fix in fixes:
        if fix.window_id is not None:
            weight = 100 if fix.verdict is Verdict.ACCEPTED else 1
            score[fix.window_id] = score.get(fix.window_id, 0) + weight
    if score:
        return choice.used.get(max(score, key=lambda name: score[name]))
    return aligned_in or (choice.places[0] if choice.places else None)
