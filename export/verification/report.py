"""A verification on the screen and as JSON."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import OutputError
from export.verification.boxes import NEAR_IOU
from export.verification.comparison import TensorAgreement
from export.verification.verdict import SCHEMA, Comparison, Verification

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

JSON_NAME = "verification.json"
PASSED, FAILED = "[green]pass[/]", "[bold red]FAILED[/]"


def show(found: Verification, console: Console) -> None:
    """Print the tables, one sentence last; made for 80 columns."""
    from rich.markup import escape

    console.print(
        f"bundle {escape(found.bundle)}, reference {found.reference}, inputs: "
        f"{escape(found.inputs)}, {_counted(found.frames, 'frame')}, "
        f"{_counted(found.clicks, 'click')}"
    )
    console.print(_run_table(found))
    for each in found.comparisons:
        for fault in each.faults:
            console.print(f"{each.run}: {escape(fault)}")
    for refused in found.failed:
        console.print(f"{refused.run}: {escape(refused.error)}")
    for absent in found.skipped:
        console.print(f"{absent.run}: skipped, {escape(absent.reason)}")
    for each in found.comparisons:
        console.print()
        console.print(f"[bold]{each.run} against {found.reference}[/]")
        console.print(_tensor_table(each))
        for run, names in (
            (found.reference, each.only_reference),
            (each.run, each.only_candidate),
        ):
            if names:
                console.print(f"only in {run}, not compared: {', '.join(names)}")
    if any(not tensor.judged for each in found.comparisons for tensor in each.tensors):
        console.print("-: not judged by itself: it jumps where two cells nearly tie")
    colour = "green" if found.passed else "bold red"
    console.print(f"[{colour}]{escape(found.sentence)}[/]", soft_wrap=True)


def write_json(found: Verification, folder: Path) -> Path:
    """Write everything as `verification.json` into a folder, which is made when missing.

    Raises:
        OutputError: it cannot be written.
    """
    path = folder / JSON_NAME
    partial = folder / f".{JSON_NAME}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(_plain(found), indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written",
            expected="a folder that can be written",
            found=f"{type(error).__name__}: {error.strerror}",
            do="give another folder with --out",
        ) from error
    return path


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _plain(found: Verification) -> dict[str, Any]:
    """JSON knows no infinity: a relative error against zero becomes null."""
    from edge import __version__

    comparisons = [
        {
            **asdict(each),
            "passed": each.passed,
            "faults": each.faults,
            "tensors": [
                {**asdict(tensor), "fault": tensor.fault(each.limit)} for tensor in each.tensors
            ],
        }
        for each in found.comparisons
    ]
    values = {
        "schema": SCHEMA,
        "tilefix": __version__,
        "python": sys.version.split()[0],
        "passed": found.passed,
        "sentence": found.sentence,
        **asdict(found),
        "comparisons": comparisons,
    }
    finite: dict[str, Any] = _finite(values)
    return finite


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value


def _run_table(found: Verification) -> Table:
    table = _table()
    table.add_column("run", no_wrap=True)
    table.add_column("")
    for name in ("clicks", "IoU median", "IoU min", f"IoU >= {NEAR_IOU}", "same cell", "NaN"):
        table.add_column(name, justify="right")
    for each in found.comparisons:
        table.add_row(each.run, PASSED if each.passed else FAILED, *_boxes(each))
    for refused in found.failed:
        table.add_row(refused.run, FAILED)
    for absent in found.skipped:
        table.add_row(absent.run, "[yellow]skipped[/]")
    return table


def _boxes(each: Comparison) -> tuple[str, ...]:
    boxes = each.boxes
    return (
        str(boxes.clicks),
        f"{boxes.iou_median:.4f}",
        f"{boxes.iou_min:.4f}",
        f"{boxes.iou_share:.1%}",
        "" if boxes.same_cell is None else f"{boxes.same_cell:.1%}",
        str(len(each.probes) + sum(t.broken + t.broken_reference for t in each.tensors)),
    )


def _tensor_table(each: Comparison) -> Table:
    table = _table()
    table.add_column("tensor", no_wrap=True)
    for name in ("shape", "cosine", "relative", "max abs", "NaN"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("")
    graph = ""
    for tensor in each.tensors:
        if tensor.graph != graph:
            graph = tensor.graph
            table.add_row(f"[dim]{graph}[/]")
        table.add_row(*_tensor_row(tensor), _mark(each, tensor))
    return table


def _tensor_row(tensor: TensorAgreement) -> tuple[str, ...]:
    shape = "x".join(map(str, tensor.shape))
    if tensor.shape != tensor.other_shape:
        shape += f" / {'x'.join(map(str, tensor.other_shape))}"
    return (
        tensor.name,
        shape,
        f"{tensor.cosine:.6f}",
        f"{tensor.relative:.1e}",
        f"{tensor.max_abs:.1e}",
        str(tensor.broken + tensor.broken_reference),
    )


def _mark(each: Comparison, tensor: TensorAgreement) -> str:
    if tensor is each.first_divergence:
        return "[bold red]FIRST[/]"
    if tensor.fault(each.limit):
        return "[red]fail[/]"
    return PASSED if tensor.judged else "[dim]-[/]"


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
