"""Does the choice by coverage see more of the range than the first N frames, or N at random?

    python -m benchmarks.studies.selection [--scratch DIR] [--counts 16 32 64]

Of each flight every second frame is a candidate and the others are held out, then the other way
round. Every way of choosing
takes the same number of candidates; the largest magnitude of each convolution's output of the
localizer of `lite` (what min-max calibration keeps) is then compared with that of the held-out
frames: which share of them stays inside for every tensor, and which share of all pairs of frame and
tensor. The mean over the flight's parts counts a short part as much as a long one: the next flight
may be all like it. The rendered flight has sections of several lights and towns; the real frames of
$TILEFIX_DATA are three sites after each other. Held-out frames that the screening would leave out
(black, blurred) are not counted; random choices may take them, as they may in practice. The peaks
are the very numbers that are judged, of other frames: one run of the network for each candidate.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.acceptance_record import machine, write_record
from benchmarks.studies.own_command import own_command
from benchmarks.studies.selection_flights import Recorded, real, rendered
from calibration.selection.candidate import Candidate, seen, vectors
from calibration.selection.coverage import balanced_blocks, choose
from calibration.selection.look import BLOCKS, look_at
from calibration.selection.peaks import peak_probe
from calibration.selection.scan import inside
from calibration.selection.screening import screen
from calibration.selection.selector import pick
from edge.bundle import LOCALIZER, Bundle, shipped_bundle_path
from edge.letterbox import letterbox
from edge.types import Float32, Float64, Uint8

RECORD = Path(__file__).parent.parent / "records" / "selection.json"
SEED, DRAWS = 40, 200
SEEDS = 20  # of the choice by coverage: its first frame is drawn
Choice = list[int]


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scratch", type=Path, help="keeps the rendered flight between runs")
    parser.add_argument("--counts", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--out", type=Path, default=RECORD)
    given = parser.parse_args()
    bundle = Bundle.open(shipped_bundle_path())
    probe = peak_probe(bundle.graph(LOCALIZER, "fp32"))
    with tempfile.TemporaryDirectory() as temporary:
        flights = [rendered(given.scratch or Path(temporary), SEED), real()]
    record: dict[str, Any] = {
        "schema": "tilefix-selection-study/1",
        "command": own_command("benchmarks.studies.selection"),
        "environment": machine(),
        "date": time.strftime("%Y-%m-%d"),
        "bundle": f"{bundle.manifest.name} {bundle.manifest.version}",
        "flights": {},
    }
    size = (bundle.manifest.frame.width_px, bundle.manifest.frame.height_px)
    for flight in flights:
        if flight is not None:
            record["flights"][flight.name] = study(flight, size, probe, given.counts)
            print_table(flight.name, record["flights"][flight.name])
    write_record(record, given.out.parent, given.out.name)


def study(
    flight: Recorded,
    size_px: tuple[int, int],
    probe: Callable[[Uint8], Float32],
    counts: Sequence[int],
) -> dict[str, Any]:
    """Coverage of every way of choosing, by the number chosen."""
    names = sorted(set(flight.sites))
    candidates, peaks = [], []
    for n, (image, site) in enumerate(zip(flight.images, flight.sites, strict=True)):
        boxed = letterbox(image, *size_px)
        look = look_at(inside(boxed, (image.shape[1], image.shape[0])))
        peaks.append(probe(boxed.image))
        candidates.append(
            Candidate(
                source=names.index(site),
                item=n,
                place=(n, 0),
                name=site,
                words=f"frame {n}",
                feature=peaks[-1].tobytes(),
                **seen(look, boxed.image),
            )
        )
    magnitude = np.array(peaks, np.float64)  # [frames, tensors]
    found: dict[str, Any] = {
        "frames": len(candidates),
        "left_out": {x.value: n for x, n in screen(candidates, blur=True).left_out.items()},
        "tensors": magnitude.shape[1],
        "candidates": [],
        "held_out": [],
        "chosen": {str(count): {} for count in counts if 2.5 * count < len(candidates)},
    }
    several: dict[tuple[str, str], list[dict[str, float]]] = {}
    for fold in (0, 1):
        pool = candidates[fold::2]
        usable = screen(pool, blur=True).usable
        held_out = [each.item for each in screen(candidates[1 - fold :: 2], blur=True).usable]
        found["candidates"].append(len(pool))
        found["held_out"].append(len(held_out))
        for count in found["chosen"]:
            for way, choices in choices_of(pool, usable, names, int(count)).items():
                several.setdefault((count, way), []).extend(
                    coverage(magnitude, choice, held_out, flight.parts) for choice in choices
                )
    for (count, way), covered in several.items():
        found["chosen"][count][way] = spread(covered)
    return found


def choices_of(
    pool: list[Candidate], usable: list[Candidate], sites: list[str], count: int
) -> dict[str, list[Choice]]:
    """Every way of choosing with its repetitions, as indices of the flight."""
    rng = np.random.default_rng(SEED)
    items = [each.item for each in pool]
    plain = [msgspec.structs.replace(each, feature=b"") for each in usable]
    points = balanced_blocks(vectors(plain, "descriptor"), BLOCKS)
    step = len(items) / count
    return {
        "first": [items[:count]],
        "evenly spaced": [[items[int(n * step)] for n in range(count)]],
        "random": [rng.permutation(items)[:count].tolist() for _ in range(DRAWS)],
        "k-centre, no groups": [
            [plain[n].item for n in choose(points, [()] * len(plain), count, seed)]
            for seed in range(SEEDS)
        ],
        "selection": [
            [each.item for each in pick(plain, sites, count, seed)] for seed in range(SEEDS)
        ],
        "selection with peaks": [
            [each.item for each in pick(usable, sites, count, seed)] for seed in range(SEEDS)
        ],
    }


def coverage(
    magnitude: Float64, chosen: Choice, held_out: Choice, parts: Sequence[str]
) -> dict[str, float]:
    """How far the range of the chosen frames holds on the held-out ones.

    Args:
        magnitude: largest absolute value by frame and tensor, [frames, tensors].
        chosen: rows that the range is taken from.
        held_out: rows that it is judged on.
        parts: of all rows; each part of the flight counts alike in `parts_inside`, however long.
    """
    limit = magnitude[chosen].max(axis=0)  # [tensors]
    over = magnitude[held_out] / limit  # [held out, tensors]
    whole = (over <= 1).all(axis=1)  # [held out]
    own = np.array([parts[n] for n in held_out])
    return {
        "frames_inside": float(whole.mean()),
        "parts_inside": float(np.mean([whole[own == part].mean() for part in np.unique(own)])),
        "values_inside": float((over <= 1).mean()),
        "worst_excess": float(over.max()),
    }


def spread(found: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Mean of the repetitions, and what lies between 5 and 95 % of them."""
    summary: dict[str, Any] = {"repetitions": len(found)}
    for name in found[0]:
        values = [each[name] for each in found]
        summary[name] = round(float(np.mean(values)), 4)
        if len(values) > 1:
            summary[f"{name}_5_95"] = np.percentile(values, (5, 95)).round(4).tolist()
    return summary


def print_table(name: str, found: dict[str, Any]) -> None:
    """One line for each way and number."""
    print(f"{name}: candidates {found['candidates']}, held out {found['held_out']}, by fold")
    for count, ways in found["chosen"].items():
        for way, values in ways.items():
            print(
                f"  {count:>4} {way:<24} frames inside {100 * values['frames_inside']:5.1f} %  "
                f"mean of parts {100 * values['parts_inside']:5.1f} %  "
                f"values {100 * values['values_inside']:6.2f} %  "
                f"worst {values['worst_excess']:.3f}x",
                flush=True,
            )


if __name__ == "__main__":
    main()
