"""The judge: from ranges to a verdict on INT8, and the graphs that it keeps."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from calibration.judging.bench import BASE, Bench
from calibration.judging.budget import Finding, apply_budget, enough_labels
from calibration.judging.candidates import int8_share, write_candidate, write_kept
from calibration.judging.cpu_form import CpuForm, fit_cpu_form
from calibration.judging.environment import environment
from calibration.judging.feature_store import StoreBench
from calibration.judging.latency import latency_ratio
from calibration.judging.locating import answers_id
from calibration.judging.priors import Progress
from calibration.judging.real_frames import (
    RememberedAligner,
    labels_id,
    open_labelled,
    run_sites,
    score_real,
)
from calibration.judging.record import (
    AgreementScore,
    BlockSensitivity,
    CandidateScore,
    FeatureVerdict,
    Judgement,
    Outcome,
    RealScore,
)
from calibration.judging.request import JudgeRequest
from calibration.judging.scores import Likeness
from calibration.judging.search import Found, ranking_of, search
from calibration.judging.sensitivity import reliefs, sensitivities
from calibration.judging.verdict import (
    counted,
    little_sentences,
    method_sentence,
    outcome_of,
    ranking_sentence,
    reasons_of,
    share_sentences,
)
from calibration.quantization.int8_graphs import FloatGraphs
from calibration.quantization.qdq import Form
from calibration.ranges.record import Ranges
from edge.bundle import Bundle
from edge.scoring import JudgedClick
from edge.sinks import write_whole

KEPT = "kept"  # folder in `work`: graphs/int8+fp32/localizer.onnx ... as they go into the bundle
FLIES, ON_CPU = Form.TENSORRT, Form.ONNXRUNTIME


def judge(request: JudgeRequest, progress: Progress | None = None) -> Judgement:
    """Judge INT8 for a bundle: choose ranges, search for blocks to leave, score, decide.

    TensorRT's form decides, the one that flies; ONNX Runtime's is fitted to the budget after it,
    with more blocks in float32 where it needs them. Everything finished is kept in `request.work`,
    so that the same request goes on where it was stopped. The graphs of a judgement that is no
    rejection are in `request.work / KEPT`, in the bundle's own layout.

    Args:
        request: what to judge, and on what.
        progress: called with what is done, its number, and how many there are.

    Raises:
        UsageError, CalibrationError: a request that cannot be meant, or ranges of something else.
        DataError, PairsError: samples or labels that cannot be read.
        OutputError: a full disk.
        BundleError, ExecutorError: graphs that cannot be run.
    """
    request.check()
    request.work.mkdir(parents=True, exist_ok=True)
    return _Judge(request, progress).run()


class _Judge:
    def __init__(self, request: JudgeRequest, progress: Progress | None) -> None:
        self.request = request
        self.progress = progress
        self.start_s = time.monotonic()
        self.graphs = request.graphs or FloatGraphs(request.bundle)
        self.bench = Bench(request, progress)
        self.ranking = request.ranking
        self.likeness: dict[str, Likeness] = {}
        self.scores: list[CandidateScore] = []  # of the search
        self.cpu_scores: list[CandidateScore] = []  # of ONNX Runtime's form
        self.agreement: list[AgreementScore] = []

    def run(self) -> Judgement:
        request, bench = self.request, self.bench
        labelled = bool(bench.samples)
        base = bench.score(request.bundle, BASE, BASE)
        floats = []
        if labelled and request.score_fp16 and "fp16" in request.bundle.precisions:
            floats = [bench.score(request.bundle, "fp16", "fp16")]
        method = self.method()
        ranges = request.ranges[method]
        blocks = sensitivities(
            self.graphs,
            ranges,
            request.selection,
            request.work,
            latency_ms=request.ranking.saved_ms,
            progress=self.progress,
        )
        self.ranking = ranking_of(request.ranking, blocks)
        found = search(blocks, lambda left: self.trial(ranges, left), request.frames_per_window)
        left = found.trials[-1].left_float if found.left_float is None else found.left_float
        flying = self.candidate(ranges, left, FLIES)
        if enough_labels(base.regimes):  # else the search has done it
            self.agreement.append(bench.agreement(flying, FLIES.value, name_of(method, left)))
        real = self.real(flying)
        outcome = outcome_of(found, real)
        store = StoreBench(bench, request.budget_points)
        features = None
        if request.int8_features:
            kept = None if outcome is Outcome.REJECTED else flying
            features = store.judge(kept, FLIES.value, name_of(method, left), method, left)
        float_blocks = [next(x for x in blocks if x.block == name) for name in left]
        in_cpu_form = self.cpu_form(ranges, float_blocks, outcome)
        on_cpu = self.candidate(ranges, in_cpu_form.left_float, ON_CPU)
        ratios = latency_ratio(request.bundle, on_cpu, progress=self.progress)
        self.agreement += store.agreement
        shares = {} if outcome is Outcome.REJECTED else int8_share(self.graphs, left)
        return self.judgement(
            base if labelled else None, base.file_bytes,
            [*floats, *self.scores, *store.scores, *self.cpu_scores], blocks, found, real, outcome,
            reasons=(
                *little_sentences(outcome, shares, left, self.ranking),
                *reasons_of(
                    found, request.budget_points, self.scores, in_cpu_form, real
                ),
                *([features.sentence] if features else []),
                ranking_sentence(self.ranking),
                method_sentence(self.likeness, method),
                *share_sentences(shares),
            ),
            method=method, left=left, ratios=ratios, shares=shares, features=features,
            in_cpu_form=in_cpu_form,
        )  # fmt: skip

    def judgement(
        self,
        base: CandidateScore | None,
        float32_bytes: int,
        candidates: Sequence[CandidateScore],
        blocks: tuple[BlockSensitivity, ...],
        found: Found,
        real: RealScore | None,
        outcome: Outcome,
        *,
        reasons: tuple[str, ...],
        method: str,
        left: tuple[str, ...],
        ratios: dict[str, float],
        shares: dict[str, float],
        features: FeatureVerdict | None,
        in_cpu_form: CpuForm,
    ) -> Judgement:
        request, hashes, on_cpu = self.request, {}, None
        kept = request.work / KEPT
        shutil.rmtree(kept, ignore_errors=True)
        if outcome is not Outcome.REJECTED:
            on_cpu = in_cpu_form.verdict
            left_of = {FLIES: left, ON_CPU: in_cpu_form.left_float}
            hashes = write_kept(self.graphs, request.ranges[method], left_of, kept)
        return Judgement(
            outcome=outcome,
            reasons=reasons,
            budget_points=request.budget_points,
            method=method,
            left_float=found.left_float or (),
            base=base,
            float32_bytes=float32_bytes,
            candidates=tuple(candidates),
            sensitivity=blocks,
            frames_per_window=request.frames_per_window,
            ranking=self.ranking,
            int8_features=features,
            cpu_form=on_cpu,
            agreement=tuple(self.agreement),
            real=real,
            latency_ratio=ratios,
            int8_share_of_macs=shares,
            graph_sha256=hashes,
            samples=tuple(path.name for path in request.samples),
            environment=environment(),
            seconds=time.monotonic() - self.start_s,
        )

    def method(self) -> str:
        """The method whose graphs answer most like float32."""
        if len(self.request.ranges) == 1:
            return next(iter(self.request.ranges))
        for method, ranges in self.request.ranges.items():
            bundle = self.candidate(ranges, (), FLIES)
            self.likeness[method] = self.bench.likeness(bundle, FLIES.value)
        return max(self.likeness, key=lambda method: self.likeness[method].value)

    def candidate(self, ranges: Ranges, left: tuple[str, ...], form: Form) -> Bundle:
        """A bundle for judging; the last one of its form is replaced."""
        folder = self.request.work / f"candidate-{form.value}"
        return write_candidate(self.graphs, ranges, left, form, folder)

    def trial(self, ranges: Ranges, left: tuple[str, ...]) -> Finding:
        """Score one candidate of the search."""
        bundle = self.candidate(ranges, left, FLIES)
        score, finding = self.score(bundle, FLIES, ranges.method, left)
        self.scores.append(score)
        return finding

    def cpu_form(
        self, ranges: Ranges, left: Sequence[BlockSensitivity], outcome: Outcome
    ) -> CpuForm:
        """ONNX Runtime's form of what is kept; of what is not, how it would have come out."""

        def trial(blocks: tuple[str, ...]) -> Finding:
            bundle = self.candidate(ranges, blocks, ON_CPU)
            score, finding = self.score(bundle, ON_CPU, ranges.method, blocks)
            self.cpu_scores.append(score)
            return finding

        def ranked() -> tuple[BlockSensitivity, ...]:
            place = self.request.selection, self.request.work
            return reliefs(self.graphs, ranges, *place, names, self.progress)

        names = tuple(each.block for each in left)
        if outcome is Outcome.REJECTED:
            finding = trial(names)
            return CpuForm(names, finding, finding)
        return fit_cpu_form(left, trial, ranked, self.request.frames_per_window)

    def score(
        self, bundle: Bundle, form: Form, method: str, left: tuple[str, ...]
    ) -> tuple[CandidateScore, Finding]:
        """Scores and what the budget says of them."""
        name = name_of(method, left, "float32" if form is ON_CPU else "float16")
        score = self.bench.score(bundle, form.value, name, method, left)
        agreement = None
        if not enough_labels(score.regimes):
            found = self.bench.agreement(bundle, form.value, f"{name} ({form.value})")
            self.agreement.append(found)
            agreement = found.box_iou_median
        return score, apply_budget(score.regimes, self.request.budget_points, agreement)

    def real(self, candidate: Bundle) -> RealScore | None:
        """Labelled frames, before and after."""
        request = self.request
        if not request.pairs:
            return None
        sites = open_labelled(request.bundle, request.pairs, request.images)
        aligner = RememberedAligner(request.bundle, request.work)
        labels = labels_id(request.bundle, sites)
        answers = []
        for bundle, precision in ((request.bundle, BASE), (candidate, FLIES.value)):
            path = request.work / f"real-{answers_id(bundle, precision)}-{labels}.json"
            if not path.exists():
                clicks = run_sites(bundle, precision, sites, aligner, self.progress)
                write_whole(path, msgspec.json.encode(clicks))
            answers.append(_judged(path))
        return score_real([path.name for path in request.pairs], *answers)


def name_of(method: str, left: tuple[str, ...], kept_in: str = "float16") -> str:
    """A candidate's name in tables."""
    return f"{method}, {counted(left)} {kept_in}" if left else method


def _judged(path: Path) -> list[JudgedClick]:
    return msgspec.json.decode(path.read_bytes(), type=list[JudgedClick])
