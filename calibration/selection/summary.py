"""What selection.json says of the selection as a whole: sources, reasons, and notes for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from calibration.selection.candidate import Candidate
from calibration.selection.listing import ListedSource
from calibration.selection.reasons import PoorImage
from calibration.selection.record import SourceSummary
from calibration.selection.screening import Screened
from calibration.selection.windows import ListedMap
from edge.tiles.lattice import STEP_PX

_MOST_SIZES = 4  # that a note names


def left_out(frames: Screened, windows: Screened) -> dict[str, int]:
    """Pictures of both kinds by reason, in the order of `PoorImage`."""
    counts: Counter[str] = Counter()
    for screened in (frames, windows):
        counts.update({why.value: n for why, n in screened.left_out.items()})
    return {why.value: counts[why.value] for why in PoorImage if counts[why.value]}


def summaries(
    kind: str,
    listed: Sequence[ListedSource] | Sequence[ListedMap],
    seen: list[Candidate],
    screened: Screened,
    chosen: list[Candidate],
) -> list[SourceSummary]:
    """What each source or map gave."""

    def of(candidates: list[Candidate], index: int) -> list[Candidate]:
        return [each for each in candidates if each.source == index]

    return [
        SourceSummary(
            kind=kind,
            site=each.given.site,
            path=each.given.path.name,
            found=each.found if isinstance(each, ListedSource) else len(each.places),
            looked_at=len(of(seen, each.index)),
            usable=len(of(screened.usable, each.index)),
            chosen=len(of(chosen, each.index)),
            sizes_px=_sizes(of(seen, each.index)),
        )
        for each in listed
    ]


def _sizes(candidates: list[Candidate]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted({each.size_px for each in candidates if min(each.size_px) > 0}))


def all_taken(kind: str, chosen: int, wanted: int) -> list[str]:
    """A note where there was nothing to choose from."""
    if chosen >= wanted:
        return []
    return [f"all {chosen} usable {kind} are taken, {wanted} were wanted"]


def sizes_told(sources: Sequence[ListedSource], seen: list[Candidate]) -> list[str]:
    """Sources whose frames have several sizes."""
    notes = []
    for source in sources:
        sizes = _sizes([each for each in seen if each.source == source.index])
        if len(sizes) > 1:
            named = ", ".join(f"{wide} x {high}" for wide, high in sizes[:_MOST_SIZES])
            more = f" and {len(sizes) - _MOST_SIZES} more" if len(sizes) > _MOST_SIZES else ""
            notes.append(
                f"{source.given.site}: frames of {len(sizes)} sizes, {named}{more}; each is "
                "letterboxed by itself, as in flight"
            )
    return notes


def steps_told(maps: Sequence[ListedMap]) -> list[str]:
    """Maps so small that windows off the lattice were looked at."""
    return [
        f"{each.given.site}: a small map, so windows begin every {each.step_px} px instead of "
        f"every {STEP_PX} px and overlap more"
        for each in maps
        if each.step_px != STEP_PX
    ]
