"""How many accepted fixes are wrong, by how well the alignment tells their place?

A live frame does not wait for its own alignment: that of an earlier one is carried to it by the
motion of the picture, with a sigma that grows on the way (`edge.frame_placer`). Here every frame of
a flight is located with the alignments of the frames before it, without the limit that
`edge.acceptance.MOST_SIGMA_PX` puts on sigmas, which this is to justify.

Run it on flights that `python -m training.scenes flight --seed N --out DIR` makes:
`python -m benchmarks.studies.carried_alignment DIR [DIR ...]`. It prints a table and writes
`benchmarks/records/carried_alignment.json`. The camera of these flights takes a frame a second, so
a step carries much further than one of a video.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from edge.assembly import PriorChoice, open_bundle
from edge.bundle import Bundle
from edge.demo_flight import recorded_flight
from edge.frame_motion import FrameMotion
from edge.frame_placer import PlacedFrame
from edge.pipeline import Pipeline
from edge.truth import Outcome
from edge.types import Frame, FramePose
from edge.window_choice import WindowChoice

RECORD = Path(__file__).parent.parent / "records" / "carried_alignment.json"
MOST_STEPS = 13
EDGES_PX = (0.0, 5.0, 10.0, 20.0, 30.0, 50.0, math.inf)


class GivenPlace:
    """A placer that says what it was told."""

    note = ""

    def __init__(self) -> None:
        self.placed: PlacedFrame | None = None

    def place(self, frame: Frame, pose: FramePose, windows: WindowChoice) -> PlacedFrame | None:
        """What was told."""
        return self.placed

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class CarriedFix:
    """One fix with a carried alignment, beside the truth."""

    sigma_px: float
    accepted: bool
    wrong: bool


def carried_fixes(folder: Path, bundle: Bundle) -> Iterator[CarriedFix]:
    """Every frame of a flight, with the alignments of up to `MOST_STEPS` frames before it."""
    flight = recorded_flight(folder, bundle, PriorChoice.ALIGNMENT)
    try:
        tasks = list(flight.tasks)
        aligned = [flight.assembly.pipeline.process(*task).placed for task in tasks]
        localizer, placer = flight.assembly.localizer, GivenPlace()
        localizer.acceptance = dataclasses.replace(localizer.acceptance, most_sigma_px=math.inf)
        pipeline = Pipeline(localizer, flight.assembly.windows, placer, track=False)
        for first, own in enumerate(aligned):
            if own is None:
                continue
            motion = FrameMotion()
            for frame, clicks, pose in tasks[first : first + MOST_STEPS + 1]:
                motion.add(frame)
                way = motion.since(tasks[first][0].index)
                if way is None or not clicks:
                    continue
                placer.placed = PlacedFrame(own.alignment, own.place, *way)
                prior = placer.placed.prior(np.array([(c.x_px, c.y_px) for c in clicks]))
                judged = flight.truth.judge(pipeline.process(frame, clicks, pose))
                for inv_var, each in zip(prior.inv_var.tolist(), judged, strict=True):
                    sigma_px = inv_var**-0.5 if inv_var > 0 else math.inf
                    accepted = each.outcome in (Outcome.RIGHT, Outcome.WRONG)
                    yield CarriedFix(sigma_px, accepted, each.outcome is Outcome.WRONG)
    finally:
        flight.assembly.close()


def by_sigma(fixes: Sequence[CarriedFix]) -> list[dict[str, float | int | None]]:
    """Fixes, those accepted and those of them that are wrong, between two `EDGES_PX` each."""
    rows: list[dict[str, float | int | None]] = []
    for low, high in pairwise(EDGES_PX):
        those = [each for each in fixes if low <= each.sigma_px < high]
        accepted = sum(each.accepted for each in those)
        wrong = sum(each.wrong for each in those)
        rows.append(
            {
                "from_px": low,
                "to_px": None if math.isinf(high) else high,
                "fixes": len(those),
                "accepted": accepted,
                "wrong": wrong,
            }
        )
    return rows


def made_by(folder: Path) -> str:
    """The command that made a flight, as its truth says."""
    values = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return str(values.get("made_by", folder.name))


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flights", type=Path, nargs="+")
    given = parser.parse_args()
    bundle = open_bundle(None)
    fixes = [each for folder in given.flights for each in carried_fixes(folder, bundle)]
    rows = by_sigma(fixes)
    for row in rows:
        share = row["wrong"] / row["accepted"] if row["accepted"] else math.nan
        to = "and more" if row["to_px"] is None else f"to {row['to_px']:g}"
        print(
            f"{row['from_px']:g} {to} px: {row['fixes']} fixes, {row['accepted']} accepted, "
            f"{row['wrong']} of these wrong ({share:.1%})"
        )
    record = {
        "schema": "tilefix-carried-alignment/1",
        "command": "python -m benchmarks.studies.carried_alignment FLIGHT ...",
        "flights": [made_by(folder) for folder in given.flights],
        "machine": platform.machine(),
        "date": time.strftime("%Y-%m-%d"),
        "bundle": f"{bundle.manifest.name} {bundle.manifest.version}",
        "rows": rows,
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
