"""Priors and answers: each sample once, whatever was stopped or is asked again."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from calibration.judging import locating, priors
from calibration.judging.held_out import open_held_out
from calibration.judging.locating import (
    ALIGNMENT,
    NO_PRIOR,
    answers_id,
    answers_of,
    as_stored,
)
from calibration.judging.priors import priors_of
from edge.errors import CalibrationError, DataError
from edge.types import Localizations, Prior, PriorSource, ReferenceFeature
from training.datasets.pair_folder import SampleLine

FILES = {
    "alignment/xfeat.onnx": "aaa",
    "graphs/fp32/reference_encoder.onnx": "bbb",
    "graphs/fp32/localizer.onnx": "ccc",
}


def made_bundle(**changed):
    return SimpleNamespace(manifest=SimpleNamespace(files={**FILES, **changed}))


@pytest.fixture
def folder(tmp_path):
    import msgspec

    home = tmp_path / "samples"
    home.mkdir()
    lines = []
    for n in range(4):
        for kind in ("frame", "window"):
            cv2.imwrite(str(home / f"{n:06d}_{kind}.jpg"), np.full((8, 8, 3), 40 * n, np.uint8))
        there = n != 2  # that window shows another place
        lines.append(
            SampleLine(f"{n:06d}", "made", [(1.0, 2.0)], [(0.0, 0.0, 4.0, 4.0)], [there], [None])
        )
    (home / "samples.jsonl").write_bytes(b"".join(msgspec.json.encode(x) + b"\n" for x in lines))
    return home


class StoppedError(Exception):
    pass


@pytest.fixture
def work(monkeypatch, tmp_path):
    """What was aligned and encoded, with a stop before the encoding of a given number."""
    seen = SimpleNamespace(aligned=[], encoded=[], opened=0, stop_at=None, folder=tmp_path / "work")

    def align(aligner, sample, described, rng):
        seen.aligned.append(int(sample.frame.max()))
        known = len(sample.present)
        if sample.frame.max() < 30:
            return Prior.none(known)
        xy_px = rng.random((known, 2)).astype(np.float32)
        return Prior(xy_px, np.full(known, 0.3, np.float32), PriorSource.ALIGNMENT, 31)

    class FakeLocalizer:
        def encode(self, window):
            if len(seen.encoded) == seen.stop_at:
                raise StoppedError
            seen.encoded.append(int(window.image.max()))
            return window

        def locate(self, frame, clicks, feature, prior):
            n = len(clicks)
            third = np.full((n, 4), frame.max() / 3, np.float32)
            return Localizations(third, *(prior.inv_var + np.float32(0.1) for _ in range(4)))

    def open_localizer(*_, **__):
        seen.opened += 1
        return FakeLocalizer()

    fake = SimpleNamespace(describe=lambda window: {})
    monkeypatch.setattr("export.aligned_samples.align", align)
    monkeypatch.setattr(priors.Aligner, "open", lambda *_, **__: fake)
    monkeypatch.setattr(locating.Localizer, "open", open_localizer)
    return seen


def test_samples_without_a_click_on_the_map_are_left_out(folder):
    samples = open_held_out([folder])
    assert [each.index for each in samples] == [0, 1, 3]
    assert [each.index for each in open_held_out([folder], every=3)] == [0, 3]
    assert len({each.sha256 for each in samples}) == 3
    assert samples[0].present.tolist() == [True]
    assert samples[0].truth_xyxy_px.tolist() == [[0, 0, 4, 4]]


def test_a_sample_is_known_by_its_pictures_and_its_labels(folder):
    before = open_held_out([folder])
    cv2.imwrite(str(folder / "000001_window.jpg"), np.full((8, 8, 3), 99, np.uint8))
    listing = folder / "samples.jsonl"
    listing.write_text(listing.read_text().replace("[[1.0,2.0]]", "[[1.0,2.5]]", 1))
    after = open_held_out([folder])
    same = [a.sha256 == b.sha256 for a, b in zip(before, after, strict=True)]
    assert same == [False, False, True]


def test_no_samples_are_said_so(folder, tmp_path):
    with pytest.raises(DataError, match="holds no rendered samples"):
        open_held_out([tmp_path / "nowhere"])
    listing = folder / "samples.jsonl"
    listing.write_text(listing.read_text().replace("true", "false"))
    with pytest.raises(CalibrationError, match="show nothing that was clicked"):
        open_held_out([folder])
    assert open_held_out([]) == ()


def test_alignment_is_done_once_and_its_numbers_survive(folder, work):
    samples, bundle = open_held_out([folder]), made_bundle()
    first = priors_of(bundle, samples, work.folder)
    assert len(work.aligned) == 3
    again = priors_of(bundle, samples[::-1], work.folder)  # the order does not matter
    assert len(work.aligned) == 3
    assert first[samples[0].sha256] is None  # it did not align
    before, after = first[samples[1].sha256], again[samples[1].sha256]
    assert (before.xy_px == after.xy_px).all() and after.inliers == 31
    priors_of(made_bundle(**{"alignment/xfeat.onnx": "new"}), samples, work.folder)
    assert len(work.aligned) == 6


def test_a_bundle_that_cannot_align_has_no_such_regime(folder, work):
    bundle = SimpleNamespace(manifest=SimpleNamespace(files=dict(FILES)))
    del bundle.manifest.files["alignment/xfeat.onnx"]
    samples = open_held_out([folder])
    assert priors_of(bundle, samples, work.folder) == {}
    found = answers_of(bundle, "fp32", samples, {}, work.folder)
    assert all(set(each.regimes) == {NO_PRIOR} for each in found.values())


def test_a_stopped_run_goes_on_behind_the_last_sample(folder, work):
    samples, bundle = open_held_out([folder]), made_bundle()
    known = priors_of(bundle, samples, work.folder)
    whole = answers_of(bundle, "fp32", samples, known, work.folder / "whole")
    del work.encoded[:]
    work.stop_at = 2
    with pytest.raises(StoppedError):
        answers_of(bundle, "fp32", samples, known, work.folder)
    assert len(work.encoded) == 2
    work.stop_at = None
    assert answers_of(bundle, "fp32", samples, known, work.folder) == whole
    assert len(work.encoded) == 3  # two before, one now
    opened = work.opened
    assert answers_of(bundle, "fp32", samples, known, work.folder) == whole
    assert work.opened == opened  # no graph is loaded where nothing is left to do
    aligned = [ALIGNMENT in whole[each.sha256].regimes for each in samples]
    assert aligned == [False, True, True]
    answer = whole[samples[1].sha256].regimes[ALIGNMENT].localizations()
    assert answer.box_xyxy_px[0, 0] == np.float32(samples[1].read().frame.max() / 3)
    assert answer.confidence_logit.dtype == np.float32


def test_answers_of_other_graphs_are_not_taken(folder, work):
    samples = open_held_out([folder])
    answers_of(made_bundle(), "fp32", samples, {}, work.folder)
    other = made_bundle(**{"graphs/fp32/localizer.onnx": "new"})
    answers_of(other, "fp32", samples, {}, work.folder)
    assert len(work.encoded) == 6


def test_features_come_back_from_a_store_as_it_holds_them():
    spec = SimpleNamespace(name="v")
    bundle = SimpleNamespace(manifest=SimpleNamespace(features=(spec,)))
    value = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float16)
    feature = ReferenceFeature({"v": value, "cells": value[0]}, None, 8, 8, "w", "m", "id", 1.0)
    assert as_stored(feature, bundle, "float16") is feature
    stored = as_stored(feature, bundle, "int8").tensors
    assert set(stored) == {"v", "cells"} and stored["cells"] is feature.tensors["cells"]
    error = np.abs(stored["v"].astype(np.float32) - value.astype(np.float32))
    assert 0 < error.max() < np.abs(value.astype(np.float32)).max() / 127
    named = {f"graphs/fp32/{kind}.onnx": kind for kind in ("reference_encoder", "localizer")}
    same = SimpleNamespace(manifest=SimpleNamespace(files=named))
    assert answers_id(same, "fp32") != answers_id(same, "fp32", "int8")
