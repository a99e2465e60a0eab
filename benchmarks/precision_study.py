"""What another precision of a bundle costs in boxes, accuracy and verdicts.

    python -m benchmarks.precision_study --samples DIR ... [--precision fp16] [--pairs FILE ...]

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
import dataclasses
import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.acceptance_record import machine, write_record
from edge.alignment import Aligner
from edge.assembly import open_bundle
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.evaluation import Site, open_sites, run_site
from edge.localizer import Localizer
from edge.pairs import read_pairs
from edge.predictors import LitePredictor
from edge.scoring import RIGHT_IOU, JudgedClick, iou
from edge.types import Localizations, Prior, ReferenceWindow
from export.shared_weights import content_sha256

BASE = "fp32"
GRAPHS = (ENCODER, LOCALIZER)
RECORD = Path(__file__).parent / "records" / "precision.json"
RESAMPLES, SEED = 4000, 20240229
CLOSE_IOU = 0.99


@dataclass(frozen=True, slots=True)
class Located:
    """One click in both precisions."""

    sample: int  # clicks of one frame and window are not independent
    present: bool
    iou: tuple[float, float]  # with the truth: float32, the other; 0 where absent
    agreement: float  # IoU of the two boxes


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", help="default: the shipped one")
    parser.add_argument("--precision", default="fp16")
    parser.add_argument("--samples", type=Path, nargs="+", required=True)
    parser.add_argument("--pairs", type=Path, nargs="*", default=[])
    parser.add_argument("--images", type=Path, help="of the pairs; default: $TILEFIX_DATA")
    parser.add_argument("--every", type=int, default=1, help="of the samples")
    parser.add_argument("--out", type=Path, default=RECORD)
    given = parser.parse_args()
    bundle = open_bundle(given.bundle)
    record: dict[str, Any] = {
        "schema": "tilefix-precision/1",
        "command": shlex.join(
            [
                "python",
                "-m",
                "benchmarks.precision_study",
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
    pair = tuple(Localizer.open(bundle, precision=name) for name in (BASE, given.precision))
    found: dict[str, list[Located]] = {"no prior": [], "alignment": []}
    for regime, clicks in located(pair, Aligner.open(bundle), given.samples, given.every):
        found[regime] += clicks
    for regime, clicks in found.items():
        record["rendered"][regime] = summary(clicks)
        print(regime, json.dumps(record["rendered"][regime]), flush=True)
    if given.pairs:
        spec = bundle.manifest.window
        labels = [read_pairs(path, given.images) for path in given.pairs]
        sites = open_sites(labels, spec.gsd_m, spec.width_px)
        record["real"] = real(bundle, pair, sites)
        print("real", json.dumps(record["real"], indent=1))
    write_record(record, given.out.parent, given.out.name)


def located(
    pair: tuple[Localizer, ...], aligner: Aligner, folders: Sequence[Path], every: int
) -> Iterator[tuple[str, list[Located]]]:
    """Clicks of each sample by regime; windows that show another place are left out."""
    from export.aligned_samples import align
    from training.datasets.pair_folder import PairFolder

    rng = np.random.default_rng(0)
    number = 0
    for folder in map(PairFolder.open, folders):
        for index in range(0, len(folder), every):
            sample = folder.read(index)
            if not sample.present.any():
                continue
            number += 1
            valid = np.ones(sample.window.shape[:2], bool)
            window = ReferenceWindow(sample.window, valid, None, sample.source, "rendered samples")
            features = [each.encode(window) for each in pair]
            described = dataclasses.replace(
                features[0], tensors={**features[0].tensors, **aligner.describe(window)}
            )
            aligned = align(aligner, sample, described, rng)
            priors = {"no prior": Prior.none(len(sample.present))}
            if (aligned.inv_var > 0).all():
                priors["alignment"] = aligned
            for regime, prior in priors.items():
                answers = [
                    each.locate(sample.frame, sample.click_xy_px, feature, prior)
                    for each, feature in zip(pair, features, strict=True)
                ]
                yield regime, compared(number, answers, sample.present, sample.box_xyxy_px)


def compared(
    sample: int,
    answers: Sequence[Localizations],
    present: NDArray[np.bool_],
    truth_xyxy_px: NDArray[np.float32],
) -> list[Located]:
    """Both answers of one frame beside the truth, click by click."""
    clicks = []
    for n, there in enumerate(present.tolist()):
        boxes = [tuple(answer.box_xyxy_px[n].tolist()) for answer in answers]
        truth = tuple(truth_xyxy_px[n].tolist())
        right = [iou(box, truth) if there else 0.0 for box in boxes]
        clicks.append(Located(sample, there, (right[0], right[1]), iou(boxes[0], boxes[1])))
    return clicks


def summary(clicks: Sequence[Located]) -> dict[str, Any]:
    """Agreement of boxes, accuracy of both, and its change in points with a 95 % interval.

    The interval is a paired bootstrap over samples: both precisions are drawn together.
    """
    if not clicks:
        return {"clicks": 0}
    agreement = np.array([each.agreement for each in clicks])
    shown: dict[str, Any] = {
        "clicks": len(clicks),
        "box_iou_median": round(float(np.median(agreement)), 5),
        f"box_iou_at_least_{CLOSE_IOU}": round(float((agreement >= CLOSE_IOU).mean()), 4),
    }
    on_map = [each for each in clicks if each.present]
    numbers, unit = np.unique([each.sample for each in on_map], return_inverse=True)
    shown |= {"clicks_on_map": len(on_map), "samples": len(numbers)}
    rng = np.random.default_rng(SEED)
    draws = rng.integers(0, len(numbers), (RESAMPLES, len(numbers)))
    for threshold in (0.25, 0.5):
        right = np.array([each.iou for each in on_map]) > threshold  # [M, 2]
        count = np.bincount(unit, minlength=len(numbers))
        change = np.bincount(unit, 1.0 * right[:, 1] - right[:, 0], minlength=len(numbers))
        points = 100 * change[draws].sum(1) / count[draws].sum(1)
        shown[f"acc@{threshold}"] = [round(float(x), 4) for x in right.mean(0)]
        shown[f"acc@{threshold}_change_points"] = {
            "mean": round(100 * float(change.sum() / count.sum()), 3),
            "interval_95": np.percentile(points, (2.5, 97.5)).round(3).tolist(),
        }
    return shown


def real(bundle: Bundle, pair: tuple[Localizer, ...], sites: Sequence[Site]) -> dict[str, Any]:
    """Labelled frames with alignment, on the map of their own site: what changed."""
    predictors = [LitePredictor(each, Aligner.open(bundle)) for each in pair]
    changed, count, agreement = [], 0, []
    for site in sites:
        before, after = (run_site(predictor, site).own for predictor in predictors)
        count += len(before)
        for one, other in zip(before, after, strict=True):
            if one.box_xyxy_px is not None and other.box_xyxy_px is not None:
                agreement.append(iou(one.box_xyxy_px, other.box_xyxy_px))
            if verdict(one) != verdict(other):
                changed.append(
                    {"frame": one.frame, "object": one.object_id, BASE: verdict(one)}
                    | {
                        pair[1].precision: verdict(other),
                        "iou": [round(x.iou, 4) for x in (one, other)],
                    }
                )
    return {
        "sightings": count,
        "box_iou_median": round(float(np.median(agreement)), 5),
        "changed_verdicts": changed,
    }


def verdict(click: JudgedClick) -> str:
    """Whether it was accepted, and whether that box is right."""
    right = "right" if click.iou > RIGHT_IOU else "wrong"
    return f"{'accepted' if click.accepted else 'refused'}, {right}"


if __name__ == "__main__":
    main()
