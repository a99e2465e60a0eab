"""What accepts the fixes of a bundle: fitted on some samples, its thresholds chosen on others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from edge.acceptance_fit import calibrate_acceptance
from edge.alignment import Aligner
from edge.bundle import Bundle
from edge.localizer import Localizer
from edge.manifest import Manifest
from export.acceptance import Evidence, collect, prepare
from export.bundle_weights import lite_from_bundle
from export.radius_fit import fit_radius_factor
from training.datasets.pair_folder import PairFolder
from training.models.lite import LiteOptions

WRONG_RATE_TARGET = 0.1


def with_acceptance(
    manifest: Manifest,
    fitting: Evidence,
    judging: Evidence,
    options: LiteOptions,
    fit_on: Sequence[Path],
    held_out: Sequence[Path],
) -> Manifest:
    """The manifest with an acceptance, an error radius and the scores that judge them.

    Args:
        manifest: of the bundle that located.
        fitting: what the acceptance is fitted on.
        judging: what its thresholds are chosen on.
        options: of the model, with the variances of its blend.
        fit_on: where `fitting` is from.
        held_out: where `judging` is from.

    Raises:
        DataError: too few fixes.
    """
    found = calibrate_acceptance(
        fitting.features, fitting.right, judging.features, judging.right, WRONG_RATE_TARGET
    )
    scores = {
        **judging.scores(),
        "accepted_share": round(found.accepted_share, 4),
        "wrong_rate": round(found.wrong_rate, 4),
        "data": _names(held_out),
    }
    factor = fit_radius_factor(judging, found.model, options)
    return msgspec.structs.replace(
        manifest,
        head=msgspec.structs.replace(manifest.head, radius_factor=factor),
        acceptance=found.to_spec(f"{_names(fit_on)}; threshold on {_names(held_out)}"),
        scores={**manifest.scores, "rendered_held_out": scores},
    )


def refitted(
    bundle: Bundle,
    fit_on: Sequence[Path],
    held_out: Sequence[Path],
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Manifest:
    """The manifest of a `lite` with acceptance, error radius and scores of it as it is.

    The variances that its head blends by stay.

    Args:
        bundle: with float32 graphs and alignment.
        fit_on: rendered samples (windows of the bundle's size) that the acceptance is fitted on.
        held_out: samples of other places, which choose its thresholds.
        progress: wraps indices to show progress.

    Raises:
        BundleError: a bundle that is no `lite`, or has no alignment.
        DataError: no samples there, or too few fixes.
    """
    aligner = Aligner.open(bundle)
    fitting, judging = (
        collect(
            Localizer.open(bundle),
            prepare(
                Localizer.open(bundle),
                aligner,
                [PairFolder.open(path) for path in paths],
                progress=progress,
            ),
        )
        for paths in (fit_on, held_out)
    )
    options = lite_from_bundle(bundle).options
    return with_acceptance(bundle.manifest, fitting, judging, options, fit_on, held_out)


def _names(folders: Sequence[Path]) -> str:
    made = [(p.name, json.loads((p / "made_by.json").read_text())) for p in folders]
    return ", ".join(
        f"{name} ({m['kind']}, seed {m['seed']}{', ' + '+'.join(m['sites']) if m['sites'] else ''})"
        for name, m in made
    )
