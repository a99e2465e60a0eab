"""Checkpoints on the test splits of the published data sets, beside the papers' rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from edge.bundle import sha256_of
from edge.scoring import Scores
from training.batches.samples import SampleReader
from training.checkpoints.weights import load_weights
from training.datasets.own_check import PAIRS, RENDERED
from training.datasets.registry import open_dataset
from training.datasets.sample import SampleSource
from training.evaluation.answering import answer_noisy
from training.evaluation.click_noise import write_noise_plot
from training.evaluation.measured_files import where_and_when, write_json
from training.evaluation.metrics import ocgnet_group, score_published
from training.evaluation.published_tables import Measured, by_error, print_tables, tables
from training.models import Model, name_of
from training.models.lite import Lite

SCHEMA = "tilefix-published-scores/1"
Progress = Callable[[Iterable[int]], Iterable[int]]


def reader_of(model: Model, source: SampleSource, set_name: str, workers: int = 4) -> SampleReader:
    """Samples as the model takes them; boxes of published sets truncated, as their loaders do."""
    if isinstance(model, Lite):
        window_px = source.read(0).window.shape[0]  # any multiple of its strides
        return SampleReader(source, model.options.frame_hw_px, window_px, workers=workers)
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
    click_sigmas_px: Sequence[float] = (0.0,),
    progress: Progress = iter,
) -> list[Scores]:
    """All scores of a model on a split; on CVOGL also by OCGNet's groups of classes.

    Args:
        model: in evaluation mode; moved to the GPU if there is one.
        source: the split.
        set_name: of the data set.
        batch: pairs at once.
        click_sigmas_px: see `answer_noisy`; the split is read and its windows are encoded once.
        progress: wraps the numbers of the batches.

    Returns:
        Scores for each sigma.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    reader = reader_of(model, source, set_name)
    answers = answer_noisy(model, reader, batch, device, click_sigmas_px, progress=progress)
    group = ocgnet_group if set_name.startswith("cvogl_") else None
    return [score_published(a, model.options.stride_px, group=group) for a in answers]


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
    rows: list[Measured] = []
    for path in checkpoints:
        model, record = load_weights(path)
        label = f"{name_of(model)}, {record.get('recipe', path.stem)}"
        if any(row.label == label for row in rows):
            label += f", {path}"
        found = score_model(
            model,
            source,
            set_name,
            batch=batch,
            click_sigmas_px=click_sigmas_px,
            progress=progress,
        )
        rows += [Measured(label, *row) for row in zip(click_sigmas_px, found, strict=True)]
    return rows


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
    plot_path: Path | None = None,
) -> None:
    """Score checkpoints, print the tables, write JSON and plot: `tilefix evaluate --checkpoint`.

    Args:
        checkpoints: trained models.
        root: of the data set.
        set_name: its name.
        split: of it.
        noise_px: errors of the clicks that are scored besides none.
        json_path: None writes no JSON.
        plot_path: None draws no accuracy over the error of the clicks.

    Raises:
        TilefixError: see `evaluate_checkpoints`, `write_rows` and `write_noise_plot`.
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
    if plot_path is not None:
        write_noise_plot(plot_path, by_error(rows), f"{set_name}, {split}")
        Console().print(f"plot: {plot_path}", soft_wrap=True)
