"""Checkpoints on the test splits of the published data sets, beside the papers' rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from edge.bundle import sha256_of
from edge.scoring import Scores
from training.batches.samples import SampleReader
from training.checkpoints.weights import load_weights
from training.datasets.own_check import PAIRS, RENDERED
from training.datasets.registry import open_dataset
from training.datasets.sample import SampleSource
from training.evaluation.answering import answer_all
from training.evaluation.measured_files import where_and_when, write_json
from training.evaluation.metrics import ocgnet_group, score_published
from training.evaluation.published_results import MEASURED, PAPER, rows_of, table_beside
from training.models import Model, name_of
from training.models.lite import Lite

SCHEMA = "tilefix-published-scores/1"
Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One row that was measured here."""

    label: str
    click_sigma_px: float
    scores: Scores


def reader_of(model: Model, source: SampleSource, set_name: str, workers: int = 4) -> SampleReader:
    """Samples as the model takes them; boxes of published sets truncated, as their loaders do."""
    if isinstance(model, Lite):
        side = model.options.frame_px
        window_px = source.read(0).window.shape[0]  # any multiple of its strides
        return SampleReader(source, (side, side), window_px, workers=workers)
    return SampleReader(
        source,
        model.options.frame_hw_px,
        model.options.window_px,
        whole_pixel_boxes=set_name not in (PAIRS, RENDERED),
        workers=workers,
    )


def score_model(
    model: Model,
    source: SampleSource,
    set_name: str,
    *,
    batch: int = 8,
    click_sigma_px: float = 0.0,
    progress: Progress = iter,
) -> Scores:
    """All scores of a model on a split; classes as OCGNet groups them on CVOGL.

    Args:
        model: in evaluation mode; moved to the GPU if there is one.
        source: the split.
        set_name: of the data set.
        batch: pairs at once.
        click_sigma_px: see `answer_all`.
        progress: wraps the numbers of the batches.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    answers = answer_all(
        model,
        reader_of(model, source, set_name),
        batch,
        device,
        click_sigma_px=click_sigma_px,
        progress=progress,
    )
    group = ocgnet_group if set_name.startswith("cvogl_") else str
    return score_published(answers, model.options.stride_px, group=group)


def evaluate_checkpoints(
    checkpoints: Sequence[Path],
    root: Path,
    set_name: str,
    split: str,
    *,
    batch: int = 8,
    click_sigmas_px: Sequence[float] = (0.0,),
    progress: Progress = iter,
) -> list[Measured]:
    """Score checkpoints on one split, once for each error of the clicks.

    Raises:
        CheckpointError: a file that is no checkpoint of tilefix.
        DataError: data that are not there, break their format, or are of another size.
    """
    source = open_dataset(set_name, root, split)
    rows = []
    for path in checkpoints:
        model, record = load_weights(path)
        label = f"{name_of(model)}, {record.get('recipe', path.stem)}"
        for sigma in click_sigmas_px:
            scores = score_model(
                model, source, set_name, batch=batch, click_sigma_px=sigma, progress=progress
            )
            noise = f", clicks off by {sigma:g} px" if sigma else ""
            rows.append(Measured(f"{label}{noise}", sigma, scores))
    return rows


def tables(rows: Sequence[Measured], set_name: str, split: str) -> list[Table]:
    """The papers' rows beside ours; then ours by class and by number of objects."""
    beside = table_beside(
        f"{set_name}, {split}",
        rows_of(set_name, split, ablations=True),
        [(row.label, row.scores) for row in rows],
    )
    return [beside, *(detail for row in rows if (detail := _details(row)) is not None)]


def _details(row: Measured) -> Table | None:
    scores = row.scores
    groups = [k.removeprefix("n_class_") for k in scores if k.startswith("n_class_")]
    counts = [k.removeprefix("n_images_") for k in scores if k.startswith("n_images_")]
    parts = [(f"class {g}", f"_class_{g}", scores[f"n_class_{g}"]) for g in groups]
    if scores["n_images"] != scores["n_objects"]:
        parts += [(f"{c} objects", f"_objects_{c}", scores[f"n_objects_{c}"]) for c in counts]
    parts = [part for part in parts if part[2]]
    if not parts:
        return None
    table = Table(title=f"{row.label}, {MEASURED}", title_justify="left")
    for title in ("", "objects", "acc@0.5", "acc@0.25", "accI@0.5"):
        table.add_column(title, justify="right" if title else "left")
    for title, end, count in parts:
        cells = [scores.get(f"{key}{end}") for key in ("acc@0.5", "acc@0.25", "accI@0.5")]
        table.add_row(title, str(count), *("-" if c is None else f"{100 * c:.2f}" for c in cells))
    return table


def print_tables(found: Sequence[Table], console: Console | None = None) -> None:
    """Print tables and what their numbers mean."""
    out = console or Console(width=None if sys.stdout.isatty() else 150)
    for table in found:
        out.print(table)
    out.print(
        f'"{PAPER}": stated by a paper, on its own runs. "{MEASURED}": with 95 % intervals by a '
        "bootstrap over images. IoU strictly greater than the threshold.",
        style="dim",
    )


def write_rows(
    path: Path, rows: Sequence[Measured], set_name: str, split: str, checkpoints: Sequence[Path]
) -> None:
    """Write all scores as JSON, with what they were measured on.

    Raises:
        OutputError: the file cannot be written.
    """
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "set": set_name,
        "split": split,
        **where_and_when(),
        "checkpoints": {str(file): sha256_of(file) for file in checkpoints},
        "rows": [{"label": r.label, "click_sigma_px": r.click_sigma_px, **r.scores} for r in rows],
    }
    write_json(path, values)


def tell(
    checkpoints: Sequence[Path],
    root: Path,
    set_name: str,
    split: str,
    noise_px: Sequence[float],
    json_path: Path | None,
) -> None:
    """Score checkpoints, print the tables and write the JSON: `tilefix evaluate --checkpoint`.

    Args:
        checkpoints: trained models.
        root: of the data set.
        set_name: its name.
        split: of it.
        noise_px: errors of the clicks that are scored besides none.
        json_path: None writes no JSON.

    Raises:
        TilefixError: see `evaluate_checkpoints` and `write_rows`.
    """
    from rich.progress import track

    terminal = Console(stderr=True)
    rows = evaluate_checkpoints(
        checkpoints,
        root,
        set_name,
        split,
        click_sigmas_px=(0.0, *sorted(set(noise_px))),
        progress=lambda numbers: track(
            numbers, "clicks", console=terminal, transient=True, disable=not terminal.is_terminal
        ),
    )
    print_tables(tables(rows, set_name, split))
    if json_path is not None:
        write_rows(json_path, rows, set_name, split, checkpoints)
        Console().print(f"scores: {json_path}", soft_wrap=True)
