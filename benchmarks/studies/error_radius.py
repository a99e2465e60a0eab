"""Do the 90 % circles of accepted right fixes hold 90 % of their errors?

Run it: `python -m benchmarks.studies.error_radius [--bundle DIR] [--held-out DIR ...]`. It locates
the clicks of the demo flight and, where `TILEFIX_DATA` names the folder of `benchmarks/pairs`'
images, those of the two labelled sites, prints how many of the errors lie inside the stated circle,
and writes `benchmarks/records/error_radius.json`. Nothing of these sets was used to fit the radius.

With `--held-out`, folders of samples as for `tilefix export`, it also prints the factor that they
ask for (`edge.centre_spread.fit_factor`): the value for `head.radius_factor` of the manifest.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.alignment_data import data_folder
from edge.assembly import PriorChoice, open_bundle
from edge.bundle import Bundle
from edge.centre_spread import FittedSpread, open_spread
from edge.demo_flight import DemoFlight, bundled_flight, pairs_flight
from edge.scoring import RESAMPLES, SEED, Bootstrap, Scores
from edge.truth import JudgedFix, Outcome

HERE = Path(__file__).parent.parent
RECORD = HERE / "records" / "error_radius.json"
SITES = ("brighton", "caliterra")


def judged(flight: DemoFlight) -> Iterator[JudgedFix]:
    """Every fix of a flight beside the truth."""
    try:
        for frame, clicks, pose in flight.tasks:
            if clicks:
                yield from flight.truth.judge(flight.assembly.pipeline.process(frame, clicks, pose))
    finally:
        flight.assembly.close()


def summary(fixes: Sequence[JudgedFix]) -> dict[str, Any]:
    """Errors, radii and coverage of the accepted right fixes; the interval is over objects."""
    right = [each for each in fixes if each.outcome is Outcome.RIGHT]
    error_m = np.array([each.error_m for each in right], np.float64)
    radius_m = np.array([each.fix.error_radius_m for each in right], np.float64)
    names = [str(each.object_id) for each in right]
    units = sorted(set(names))
    inside, count = np.zeros(len(units)), np.zeros(len(units))
    for name, held in zip(names, error_m <= radius_m, strict=True):
        inside[units.index(name)] += held
        count[units.index(name)] += 1
    scores: Scores = {}
    Bootstrap(RESAMPLES, SEED).add(scores, "inside", inside, count)
    return {
        "right": len(right),
        "objects": len(units),
        "error_m_median_p90": np.percentile(error_m, (50, 90)).round(2).tolist(),
        "radius_m_median": round(float(np.median(radius_m)), 2),
        **{key: None if value is None else round(value, 3) for key, value in scores.items()},
    }


def held_out_factor(bundle: Bundle, folders: Sequence[Path], every: int) -> dict[str, Any]:
    """The factor that held-out samples ask for, and what they are."""
    from edge.alignment import Aligner
    from edge.localizer import Localizer
    from export.acceptance import collect, prepare
    from export.radius_fit import fit_radius_factor
    from training.datasets.pair_folder import PairFolder
    from training.models.lite import LiteOptions

    spread = open_spread(bundle, "fp32")
    if not isinstance(spread, FittedSpread):
        raise SystemExit(f"the head of {bundle.manifest.name} does not blend: nothing to fit")
    localizer = Localizer.open(bundle)
    opened = [PairFolder.open(folder) for folder in folders]
    found = collect(
        localizer,
        prepare(localizer, Aligner.open(bundle), opened, progress=lambda r: list(r)[::every]),
    )
    options = LiteOptions(
        click_var=spread.click_var,
        centre_var=spread.centre_var,
        floor_var_px2=spread.floor_var_px2,
    )
    factor = fit_radius_factor(found, localizer.acceptance, options)
    sets = [folder.name for folder in folders]
    return {"factor": factor, "clicks": len(found.right), "sets": sets, "every": every}


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", help="default: the shipped one")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[])
    parser.add_argument("--every", type=int, default=1, help="of the held-out samples")
    given = parser.parse_args()
    bundle, data = open_bundle(given.bundle), data_folder()
    spread = open_spread(bundle, "fp32")
    record: dict[str, Any] = {
        "schema": "tilefix-error-radius/1",
        "command": "python -m benchmarks.studies.error_radius",
        "machine": platform.machine(),
        "date": time.strftime("%Y-%m-%d"),
        "bundle": f"{bundle.manifest.name} {bundle.manifest.version}",
        "spread": f"{spread}",
    }
    flights = {"demo flight": lambda: bundled_flight(bundle, PriorChoice.ALIGNMENT)}
    for site in SITES if data is not None else ():
        flights[site] = lambda site=site: pairs_flight(
            bundle, PriorChoice.ALIGNMENT, HERE / "pairs" / f"{site}.json", data
        )
    for name, fly in flights.items():
        record[name] = summary(list(judged(fly())))
        print(name, json.dumps(record[name]), flush=True)
    if given.held_out:
        record["held_out"] = held_out_factor(bundle, given.held_out, given.every)
        print("held out", json.dumps(record["held_out"]))
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
