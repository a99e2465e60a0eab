"""Agreement with float32 against size and against time, where that decided and no accuracy did.

Float32 agrees with itself, so its point is known without a measurement. Float16 is not compared.
"""

from __future__ import annotations

from calibration.judging.record import CandidateScore, Judgement
from calibration.judging.verdict import by_labels
from calibration.report.accuracy import (
    FLIES,
    UNTIMED,
    cpu_times,
    device_ms,
    each_precision,
    sized,
    timed_localizer,
)
from calibration.report.charts import Point, scatter

LABEL = "median IoU with float32's boxes"


def agreement_charts(judgement: Judgement) -> str:
    """The charts; nothing where labels decided, or where no candidate was compared."""
    compared = medians(judgement)
    if by_labels(judgement) or not compared:
        return ""
    charts = [scatter(agreement_by_size(judgement), "size of both graphs, MB", LABEL)]
    axis = "localizer's time on this CPU, float32 = 1"
    charts.append(scatter(agreement_by_cpu_time(judgement), axis, LABEL, UNTIMED))
    points = agreement_by_device_time(judgement)
    if points and judgement.ranking is not None:
        axis = f"localizer's layers on {judgement.ranking.device}, ms"
        charts.append(scatter(points, axis, LABEL, UNTIMED))
    return f'<div class="pad two">{"".join(f"<div>{x}</div>" for x in charts)}</div>'


def agreement_by_size(judgement: Judgement) -> list[Point]:
    """Float32 and every candidate that was compared, by the size of its graphs."""
    size = float32_bytes(judgement)
    points = [_point("fp32", size / 1e6, 1.0)] if size else []
    return points + [
        _point(_name(each), each.file_bytes / 1e6, median) for each, median in medians(judgement)
    ]


def agreement_by_cpu_time(judgement: Judgement) -> list[Point]:
    """Each precision once, by its localizer's time on this CPU, float32 = 1."""
    times = cpu_times(judgement)
    size = float32_bytes(judgement)
    points = [_point(sized("fp32", size), times.get("fp32"), 1.0)] if size else []
    return points + [
        _point(sized(each.precision, each.file_bytes), times.get(each.precision), median)
        for each, median in _chosen(judgement)
    ]


def agreement_by_device_time(judgement: Judgement) -> list[Point]:
    """By the localizer's milliseconds on the device that blocks were timed on; none was: empty."""
    timed = timed_localizer(judgement)
    if timed is None:
        return []
    return [
        _point(sized(each.precision, each.file_bytes), device_ms(timed, each), median)
        for each, median in _chosen(judgement)
    ]


def medians(judgement: Judgement) -> list[tuple[CandidateScore, float]]:
    """The candidates that were compared on the selection's pictures, each with its median IoU."""
    found = {each.candidate: each.box_iou_median for each in judgement.agreement}
    return [(each, found[_name(each)]) for each in judgement.candidates if _name(each) in found]


def kept_median(judgement: Judgement) -> float | None:
    """The median IoU that decided on the form that flies; None: labels decided, or it is not told.

    Where all were rejected it is that of all blocks in INT8.
    """
    if by_labels(judgement):
        return None
    return next((found for each, found in _chosen(judgement) if each.precision == FLIES), None)


def float32_bytes(judgement: Judgement) -> int:
    """The size of float32's graphs; 0: not told."""
    if judgement.base is not None and judgement.base.file_bytes:
        return judgement.base.file_bytes
    return judgement.float32_bytes


def _chosen(judgement: Judgement) -> list[tuple[CandidateScore, float]]:
    """Of each precision the candidate that became something, if it was compared."""
    chosen = each_precision(judgement)
    return [(each, median) for each, median in medians(judgement) if each in chosen]


def _name(each: CandidateScore) -> str:
    """As the judge names its comparisons."""
    return f"{each.name} ({each.precision})"


def _point(label: str, x: float | None, y: float) -> Point:
    return Point(label, x, y, y, y)
