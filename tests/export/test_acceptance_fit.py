"""An acceptance fitted anew: on one set of samples, judged and bounded on the other."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

import export.acceptance_fit
from edge.acceptance import FEATURES, AcceptanceModel
from edge.bundle import Bundle, shipped_bundle_path
from edge.errors import DataError
from export.acceptance import Evidence
from export.acceptance_fit import WRONG_RATE_TARGET, refitted, with_acceptance
from export.bundle_weights import lite_from_bundle
from export.radius_fit import fit_radius_factor


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open(shipped_bundle_path())


def evidence(seed: int, count: int = 3000, off_px: float = 2.0) -> Evidence:
    """Fixes whose chance to be right is the logistic function of 12 (peak - 0.5)."""
    draw = np.random.default_rng(seed)
    aligned = np.arange(count) % 2 == 0
    features = np.zeros((count, len(FEATURES)))
    features[:, 0] = draw.random(count)
    features[:, FEATURES.index("aligned")] = aligned
    right = draw.random(count) < 1 / (1 + np.exp(-12 * (features[:, 0] - 0.5)))
    error = draw.normal(0, off_px, (count, 2))
    variance = np.where(aligned, 9.0, np.nan)
    iou, area = np.where(right, 0.6, 0.1), np.full(count, 900.0)
    return Evidence(
        features, right, iou, np.ones(count, bool), error, error, variance, area, aligned
    )


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    found = []
    for seed, name in enumerate(("towns", "farms")):
        folder = tmp_path / name
        folder.mkdir()
        made_by = {"kind": "scenes", "seed": seed, "sites": ["north"] * seed}
        (folder / "made_by.json").write_text(json.dumps(made_by))
        found.append(folder)
    return found


def test_the_law_behind_the_fixes_is_found_and_judged_on_others(shipped, folders) -> None:
    towns, farms = folders
    options = lite_from_bundle(shipped).options
    judging = evidence(2)
    found = with_acceptance(shipped.manifest, evidence(1), judging, options, [towns], [farms])
    spec = found.acceptance
    model = AcceptanceModel.from_spec(spec)
    odds = np.log(model.probability(np.eye(len(FEATURES))[:1]) ** -1 - 1)
    at_none = np.log(model.probability(np.zeros((1, len(FEATURES)))) ** -1 - 1)
    assert -float(odds[0] - at_none[0]) == pytest.approx(12, rel=0.15)
    assert -float(at_none[0]) == pytest.approx(-6, rel=0.15)
    assert spec.fitted_on == "towns (scenes, seed 0); threshold on farms (scenes, seed 1, north)"
    accepted = model.probability(judging.features) >= model.needed(True)
    for part in (judging.with_prior, ~judging.with_prior):
        assert 0.05 < (~judging.right[accepted & part]).mean() <= WRONG_RATE_TARGET + 0.02
    scores = found.scores["rendered_held_out"]
    assert scores["data"] == "farms (scenes, seed 1, north)"
    assert scores["acc@0.5"] == pytest.approx(judging.right[1::2].mean(), abs=1e-4)
    assert scores["wrong_rate"] <= WRONG_RATE_TARGET
    assert found.head.radius_factor == fit_radius_factor(judging, model, options)


def test_a_bundle_is_fitted_anew_with_all_else_as_it_is(shipped, folders, monkeypatch) -> None:
    towns, farms = folders
    of_folder = {towns: evidence(1), farms: evidence(2, off_px=4.0)}
    monkeypatch.setattr(export.acceptance_fit.PairFolder, "open", lambda path: path)

    def prepare(localizer, aligner, opened, progress):
        assert localizer.model_id == shipped.encoder_id("fp32")
        return list(progress(opened))

    monkeypatch.setattr(export.acceptance_fit, "prepare", prepare)
    monkeypatch.setattr(
        export.acceptance_fit, "collect", lambda localizer, prepared: of_folder[prepared[0]]
    )
    found = refitted(shipped, [towns], [farms])
    options = lite_from_bundle(shipped).options
    assert found == with_acceptance(
        shipped.manifest, of_folder[towns], of_folder[farms], options, [towns], [farms]
    )
    kept = {"head": shipped.manifest.head, "acceptance": shipped.manifest.acceptance}
    assert msgspec.structs.replace(found, **kept, scores=shipped.manifest.scores) == (
        shipped.manifest
    )
    assert found.head.radius_factor != shipped.manifest.head.radius_factor
    assert (options.centre_var, options.click_var) != (0, 0), "of the blend in the bundle's graphs"


def test_too_few_fixes_are_refused(shipped, folders) -> None:
    options = lite_from_bundle(shipped).options
    few = evidence(2, 60)
    with pytest.raises(DataError, match="error radius cannot be fitted"):
        with_acceptance(shipped.manifest, evidence(1), few, options, folders[:1], folders[1:])
