"""What another precision of a bundle costs in boxes, accuracy and verdicts.

    python -m benchmarks.studies.precision --samples DIR ... [--precision fp16] [--pairs FILE ...]

Rendered held-out samples (`tilefix datasets render --window-px 1024`) are located by the float32
graphs and by the other precision, each with features of its own encoder, without a prior and with
that of the frame's alignment, which both share. Labelled real frames, where `--pairs` and their
images are given, are run in both, and every verdict that changed is listed. ONNX Runtime runs
both on the CPU; what it computes in float16 it rounds to float16 after each operator, so that this
shows the loss of the types in the file, not that of a GPU's kernels. The record names a
graph by the sha256 of all that it computes with, wherever its weights are stored.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.acceptance_record import machine, write_record
from calibration.judging.held_out import open_held_out
from calibration.judging.locating import answers_of
from calibration.judging.priors import priors_of
from calibration.judging.real_frames import RememberedAligner, open_labelled, run_sites, score_real
from calibration.judging.record import Change, RealScore
from calibration.judging.scores import LocatedClick, accuracy, located, score_regime
from edge.acceptance import AcceptanceModel
from edge.assembly import open_bundle
from edge.bundle import ENCODER, LOCALIZER, Bundle

BASE = "fp32"
GRAPHS = (ENCODER, LOCALIZER)
RECORD = Path(__file__).parent.parent / "records" / "precision.json"
CLOSE_IOU = 0.99


def main() -> None:
    """Measure, print and write the record."""
    from export.shared_weights import content_sha256

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", help="default: the shipped one")
    parser.add_argument("--precision", default="fp16")
    parser.add_argument("--samples", type=Path, nargs="+", required=True)
    parser.add_argument("--pairs", type=Path, nargs="*", default=[])
    parser.add_argument("--images", type=Path, help="of the pairs; default: $TILEFIX_DATA")
    parser.add_argument("--every", type=int, default=1, help="of the samples")
    parser.add_argument("--work", type=Path, help="keeps what is finished; a later run goes on")
    parser.add_argument("--out", type=Path, default=RECORD)
    given = parser.parse_args()
    bundle = open_bundle(given.bundle)
    record: dict[str, Any] = {
        "schema": "tilefix-precision/1",
        "command": shlex.join(
            [
                "python",
                "-m",
                "benchmarks.studies.precision",
                *(Path(x).name if Path(x).is_absolute() else x for x in sys.argv[1:]),
            ]
        ),
        "samples": [json.loads((path / "made_by.json").read_text()) for path in given.samples],
        "executor": "onnxruntime",
        "environment": machine(),
        "date": time.strftime("%Y-%m-%d"),
        "bundle": f"{bundle.manifest.name} {bundle.manifest.version}",
        "graphs": {
            precision: {kind: content_sha256(bundle.graph(kind, precision)) for kind in GRAPHS}
            for precision in (BASE, given.precision)
        },
        "rendered": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        for regime, clicks in rendered(bundle, given.precision, given, work).items():
            record["rendered"][regime] = summary(regime, clicks)
            print(regime, json.dumps(record["rendered"][regime]), flush=True)
        if given.pairs:
            record["real"] = real(bundle, given.precision, given, work)
            print("real", json.dumps(record["real"], indent=1))
    write_record(record, given.out.parent, given.out.name)


def rendered(
    bundle: Bundle, precision: str, given: argparse.Namespace, work: Path
) -> dict[str, list[LocatedClick]]:
    """Clicks by regime; samples whose window shows another place are left out."""
    samples = open_held_out(given.samples, given.every)
    priors = priors_of(bundle, samples, work)
    answers = [answers_of(bundle, each, samples, priors, work) for each in (BASE, precision)]
    acceptance = AcceptanceModel.from_spec(bundle.manifest.acceptance)
    return located(samples, *answers, priors, acceptance)


def summary(regime: str, clicks: Sequence[LocatedClick]) -> dict[str, Any]:
    """Agreement of boxes, accuracy of both, and its change in points with a 95 % interval."""
    if not clicks:
        return {"clicks": 0}
    score = score_regime(regime, clicks)
    agreement = np.array([each.agreement for each in clicks])
    shown: dict[str, Any] = {
        "clicks": score.clicks,
        "box_iou_median": round(score.box_iou_median, 5),
        f"box_iou_at_least_{CLOSE_IOU}": round(float((agreement >= CLOSE_IOU).mean()), 4),
        "clicks_on_map": score.clicks_on_map,
        "samples": score.samples,
    }
    on_map = [each for each in clicks if each.present]
    for threshold, change in ((0.25, score.change_25), (0.5, score.change_50)):
        both = [accuracy(on_map, threshold, which) for which in (0, 1)]
        shown[f"acc@{threshold}"] = [round(each, 4) for each in both]
        shown[f"acc@{threshold}_change_points"] = points(change)
    return shown


def points(change: Change) -> dict[str, Any]:
    """A change as the record shows it."""
    interval = [round(change.low, 3), round(change.high, 3)]
    return {"mean": round(change.mean, 3), "interval_95": interval}


def real(bundle: Bundle, precision: str, given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Labelled frames with alignment, on the map of their own site: what changed."""
    sites = open_labelled(bundle, given.pairs, given.images)
    aligner = RememberedAligner(bundle, work)
    before, after = (run_sites(bundle, each, sites, aligner) for each in (BASE, precision))
    return shown_real(score_real([path.name for path in given.pairs], before, after), precision)


def shown_real(score: RealScore, precision: str) -> dict[str, Any]:
    """The labelled frames as the record shows them."""
    return {
        "sightings": score.sightings,
        "box_iou_median": round(score.box_iou_median, 5),
        "changed_verdicts": [
            {"frame": each.frame, "object": each.object_id, BASE: each.before}
            | {precision: each.after}
            | {"iou": [round(each.iou_before, 4), round(each.iou_after, 4)]}
            for each in score.changed
        ],
    }


if __name__ == "__main__":
    main()
