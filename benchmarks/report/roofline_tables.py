"""What graphs need, what they reached, and what published peaks let other boards do."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.record.lines import RooflineLine, Unknown
from benchmarks.report.numbers import mega, ms, share, unknown
from benchmarks.report.roofline_figure import graph_words
from benchmarks.roofline.boards import BOARDS, Board, board_of, predict, shares
from benchmarks.roofline.lines import NOT_RUN
from edge.page_parts import Cell, items, table
from edge.precisions import INT8, short_name

WARNING = "PREDICTION: nothing in this table was measured"
HOW = (
    "Each cell: what a run is expected to take, and in brackets what no run can be faster than. "
    "Expected: the assumed shares below of the published peaks, every layer's results through "
    "memory. Not in it: launches of kernels, camera, resizing."
)


def roofline_table(lines: Sequence[RooflineLine], board_name: str) -> str:
    """What each graph needs; of those that ran, how near the bound they came.

    Args:
        lines: of one run.
        board_name: that the machine gives itself; where its peaks are published, a graph whose
            machine was not measured is compared with them.
    """
    head = (
        "graph",
        "precision",
        "GMAC",
        "compulsory MB",
        "with layers MB",
        "bound ms",
        "measured ms",
        "of the bound",
    )
    board = board_of(board_name)
    return table(head, [_row(line, board) for line in lines], words=2)


def prediction_table(lines: Sequence[RooflineLine]) -> str:
    """What boards would take, marked as predictions; empty where nothing can be predicted."""
    head = ("graph", "precision", *(board.name for board in BOARDS))
    rows: list[list[str | Cell]] = []
    for line in predictable(lines):
        cells = [_prediction(line, board) for board in BOARDS]
        rows.append([graph_words(line), short_name(line.precision), *cells])
    if not rows:
        return ""
    assumed = [f"{board.name}, {board.mode}: {shares(board)}" for board in BOARDS]
    return (
        f'<p class="guess-mark">{WARNING}</p><div class="guess">{table(head, rows, words=2)}</div>'
        f'<div class="pad"><p>{HOW}</p>{items(assumed)}</div>'
    )


def predictable(lines: Sequence[RooflineLine]) -> tuple[RooflineLine, ...]:
    """Counted graphs in FP16 and INT8; of two forms of INT8 the one for TensorRT."""
    found: dict[tuple[str, int, str], RooflineLine] = {}
    for line in lines:
        short = short_name(line.precision)
        counted = (line.macs, line.compulsory_bytes, line.layer_bytes)
        if short not in ("fp16", INT8) or any(isinstance(n, Unknown) for n in counted):
            continue
        key = line.graph, line.clicks, short
        if key not in found or line.precision.endswith("fp16"):
            found[key] = line
    return tuple(found.values())


def _row(line: RooflineLine, board: Board | None) -> list[str | Cell]:
    reached = share(line.fraction, 0)
    if isinstance(line.fraction, Unknown):
        found = _of_peaks(line, board) if board is not None else None
        reached = found or _absent(line.fraction)
    return [
        graph_words(line),
        line.precision,
        _absent(line.macs) if isinstance(line.macs, Unknown) else f"{line.macs / 1e9:,.2f}",
        mega(line.compulsory_bytes),
        mega(line.layer_bytes),
        _time(line.bound_ms),
        _time(line.measured_ms),
        reached,
    ]


def _time(value: float | Unknown) -> str | Cell:
    return _absent(value) if isinstance(value, Unknown) else ms(value)


def _absent(value: Unknown) -> Cell:
    """A graph that this run did not use is none that could not be measured."""
    return Cell("not run", "none", value.reason) if value.reason == NOT_RUN else unknown(value)


def _of_peaks(line: RooflineLine, board: Board) -> Cell | None:
    """The floor by published peaks over what was measured on that very board."""
    values = line.macs, line.compulsory_bytes, line.layer_bytes, line.measured_ms
    known = [value for value in values if not isinstance(value, Unknown)]
    if len(known) < len(values):
        return None
    macs, size, layers, took_ms = known
    found = predict(board, line.precision, int(macs), int(size), int(layers))
    if found is None:
        return None
    hint = f"floor {ms(found.floor_ms)} ms by the published peaks of the {board.name}, {board.mode}"
    return Cell(f"{found.floor_ms / took_ms:.0%} of published peaks", "", hint)


def _prediction(line: RooflineLine, board: Board) -> str | Cell:
    values = line.macs, line.compulsory_bytes, line.layer_bytes
    macs, size, layers = (0 if isinstance(value, Unknown) else value for value in values)
    found = predict(board, line.precision, macs, size, layers)
    if found is None:
        return "-"
    words = f"≈ {ms(found.expected_ms)} ms (≥ {ms(found.floor_ms)})"
    return Cell(words, "", f"prediction; limited by the {found.bound.value}")
