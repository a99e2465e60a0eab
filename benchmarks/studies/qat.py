"""What fine-tuning with the roundings of INT8 gave: float and INT8, before and after, one subset.

    python -m benchmarks.studies.qat --held held_ortho --held held_scenes --ranges ranges.json \
        --tuned runs/qat/last.safetensors --count 24 --out benchmarks/records/qat/qat.json

INT8 is the torch model with fake quantisation, which a test holds equal to the graphs of
`int8+fp16` made of float32. Rows are kept beside the record; a stopped run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

Lite = Any  # training.models.lite.Lite, which brings torch

GOLDEN = 0.6180339887498949
RESAMPLES = 2000
FLOAT, INT8, TUNED, TUNED_INT8 = "float", "int8", "tuned float", "tuned int8"
PATH = click.Path(path_type=Path)


@click.command()
@click.option("--held", multiple=True, type=PATH, required=True, help="Rendered, held out.")
@click.option("--ranges", type=PATH, required=True, help="Of the shipped bundle.")
@click.option("--tuned", type=PATH, help="The checkpoint; without it, before alone.")
@click.option("--count", default=24, show_default=True, help="Samples.")
@click.option("--out", type=PATH, required=True)
def study(held: tuple[Path, ...], ranges: Path, tuned: Path | None, count: int, out: Path) -> None:
    """Measure, and write the record."""
    import torch

    from training.datasets.pair_folder import PairFolder

    torch.set_num_threads(1)
    models = _models(ranges, tuned)
    folders = [PairFolder.open(path) for path in held]
    kept = out.with_suffix(".jsonl")
    rows = [json.loads(x) for x in kept.read_text().splitlines()] if kept.exists() else []
    have = {(row["model"], row["folder"], row["sample"]) for row in rows}
    with kept.open("a") as stream:
        for folder, index in plan([len(f) for f in folders], count):
            name = folders[folder].path.name
            missing = [m for m in models if (m, name, index) not in have]
            if not missing:
                continue
            for row in _rows(
                {FLOAT: models[FLOAT]} | {m: models[m] for m in missing}, folders[folder], index
            ):
                if row["model"] in missing:
                    rows.append({**row, "folder": name, "sample": index})
                    stream.write(json.dumps(rows[-1]) + "\n")
            stream.flush()
            click.echo(f"{name} {index}")
    record = {"count": count, **summary(rows)}
    out.write_text(json.dumps(record, indent=1) + "\n")
    click.echo(out)


def plan(lengths: Sequence[int], count: int) -> list[tuple[int, int]]:
    """(folder, sample): two of the first folder for one of the last, spread over each.

    >>> plan([200, 100], 3)
    [(0, 0), (0, 123), (1, 23)]
    """
    chosen = []
    for number in range(count):
        folder = len(lengths) - 1 if number % 3 == 2 else 0
        chosen.append((folder, int(lengths[folder] * ((number * GOLDEN) % 1))))
    return chosen


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Scores of each model over the samples that all have, and the paired changes of INT8.

    Args:
        rows: model, folder, sample; present, iou, iou_to_float, query per click; v, u per sample.
    """
    by_model: dict[str, dict[tuple[str, int], Mapping[str, Any]]] = {}
    for row in rows:
        by_model.setdefault(row["model"], {})[row["folder"], row["sample"]] = row
    shared = sorted(set.intersection(*(set(of) for of in by_model.values())))
    table = {}
    for model, of in by_model.items():
        mine = [of[key] for key in shared]
        iou = np.concatenate([_present(row, "iou") for row in mine])
        table[model] = {
            "acc@0.25": round(float((iou > 0.25).mean()), 4),
            "acc@0.5": round(float((iou > 0.5).mean()), 4),
            "median_iou_to_float": _middle(np.concatenate([r["iou_to_float"] for r in mine])),
            "v_cosine": round(float(np.mean([r["v"] for r in mine])), 5),
            "u_cosine": round(float(np.mean([r["u"] for r in mine])), 5),
            "query_cosine": round(float(np.concatenate([r["query"] for r in mine]).mean()), 5),
        }
    changes = {
        f"{model} - {base}": _change(by_model[model], by_model[base], shared)
        for base, model in ((FLOAT, INT8), (FLOAT, TUNED), (FLOAT, TUNED_INT8), (INT8, TUNED_INT8))
        if {model, base} <= by_model.keys()
    }
    clicks = sum(sum(by_model[FLOAT][key]["present"]) for key in shared)
    return {
        "samples": len(shared),
        "clicks": clicks,
        "models": table,
        "change_of_acc@0.25_points": changes,
    }


def _change(
    model: Mapping[tuple[str, int], Mapping[str, Any]],
    base: Mapping[tuple[str, int], Mapping[str, Any]],
    shared: Sequence[tuple[str, int]],
) -> dict[str, Any]:
    """Mean and 95 % interval over resampled samples: clicks of one sample are not independent."""
    gained = np.array([_hits(model[key]) - _hits(base[key]) for key in shared])
    clicks = np.array([sum(base[key]["present"]) for key in shared])
    drawn = np.random.default_rng(0).integers(0, len(shared), (RESAMPLES, len(shared)))
    many = 100 * gained[drawn].sum(1) / clicks[drawn].sum(1)
    low, high = np.percentile(many, [2.5, 97.5])
    mean = 100 * gained.sum() / clicks.sum()
    return {"mean": round(float(mean), 2), "interval_95": [round(float(x), 2) for x in (low, high)]}


def _hits(row: Mapping[str, Any]) -> int:
    return int((_present(row, "iou") > 0.25).sum())


def _present(row: Mapping[str, Any], key: str) -> Any:
    return np.array(row[key])[np.array(row["present"], bool)]


def _middle(values: Any) -> float:
    return round(float(np.median(values)), 4)


def _models(ranges: Path, tuned: Path | None) -> dict[str, Lite]:
    from calibration.ranges.record import Ranges
    from edge.bundle import Bundle, shipped_bundle_path
    from edge.errors import UsageError
    from export.bundle_weights import lite_from_bundle
    from training.checkpoints.weights import load_weights
    from training.models.lite import Lite
    from training.quantization.bundle_ranges import convolution_amax
    from training.quantization.lite import QuantizedLite

    bundle = Bundle.open(shipped_bundle_path())
    amax = convolution_amax(bundle, Ranges.read(ranges))
    models: dict[str, Lite] = {FLOAT: lite_from_bundle(bundle)}
    if tuned is not None:
        loaded, _ = load_weights(tuned)
        if not isinstance(loaded, Lite):
            raise UsageError(
                "the study is of lite",
                expected="a checkpoint of `tilefix train --qat`",
                found=f"a {type(loaded).__name__} in {tuned}",
                do="give another --tuned",
            )
        models[TUNED] = loaded
    for name, of in ((INT8, FLOAT), (TUNED_INT8, TUNED)):
        if of in models:
            quantised = QuantizedLite(models[of])
            quantised.set_amax(amax)
            models[name] = quantised
    return models


def _rows(models: Mapping[str, Lite], folder: Any, index: int) -> list[dict[str, Any]]:
    """What each model answers without a prior, and how far it is from the first one."""
    import torch
    from torch.nn.functional import cosine_similarity

    from training.evaluation.metrics import paired_iou

    sample = folder.read(index)
    frame, window = (
        torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
        for picture in (sample.frame, sample.window)
    )
    rows: list[dict[str, Any]] = []
    first: Any = None
    for name, model in models.items():
        with torch.no_grad():
            query_map = model.encode_query(frame)[0]
            window_of = {k: v[0] for k, v in model.encode_reference(window).items()}
            out = model.localize(query_map, torch.as_tensor(sample.click_xy_px), window_of)
        first = first or (window_of, out)
        box, box_of_first = (o.box_xyxy_px.double().numpy() for o in (out, first[1]))
        truth = np.asarray(sample.box_xyxy_px, np.float64)
        cosines = {k: cosine_similarity(window_of[k], first[0][k], dim=0).mean() for k in "vu"}
        query = cosine_similarity(out.query_vector, first[1].query_vector, dim=1)
        rows.append(
            {
                "model": name,
                "present": np.asarray(sample.present, bool).tolist(),
                "iou": np.round(paired_iou(box, truth), 4).tolist(),
                "iou_to_float": np.round(paired_iou(box, box_of_first), 4).tolist(),
                **{k: float(v) for k, v in cosines.items()},
                "query": query.tolist(),
            }
        )
    return rows


if __name__ == "__main__":
    study()
