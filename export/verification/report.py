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

JSON_NAME = "verification.json"
PASSED, FAILED = "[green]pass[/]", "[bold red]FAILED[/]"


def show(found: Verification, console: Console) -> None:
    """Print the tables, one sentence last."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    console.print(
        f"bundle {escape(found.bundle)}, reference {found.reference}, inputs: "
        f"{escape(found.inputs)}, {found.frames} frames, {found.clicks} clicks"
    )
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("run", "", "clicks"):
        table.add_column(name)
    for name in ("IoU median", "IoU min", f"IoU >= {NEAR_IOU}", "same cell", "NaN probes"):
        table.add_column(name, justify="right")
    table.add_column("why", overflow="fold")
    for each in found.comparisons:
        table.add_row(each.run, PASSED if each.passed else FAILED, *_boxes(each), _why(each))
    for refused in found.failed:
        table.add_row(refused.run, FAILED, *[""] * 6, escape(refused.error))
    for absent in found.skipped:
        table.add_row(absent.run, "[yellow]skipped[/]", *[""] * 6, escape(absent.reason))
    console.print(table)
    for each in found.comparisons:
        console.print(_tensor_table(each, found.reference))
        for run, names in (
            (found.reference, each.only_reference),
            (each.run, each.only_candidate),
        ):
            if names:
                console.print(f"only in {run}, not compared: {', '.join(names)}")
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


def _boxes(each: Comparison) -> tuple[str, ...]:
    boxes = each.boxes
    same = "" if boxes.same_cell is None else f"{boxes.same_cell:.1%}"
    probes = f"{len(each.probes)} broken" if each.probes else "clean"
    return (
        str(boxes.clicks),
        f"{boxes.iou_median:.4f}",
        f"{boxes.iou_min:.4f}",
        f"{boxes.iou_share:.1%}",
        same,
        probes,
    )


def _why(each: Comparison) -> str:
    return "; ".join(each.faults)


def _tensor_table(each: Comparison, reference: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, title=f"{each.run} against {reference}", title_justify="left"
    )
    table.add_column("graph")
    table.add_column("tensor", overflow="fold")
    for name in ("shape", "cosine", "relative", "max abs", "of peak", "NaN, inf"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for tensor in each.tensors:
        table.add_row(*_tensor_row(tensor), _mark(each, tensor))
    return table


def _tensor_row(tensor: TensorAgreement) -> tuple[str, ...]:
    shape = "x".join(map(str, tensor.shape))
    if tensor.shape != tensor.other_shape:
        shape += f" / {'x'.join(map(str, tensor.other_shape))}"
    return (
        "encoder" if tensor.graph == "reference_encoder" else tensor.graph,
        tensor.name,
        shape,
        f"{tensor.cosine:.6f}",
        f"{tensor.relative:.1e}",
        f"{tensor.max_abs:.2e}",
        f"{tensor.peak:.2e}",
        str(tensor.broken + tensor.broken_reference),
    )


def _mark(each: Comparison, tensor: TensorAgreement) -> str:
    if tensor.fault(each.limit):
        first = "first" if tensor is each.first_divergence else ""
        return f"{FAILED} {first}".strip()
    return PASSED if tensor.judged else "[dim]not judged[/]"
