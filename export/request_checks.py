"""What `tilefix export` can find out before its minutes of work: files, folders and values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from edge.bundle import MANIFEST_NAME
from edge.errors import DataError, OutputError, UsageError
from export.bundle_maker import check_fit, check_precisions
from export.output_folder import check_output
from training.checkpoints.weights import load_weights
from training.datasets.pair_folder import PairFolder

LICENCE = "LICENSE-xfeat.txt"  # beside the graph of the alignment
MADE_BY = "made_by.json"  # beside the samples: who rendered them, and how


def check_place(out: Path) -> None:
    """Refuse a place that no bundle can be written to, or that holds something else.

    Raises:
        OutputError: there is something that is no bundle, or the folder that it shall be in cannot
            be written.
    """
    if out.exists() and not (out / MANIFEST_NAME).is_file():
        raise OutputError(
            f"{out} is already there, and is no bundle",
            expected="--out with a new folder, or with a bundle, which is replaced",
            found="a folder without a manifest" if out.is_dir() else "a file",
            do="give another folder with --out, or remove this one",
        )
    check_output(out.absolute().parent)  # it is written there, and renamed


def check_request(
    checkpoint: Path,
    precisions: Sequence[str],
    gsd_m: float,
    alignment: Path | None,
    fit_on: Sequence[Path],
    held_out: Sequence[Path],
    *,
    with_alignment: bool,
) -> None:
    """Refuse all that `make_bundle` would refuse later.

    Args:
        checkpoint: must be whole.
        precisions: with fp32 among them.
        gsd_m: a positive number.
        alignment: a graph with its licence beside it; None: none is given.
        fit_on: folders of rendered samples.
        held_out: the same.
        with_alignment: the bundle will have one.

    Raises:
        UsageError: values that mean nothing, or not together.
        CheckpointError: not a checkpoint.
        DataError: see `check_samples`.
    """
    check_precisions(precisions)
    if not 0 < gsd_m < math.inf:
        raise UsageError(
            "--gsd-m is no ground size",
            expected="metres that a pixel of the window is wide, more than 0, such as 0.25",
            found=str(gsd_m),
            do="give the ground size that the model was trained at",
        )
    if alignment is not None:
        for path in (alignment, alignment.with_name(LICENCE)):
            if not path.is_file():
                raise UsageError(
                    "--alignment cannot be used",
                    expected=f"an xfeat.onnx with {LICENCE} beside it",
                    found=f"no file {path}",
                    do="leave --alignment out: the graph is then made",
                )
    model, _ = load_weights(checkpoint)
    if fit_on:
        check_fit(model, checkpoint, with_alignment=with_alignment)
    check_samples((*fit_on, *held_out))


def check_two_sets(fit_on: Sequence[Path], held_out: Sequence[Path]) -> None:
    """Refuse one set of samples alone.

    Raises:
        UsageError: that is all there is.
    """
    if bool(fit_on) != bool(held_out):
        raise UsageError(
            "acceptance needs two sets of samples",
            expected="--fit-on and --held-out, of different places",
            found="--fit-on alone" if fit_on else "--held-out alone",
            do="render another set with `tilefix datasets render --window-px 1024 --seed ...`",
        )


def check_samples(folders: Iterable[Path]) -> None:
    """Refuse samples that no acceptance can be fitted on.

    Raises:
        DataError: no samples in one of the folders, or no word of where they come from.
    """
    for folder in folders:
        PairFolder.open(folder)
        if not (folder / MADE_BY).is_file():
            raise DataError(
                f"nothing says where the samples in {folder} come from",
                expected=f"{MADE_BY}, as `tilefix datasets render` writes it",
                found="no such file",
                do=f"tilefix datasets render --out {folder}",
            )
