"""Run a bundle several ways on the same inputs and compare the answers, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.errors import ExecutorError, TilefixError, UsageError
from export.verification.boxes import BoxTally
from export.verification.cases import Case
from export.verification.comparison import TensorTally
from export.verification.runs import FP32_ONLY, Answer, Run, RunName, absence, open_run
from export.verification.tapped import TAP
from export.verification.tolerances import Tolerance, between
from export.verification.verdict import Broken, Comparison, Failed, Skipped, Verification

BOXES = (LOCALIZER, "box_xyxy_px")
# Outputs that jump where two cells nearly tie, or that are judged as boxes: only their NaNs count.
JUMPS = {"box_xyxy_px", "second_peak_similarity", "cell_similarity"}
# The localizer's outputs as one is computed from the other: the first that diverges is a cause.
FLOW = (
    "query_vector",
    "attention",
    "peak_similarity",
    "second_peak_similarity",
    "cell_similarity",
    "confidence_logit",
    "box_xyxy_px",
)
THREADS = 2
Opener = Callable[[RunName], Run]


@dataclass(slots=True)
class _Candidate:
    """A run on its way through the inputs."""

    name: RunName
    run: Run
    boxes: BoxTally
    tensors: dict[tuple[str, str], TensorTally] = field(default_factory=dict)
    probes: list[Broken] = field(default_factory=list)
    only_reference: set[str] = field(default_factory=set)
    only_candidate: set[str] = field(default_factory=set)


def verify(
    bundle: Bundle,
    reference: RunName,
    candidates: Sequence[RunName],
    cases: Iterable[Case],
    probes: Iterable[Case],
    limits: dict[str, Tolerance],
    *,
    inputs: str,
    opener: Opener | None = None,
    absent: Callable[[RunName], str] | None = None,
    progress: Callable[[Iterable[Case]], Iterable[Case]] = iter,
) -> Verification:
    """Compare every candidate with the reference.

    Args:
        bundle: with taps as outputs, to compare them too (`tapped_bundle`).
        reference: what the candidates are measured against.
        candidates: the runs to be judged.
        cases: the inputs whose answers are compared.
        probes: inputs whose answers only have to be numbers.
        limits: by precision of the candidate.
        inputs: what the inputs are, for people.
        opener: opens a run; when not given, in that bundle on two threads.
        absent: says why a run cannot be had, in place of `absence`.
        progress: wraps the inputs to show progress.

    Raises:
        UsageError: a run compared with itself, a precision without tolerances, or no inputs.
        ExecutorError: nothing is left to compare, or the reference fails.
        BundleError: the reference's graphs are not in the bundle.
    """
    names = tuple(dict.fromkeys(candidates))
    _check_request(reference, names, limits)
    missing = absent or (lambda name: absence(name, bundle))
    start = opener or (lambda name: open_run(name, bundle, THREADS))
    skipped = [Skipped(str(n), why) for n in names if (why := missing(n))]
    left = [name for name in names if str(name) not in {each.run for each in skipped}]
    if not left:
        raise ExecutorError(
            "nothing was compared",
            expected="at least one run beside the reference that can be had here",
            found="; ".join(f"{each.run}: {each.reason}" for each in skipped),
            do="mend what the reasons name, or name other --executors",
        )
    base = start(reference)
    running: list[_Candidate] = []
    failed: list[Failed] = []
    for name in left:
        try:
            run = start(name)
        except TilefixError as error:  # noqa: PERF203 - one that fails must not hide the others
            failed.append(Failed(str(name), str(error)))
        else:
            running.append(_Candidate(name, run, BoxTally(bundle.manifest.head.stride_px)))
    frames = clicks = 0
    for case in progress(cases):
        expected = base.answer(case)
        for each in tuple(running):
            if (found := _answer(each, case, running, failed)) is not None:
                _compare(each, expected, found, case)
        frames, clicks = frames + 1, clicks + len(case.click_xy_px)
    if not frames:
        raise UsageError(
            "there are no inputs to compare on",
            expected="frames with clicks",
            found=inputs,
            do="give --inputs demo, random, or a folder of pictures",
        )
    reference_probes: list[Broken] = []
    for case in probes:
        reference_probes += _broken(base.answer(case), case.name)
        for each in tuple(running):
            if (found := _answer(each, case, running, failed)) is not None:
                each.probes += _broken(found, case.name)
    return Verification(
        bundle=f"{bundle.manifest.name} {bundle.manifest.version}",
        bundle_sha256=bundle.manifest.manifest_sha256,
        reference=str(reference),
        inputs=inputs,
        frames=frames,
        clicks=clicks,
        comparisons=tuple(
            _concluded(each, between(limits, reference.precision, each.name.precision))
            for each in running
        ),
        skipped=tuple(skipped),
        failed=tuple(failed),
        reference_probes=tuple(reference_probes),
    )


def _check_request(
    reference: RunName, names: Sequence[RunName], limits: dict[str, Tolerance]
) -> None:
    if reference in names or not names:
        raise UsageError(
            "a run compared with itself always agrees: that says nothing",
            expected=f"runs other than the reference {reference}",
            found=", ".join(map(str, names)) or "none",
            do="name another executor or precision, or another --reference",
        )
    if reference.executor in FP32_ONLY and reference.precision != "fp32":
        raise UsageError(
            f"there is no run {reference} to measure against",
            expected=f"--reference {reference.executor}/fp32",
            found=f"{reference}; {FP32_ONLY[reference.executor]}",
            do=f"take {reference.executor}/fp32, or another executor",
        )
    for name in (reference, *names):
        if name.precision not in limits:
            raise UsageError(
                f"there are no limits for {name.precision}, by which {name} could be judged",
                expected=f"--precision with some of {','.join(limits)}",
                found=name.precision,
                do=f"leave {name.precision} out of --precision",
            )


def _answer(
    each: _Candidate, case: Case, running: list[_Candidate], failed: list[Failed]
) -> Answer | None:
    """A candidate's answer; one that fails leaves the comparison, and is a failure."""
    try:
        return each.run.answer(case)
    except TilefixError as error:
        running.remove(each)
        failed.append(Failed(str(each.name), f"on {case.name}: {error}"))
        return None


def _compare(each: _Candidate, expected: Answer, found: Answer, case: Case) -> None:
    if not any(name.startswith(TAP) for _, name in expected):  # torch has its taps at any time
        found = {key: value for key, value in found.items() if not key[1].startswith(TAP)}
    each.only_reference |= {name for _, name in expected.keys() - found.keys()}
    each.only_candidate |= {name for _, name in found.keys() - expected.keys()}
    for key in sorted(expected.keys() & found.keys(), key=_graph_order(expected)):
        if key not in each.tensors:
            each.tensors[key] = TensorTally(*key, judged=key[1] not in JUMPS)
        each.tensors[key].add(expected[key], found[key], case.name)
    if BOXES in expected and BOXES in found:
        each.boxes.add(expected[BOXES], found[BOXES], case.prior.inv_var == 0)


def _graph_order(answer: Answer) -> Callable[[tuple[str, str]], tuple[bool, bool, int]]:
    """Encoder before localizer, and in each its taps, in order, before what they lead to."""
    place = {key: number for number, key in enumerate(answer)}
    place |= {(LOCALIZER, name): number for number, name in enumerate(FLOW)}
    return lambda key: (key[0] != ENCODER, not key[1].startswith(TAP), place[key])


def _broken(answer: Answer, source: str) -> list[Broken]:
    found = []
    for graph, name in sorted(answer, key=_graph_order(answer)):
        count = int((~np.isfinite(answer[graph, name])).sum())
        if count:
            found.append(Broken(source, graph, name, count))
    return found


def _concluded(each: _Candidate, limit: Tolerance) -> Comparison:
    return Comparison(
        run=str(each.name),
        limit=limit,
        tensors=tuple(tally.agreement() for tally in each.tensors.values()),
        boxes=each.boxes.agreement(),
        probes=tuple(each.probes),
        only_reference=tuple(sorted(each.only_reference)),
        only_candidate=tuple(sorted(each.only_candidate)),
    )
