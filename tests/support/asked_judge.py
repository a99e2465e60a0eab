"""A request to the judge whose scores come out of a table in place of graphs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from made_scores import block, regime

from calibration.judging import judge as judging
from calibration.judging.record import AgreementScore, CandidateScore
from calibration.judging.request import JudgeRequest
from calibration.judging.scores import Likeness
from calibration.ranges.record import Ranges

HASHES = {"graphs/fp32/reference_encoder.onnx": "e", "graphs/fp32/localizer.onnx": "l"}
BLOCKS = [block(f"localizer/{n}", 1.0 - n / 10) for n in range(8)]


def ranges(method, selection="s", encoder="e") -> Ranges:
    return Ranges(
        graph_sha256={"reference_encoder": encoder, "localizer": "l"},
        selection_sha256=selection,
        method=method,
        preprocessing="p",
        entries=(),
    )


def asked_judge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A request; `needed` are the blocks that must be float16, `likeness` the trial of methods.

    `needed_on_cpu`: blocks that ONNX Runtime's form must have in float32 beside those.
    """
    asked = SimpleNamespace(needed=set(), likeness={}, written=[], clicks=2100, median=0.95)
    asked.stored = []
    asked.needed_on_cpu = set()
    asked.store_loses = {}  # precision -> points that features in int8 cost with its graphs

    class FakeBench:
        def __init__(self, request, progress):
            self.request, self.samples = request, request.samples

        def score(self, bundle, precision, name, method="", left_float=(), stored="float16"):
            asked.stored.append((precision, stored))
            needed = asked.needed | (asked.needed_on_cpu if precision == "int8+fp32" else set())
            lost = 0.0 if bundle.float or needed <= set(left_float) else -3.0
            if stored == "int8":
                lost -= asked.store_loses.get(precision, 0.0)
            change = (lost, lost - 0.5, lost + 0.5)
            regimes = (regime(clicks=asked.clicks, change=change),) if self.samples else ()
            return CandidateScore(
                name=name,
                precision=precision,
                method=method,
                left_float=tuple(left_float),
                regimes=regimes,
                file_bytes=1,
            )

        def agreement(self, bundle, precision, name, stored="float16"):
            asked.stored.append((precision, stored))
            return AgreementScore(
                candidate=name,
                clicks=8,
                box_iou_median=asked.median,
                box_iou_90=0.8,
                same_verdict=1.0,
            )

        def likeness(self, bundle, precision):
            return Likeness("likeness, made", asked.likeness[bundle.method])

    def candidate(graphs, found, left, form, folder):
        return SimpleNamespace(float=False, method=found.method, form=form, left=left)

    def kept(graphs, found, left, folder):
        asked.written.append((found.method, left, folder))
        return {"graphs/int8+fp32/localizer.onnx": "sha"}

    monkeypatch.setattr(judging, "Bench", FakeBench)
    monkeypatch.setattr(judging, "sensitivities", lambda *_, **__: tuple(BLOCKS))
    monkeypatch.setattr(judging, "reliefs", lambda *_: tuple(BLOCKS))
    monkeypatch.setattr(judging, "write_candidate", candidate)
    monkeypatch.setattr(judging, "write_kept", kept)

    def ratio(bundle, candidate, **_):
        asked.timed.append((candidate.form, candidate.left))
        return {"localizer": asked.ratio}

    asked.timed, asked.ratio = [], 1.4
    monkeypatch.setattr(judging, "latency_ratio", ratio)
    asked.shares = {"localizer": 0.9}
    monkeypatch.setattr(judging, "int8_share", lambda *_: asked.shares)

    def request(methods=("minmax",), samples=("held",), **other) -> JudgeRequest:
        manifest = SimpleNamespace(files=HASHES, features=())
        return JudgeRequest(
            bundle=SimpleNamespace(manifest=manifest, float=True, precisions=("fp16", "fp32")),
            ranges={each: ranges(each) for each in methods},
            selection=SimpleNamespace(selection=SimpleNamespace(digest=lambda: "s")),
            work=tmp_path,
            samples=tuple(tmp_path / name for name in samples),
            **other,
        )

    asked.request = request
    asked.work = tmp_path
    return asked
