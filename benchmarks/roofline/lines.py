"""The roofline's lines of a record: what each graph needs, and how near its time comes to that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.record.lines import RooflineLine, Unknown
from benchmarks.roofline.counts import GraphCounts, count_graph
from benchmarks.roofline.machine import copy_gb_s, matrix_gmac_s
from edge.bundle import ENCODER, LOCALIZER
from edge.errors import BenchmarkError, TilefixError
from edge.extras import missing_library
from edge.localizer import NUMBERS
from edge.precisions import INT8, short_name

if TYPE_CHECKING:
    from edge.bundle import Bundle

ON_PROCESSOR = ("onnxruntime", "reference")  # executors that this machine's limits hold for
NOT_RUN = "this run used another precision"


@dataclass(frozen=True, slots=True)
class MeasuredGraph:
    """The time of a graph by itself: without pre-processing, copies and post-processing."""

    graph: str  # "localizer", "reference_encoder"
    clicks: int  # 0 for the encoder
    median_ms: float | Unknown  # Unknown: it ran too few times for a median


@dataclass(frozen=True, slots=True)
class Limits:
    """What the machine can do at most, where the graphs run."""

    copy_gb_s: float | Unknown
    matrix_gmac_s: float | Unknown


def machine_limits(executor: str, precision: str, threads: int) -> Limits:
    """Measure this machine for an executor, in under two seconds; unknown for one on a GPU."""
    if executor not in ON_PROCESSOR:
        reason = f"{executor} runs on a GPU, whose limits are not measured: see the published peaks"
        return Limits(Unknown(reason), Unknown(reason))
    kind = "int8" if short_name(precision) == INT8 else "float32"
    copied: float | Unknown
    rate: float | Unknown
    try:
        copied = copy_gb_s(threads)
    except BenchmarkError as error:
        copied = Unknown(f"{error.what}: {error.found}")
    try:
        rate = matrix_gmac_s(threads, kind)
    except ModuleNotFoundError as error:
        rate = _missing(error)
    return Limits(copied, rate)


def roofline_lines(
    run_id: str,
    bundle: Bundle,
    precision: str,
    measured: Sequence[MeasuredGraph],
    *,
    executor: str = "onnxruntime",
    threads: int = 2,
    limits: Limits | None = None,
) -> list[RooflineLine]:
    """The lines of a run: its graphs with their times, and those of the bundle's other precisions.

    The others have no time; a reader predicts other boards from them. What cannot be counted or
    measured is unknown with its reason, so that a long run does not fail at its end.

    Args:
        run_id: of the run.
        bundle: opened.
        precision: that ran, as the executor was given it ("fp32", "int8+fp16").
        measured: median times of the graphs, in that precision.
        executor: that ran them.
        threads: that it had.
        limits: of the machine; None: measure them now.
    """
    found = limits or machine_limits(executor, precision, threads)
    lines = [_line(run_id, bundle, precision, each, found) for each in measured]
    others = [name for name in bundle.precisions if name != precision]
    return lines + [_line(run_id, bundle, name, x, None) for name in others for x in measured]


def bound_ms(counts: GraphCounts, limits: Limits) -> float | Unknown:
    """No run can be faster on a machine with these limits."""
    copied, rate = limits.copy_gb_s, limits.matrix_gmac_s
    if isinstance(copied, Unknown):
        return copied
    if isinstance(rate, Unknown):
        return rate
    return 1e3 * max(counts.compulsory_bytes / (copied * 1e9), counts.macs / (rate * 1e9))


def _line(
    run_id: str, bundle: Bundle, precision: str, each: MeasuredGraph, limits: Limits | None
) -> RooflineLine:
    """A graph beside its time, or, without limits, one that did not run."""
    counts = _counts(bundle, precision, each)
    not_run = Unknown(NOT_RUN)
    copied, rate = (limits.copy_gb_s, limits.matrix_gmac_s) if limits else (not_run, not_run)
    bound: float | Unknown = not_run
    if limits:
        bound = counts if isinstance(counts, Unknown) else bound_ms(counts, limits)
    return RooflineLine(
        run_id=run_id,
        graph=each.graph,
        precision=precision,
        clicks=each.clicks,
        macs=counts if isinstance(counts, Unknown) else counts.macs,
        compulsory_bytes=counts if isinstance(counts, Unknown) else counts.compulsory_bytes,
        copy_gb_s=copied,
        matrix_gmac_s=rate,
        bound_ms=bound,
        measured_ms=each.median_ms if limits else not_run,
        fraction=_fraction(bound, each.median_ms),
        layer_bytes=counts if isinstance(counts, Unknown) else counts.layer_bytes,
    )


def _fraction(bound: float | Unknown, median_ms: float | Unknown) -> float | Unknown:
    if isinstance(bound, Unknown):
        return bound
    return median_ms if isinstance(median_ms, Unknown) else bound / median_ms


def _counts(bundle: Bundle, precision: str, each: MeasuredGraph) -> GraphCounts | Unknown:
    """Of the outputs that flight asks for: the attention map and the query vector are not."""
    if each.graph not in (ENCODER, LOCALIZER):
        raise BenchmarkError(
            f"a bundle has no graph {each.graph}",
            expected=f"{ENCODER} or {LOCALIZER}",
            found=each.graph,
            do="report this, with the command that you ran",
        )
    outputs = NUMBERS if each.graph == LOCALIZER else None
    try:
        return count_graph(bundle.graph(each.graph, precision), max(each.clicks, 1), outputs)
    except ModuleNotFoundError as error:
        return _missing(error)
    except TilefixError as error:
        return Unknown(f"{error.what}: {error.found}")


def _missing(error: ModuleNotFoundError) -> Unknown:
    """The reason, and what to install."""
    told = missing_library(error)
    if told is None:
        raise error
    return Unknown(f"{told.found}; {told.do}")
