"""What the measured bundle is worth: its scores on the very pairs file that its latency is of.

The bundled flight is judged as `tilefix demo` locates it, with windows by telemetry and alignment
in its turn; any other pairs file as `tilefix evaluate` does it, over the whole map. An open loop
has less time than that: its own fixes are judged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from benchmarks.record.lines import AccuracyLine, Unknown
from benchmarks.scenarios.drive import StopFlag
from benchmarks.scenarios.flights import Flight
from edge.alignment import Aligner
from edge.assembly import ExecutorChoice, PriorChoice
from edge.bundle import ALIGNMENT_GRAPH, Bundle
from edge.evaluation import FrameResult as EvaluatedFrame
from edge.evaluation import open_sites, run_site
from edge.feature_cache import StoredFeatures
from edge.frame_result import FrameResult
from edge.localizer import Localizer
from edge.predictors import LitePredictor
from edge.scoring import JudgedClick, score
from edge.truth import Truth, by_geometry
from edge.types import Frame, Verdict

NOT_MAPPED = "nothing that was clicked is on the map"
NOT_CLICKED = "nothing labelled was clicked"
NOT_ACCEPTED = "nothing was accepted"


def accuracy_lines(
    run_id: str,
    flight: Flight,
    bundle: Bundle,
    executor: ExecutorChoice,
    stop: StopFlag,
    done: Collection[str] = (),
    store: StoredFeatures | None = None,
) -> Iterator[AccuracyLine]:
    """One line without a prior, and one with alignment where the bundle has its graph.

    None of a pass over the frames that a stop was asked for in: a part has another accuracy.

    Args:
        run_id: of the run.
        flight: frames, clicks and map.
        bundle: opened.
        executor: what runs it.
        stop: asks for an end after the frame at work.
        done: priors that were scored before.
        store: with windows of a recorded flight; None: they are encoded.
    """
    for prior in map(PriorChoice, priors_of(bundle)):
        if prior.value in done:
            continue
        if flight.folder is not None:
            judged = _flown(flight, bundle, executor, prior, stop, store)
        else:
            judged = _evaluated(flight, bundle, executor, prior, stop)
        if stop.requested:
            return
        yield accuracy_line(run_id, prior.value, judged)


def priors_of(bundle: Bundle) -> tuple[str, ...]:
    """The priors that a bundle can be scored with."""
    aligned = (PriorChoice.ALIGNMENT.value,) if ALIGNMENT_GRAPH in bundle.manifest.files else ()
    return (PriorChoice.NONE.value, *aligned)


def accuracy_line(run_id: str, prior: str, judged: list[JudgedClick]) -> AccuracyLine:
    """The scores that stand beside a latency."""
    scores = score(judged)

    def known(key: str, otherwise: str) -> float | Unknown:
        value = scores[key]
        return Unknown(otherwise) if value is None else float(value)

    return AccuracyLine(
        run_id=run_id,
        prior=prior,
        clicks=len(judged),
        acc25=known("acc@0.25", NOT_MAPPED),
        acc50=known("acc@0.5", NOT_MAPPED),
        coverage=known("coverage", NOT_CLICKED),
        wrong_rate=known("wrong_rate", NOT_ACCEPTED),
    )


def _flown(
    flight: Flight,
    bundle: Bundle,
    executor: ExecutorChoice,
    prior: PriorChoice,
    stop: StopFlag,
    store: StoredFeatures | None,
) -> list[JudgedClick]:
    """The clicks of a flight as `tilefix demo` locates them."""
    truth = Truth(flight.pairs, by_geometry(flight.pairs), bundle.manifest.window.gsd_m)
    assembly = flight.assemble(bundle, executor, prior=prior, store=store)
    judged: list[JudgedClick] = []
    try:
        for index, shot in enumerate(flight.shots):
            if stop.requested:
                break
            frame = Frame(shot.image_bgr[:, :, ::-1].copy(), index, shot.time_s, shot.source)
            result = assembly.pipeline.process(frame, shot.clicks, shot.pose)
            judged += _judged(truth, result, bundle.manifest.window.gsd_m)
    finally:
        assembly.close()
    return judged


def _judged(truth: Truth, result: FrameResult, gsd_m: float) -> list[JudgedClick]:
    return [
        JudgedClick(
            frame=result.frame.source,
            object_id=each.object_id,
            truth_xyxy_px=each.truth_box_px,
            box_xyxy_px=result.box_shown(each.fix),
            accepted=each.fix.verdict is Verdict.ACCEPTED,
            gsd_m=gsd_m,
        )
        for each in truth.judge(result)
    ]


def _evaluated(
    flight: Flight, bundle: Bundle, executor: ExecutorChoice, prior: PriorChoice, stop: StopFlag
) -> list[JudgedClick]:
    size = bundle.manifest.window
    (site,) = open_sites([flight.pairs], size.gsd_m, size.width_px)
    how = executor.name, executor.precision, executor.threads, executor.device
    localizer = Localizer.open(bundle, *how)
    aligner = None
    if prior is PriorChoice.ALIGNMENT:
        aligner = Aligner.open(bundle, threads=executor.threads)

    def on_frame(_: EvaluatedFrame) -> None:
        if stop.requested:
            raise KeyboardInterrupt  # which `run_site` takes as the wish to end

    run = run_site(LitePredictor(localizer, aligner), site, on_frame=on_frame)
    return list(run.own)
