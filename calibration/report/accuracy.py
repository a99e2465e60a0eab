"""Accuracy against size and against time: what of a judgement is a point in which chart.

Time is what was measured: of float32 and of ONNX Runtime's form on this CPU, and on a device where
one was asked, of float16 and of all blocks in INT8. What was scored and not timed is shown beside
the axis, with its size.
"""

from __future__ import annotations

from collections.abc import Sequence

from calibration.judging.record import CandidateScore, GraphLatency, Judgement, RankedBy
from calibration.quantization.qdq import Form
from calibration.report.charts import Point, scatter
from edge.bundle import LOCALIZER

ON_CPU, FLIES = Form.ONNXRUNTIME.value, Form.TENSORRT.value
UNTIMED = "latency not measured"
IN_STORE = "features in int8"  # ends the name of a candidate with them: its graphs are another's


def accuracy_charts(judgement: Judgement) -> str:
    """Charts of each regime; nothing where nothing was labelled."""
    if judgement.base is None:
        return ""
    rows = []
    for regime in judgement.base.regimes:
        label = f"acc@0.25 in %, {regime.regime}"
        points = size_points((judgement.base, *judgement.candidates), regime.regime)
        charts = [scatter(points, "size of both graphs, MB", label)]
        points = cpu_points(judgement, regime.regime)
        charts.append(scatter(points, "localizer's time on this CPU, float32 = 1", label, UNTIMED))
        points = device_points(judgement, regime.regime)
        if points and judgement.ranking is not None:
            axis = f"localizer's layers on {judgement.ranking.device}, ms"
            charts.append(scatter(points, axis, label, UNTIMED))
        rows.append(f'<div class="pad two">{"".join(f"<div>{x}</div>" for x in charts)}</div>')
    return "".join(rows)


def size_points(candidates: Sequence[CandidateScore], regime: str) -> list[Point]:
    """Every candidate that was scored, by the size of its graphs."""
    return [
        point
        for each in candidates
        for point in _point(each, regime, _named(each), each.file_bytes / 1e6)
    ]


def cpu_points(judgement: Judgement, regime: str) -> list[Point]:
    """Each precision once, by its localizer's time on this CPU, float32 = 1.

    Float32 and ONNX Runtime's form are timed there; float16, which a CPU only emulates, and the
    form for TensorRT are not.
    """
    times = cpu_times(judgement)
    return [
        point
        for each in each_precision(judgement)
        for point in _point(
            each, regime, sized(each.precision, each.file_bytes), times.get(each.precision)
        )
    ]


def cpu_times(judgement: Judgement) -> dict[str, float]:
    """Precision -> its localizer's time on this CPU, float32 = 1; of those that were timed."""
    ratio = judgement.latency_ratio.get(LOCALIZER)
    return {"fp32": 1.0, ON_CPU: 1 / ratio} if ratio else {}


def device_points(judgement: Judgement, regime: str) -> list[Point]:
    """By the localizer's milliseconds on the device that blocks were timed on; none was: empty.

    The engines that were timed there are float16's and that of all blocks in INT8: a mix is not.
    """
    timed = timed_localizer(judgement)
    if timed is None:
        return []
    return [
        point
        for each in each_precision(judgement)
        for point in _point(
            each, regime, sized(each.precision, each.file_bytes), device_ms(timed, each)
        )
    ]


def timed_localizer(judgement: Judgement) -> GraphLatency | None:
    """The localizer's times on the device that blocks were timed on; None: none was."""
    ranking = judgement.ranking
    if ranking is None or ranking.by is not RankedBy.LATENCY:
        return None
    return next((each for each in ranking.graphs if each.graph == LOCALIZER), None)


def device_ms(timed: GraphLatency, each: CandidateScore) -> float | None:
    """A candidate's milliseconds on the device; None: it was not timed there."""
    if each.precision == "fp16":
        return timed.fp16_ms
    return timed.int8_ms if each.precision == FLIES and not each.left_float else None


def each_precision(judgement: Judgement) -> list[CandidateScore]:
    """The candidates that became something: one of each precision, float32 first."""
    chosen = {} if judgement.base is None else {judgement.base.precision: judgement.base}
    for each in judgement.candidates:
        if each.name.endswith(IN_STORE):
            continue
        known = chosen.get(each.precision)
        if known is None or each.left_float == kept_blocks(judgement, each.precision):
            chosen[each.precision] = each
    return list(chosen.values())


def kept_blocks(judgement: Judgement, precision: str) -> tuple[str, ...]:
    """The blocks that are not in INT8 in the graphs of a precision that were kept."""
    own = judgement.cpu_form
    return judgement.left_float if own is None or precision == FLIES else own.left_float


def _named(each: CandidateScore) -> str:
    return each.name if each.name == each.precision else f"{each.name} ({each.precision})"


def sized(precision: str, file_bytes: int) -> str:
    """A precision with the size of both graphs."""
    return f"{precision}, {file_bytes / 1e6:.1f} MB"


def _point(each: CandidateScore, regime: str, label: str, x: float | None) -> list[Point]:
    """One point; none where the candidate was not scored in this regime."""
    found = next((r for r in each.regimes if r.regime == regime), None)
    if found is None:
        return []
    accuracy, change = 100 * found.accuracy_25, found.change_25
    low, high = (accuracy + end - change.mean for end in (change.low, change.high))
    return [Point(label, x, accuracy, low, high)]
