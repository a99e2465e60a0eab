"""What the measured bundle is worth: its scores on the very pairs file that its latency is of.

The bundled flight is judged as it is flown, with windows by telemetry; any other pairs file as
`tilefix evaluate` does it, over the whole map.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.record.lines import AccuracyLine, Unknown
from benchmarks.scenarios.drive import StopFlag
from benchmarks.scenarios.flights import Flight
from edge.alignment import Aligner
from edge.assembly import ALIGNMENT_GRAPH, ExecutorChoice, PriorChoice
from edge.bundle import Bundle
from edge.evaluation import FrameResult as EvaluatedFrame
from edge.evaluation import open_sites, run_site
from edge.frame_result import FrameResult
from edge.localizer import Localizer
from edge.predictors import LitePredictor
from edge.scoring import JudgedClick, score
from edge.truth import Truth, by_geometry
from edge.types import Frame, Verdict


def accuracy_lines(
    run_id: str, flight: Flight, bundle: Bundle, executor: ExecutorChoice, stop: StopFlag
) -> Iterator[AccuracyLine]:
    """One line without a prior, and one with alignment where the bundle has its graph.

    None of a pass over the frames that a stop was asked for in: a part has another accuracy.
    """
    priors = [PriorChoice.NONE]
    if ALIGNMENT_GRAPH in bundle.manifest.files:
        priors.append(PriorChoice.ALIGNMENT)
    for prior in priors:
        if flight.folder is not None:
            judged = _flown(flight, bundle, executor, prior, stop)
        else:
            judged = _evaluated(flight, bundle, executor, prior, stop)
        if stop.requested:
            return
        yield accuracy_line(run_id, prior.value, judged)


def accuracy_line(run_id: str, prior: str, judged: list[JudgedClick]) -> AccuracyLine:
    """The scores that stand beside a latency."""
    scores = score(judged)
    wrong = scores["wrong_rate"]
    return AccuracyLine(
        run_id=run_id,
        prior=prior,
        clicks=len(judged),
        acc25=float(scores["acc@0.25"] or 0.0),
        acc50=float(scores["acc@0.5"] or 0.0),
        coverage=float(scores["coverage"] or 0.0),
        wrong_rate=Unknown("nothing was accepted") if wrong is None else float(wrong),
    )


def _flown(
    flight: Flight, bundle: Bundle, executor: ExecutorChoice, prior: PriorChoice, stop: StopFlag
) -> list[JudgedClick]:
    """The clicks of a flight as `tilefix demo` locates them."""
    truth = Truth(flight.pairs, by_geometry(flight.pairs), bundle.manifest.window.gsd_m)
    assembly = flight.assemble(bundle, executor, prior=prior)
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
