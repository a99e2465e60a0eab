"""`tilefix verify`: do two ways to run a bundle agree, and where do they part?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.commands.options import THREADS, FilledCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.bundle import Bundle
    from export.verification.cases import Case
    from export.verification.runs import Run, RunName
    from export.verification.verdict import Verification

PATH = click.Path(path_type=Path)


@click.command(cls=FilledCommand)
@click.argument("bundle", type=PATH, required=False)
@click.option(
    "--executors",
    default="onnxruntime,tensorrt,torch",
    show_default=True,
    help="What runs the bundle: these, tensorrt-rtx, onnxruntime-whole, and reference, which is "
    "numpy.",
)
@click.option(
    "--precision",
    default="fp32,fp16",
    show_default=True,
    help="Of the graphs: some of fp32, fp16, int8.",
)
@click.option(
    "--reference",
    default="onnxruntime/fp32",
    show_default=True,
    help="What all others are measured against, EXECUTOR/PRECISION.",
)
@click.option("--taps", is_flag=True, help="Compare interior tensors too; needs the extra export.")
@click.option("--inputs", default="demo", show_default=True, help="demo, random, or a folder.")
@click.option("--count", type=click.IntRange(1), help="Frames to compare on; all when not given.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of random clicks, pictures, priors.",
)
@click.option(
    "--tolerance",
    multiple=True,
    help="Change a limit, several times if need be: fp16.relative_max=0.05, or without the "
    "precision for all. Limits: cosine_min and relative_max of each tensor, iou_median_min, "
    "iou_share_min (share of the boxes at IoU 0.99) and same_cell_min of all clicks.",
)
@click.option("--checkpoint", type=PATH, help="Weights for torch; the bundle's when not given.")
@click.option(
    "--plugin",
    type=PATH,
    help="Folder of `tilefix plugin build`, for engines of --taps; when not given, the plugin "
    "of the engine that was built here.",
)
@click.option(
    "--threads",
    type=THREADS,
    default=2,
    show_default=True,
    help="Of runs on the CPU.",
)
@click.option("--out", type=PATH, help="Folder for verification.json.")
def verify(
    bundle: Path | None,
    executors: str,
    precision: str,
    reference: str,
    taps: bool,
    inputs: str,
    count: int | None,
    seed: int,
    tolerance: tuple[str, ...],
    checkpoint: Path | None,
    plugin: Path | None,
    threads: int,
    out: Path | None,
) -> None:
    """Compare the runs of BUNDLE, or of the shipped one, on the same inputs.

    Every executor in every precision is compared with the reference: boxes, outputs, values that
    are no numbers, and with --taps a dozen interior tensors of each graph; the first that diverges
    is named. What is not there is skipped, with the reason. Engines are those of `tilefix build`.

    ONNX Runtime flies a localizer in parts where the bundle has these. The whole graph that they
    were cut of, which engines are made of, is then compared too, as onnxruntime-whole.

    int8 is int8+fp32 in ONNX Runtime and int8+fp16 in TensorRT; either can be named in full.

    Exit code 0: all that was compared agrees. 1: something does not. Others: see the README.
    """
    from rich.console import Console

    from edge.assembly import open_bundle
    from export.output_folder import check_output
    from export.verification.progress import told
    from export.verification.report import show, write_json
    from export.verification.request_checks import check_checkpoint, check_plugin, check_threads
    from export.verification.runs import TORCH, RunName, whole_runs
    from export.verification.tolerances import tolerances

    if out is not None:
        check_output(out)
    check_threads(threads)
    if plugin is not None:
        check_plugin(plugin)
    limits = tolerances(tolerance, inputs)
    opened = open_bundle(bundle)
    base = RunName.parse(reference)
    pairs = [f"{e.strip()}/{p.strip()}" for e in executors.split(",") for p in precision.split(",")]
    named = [RunName.parse(pair) for pair in pairs]
    if not taps:  # a copy with taps has no parts
        named += whole_runs(named, opened)
    asked = [name for name in named if name != base]
    if checkpoint is not None and TORCH in {name.executor for name in (base, *asked)}:
        check_checkpoint(opened, checkpoint)
    cases = _cases(opened, inputs, count, seed)

    def compare(prepared: Bundle) -> Verification:
        from edge.executors.base import ON_DEVICE
        from export.verification.cases import probe_cases
        from export.verification.runs import absence, open_run
        from export.verification.tapped_engine import build_tapped
        from export.verification.verify import verify as compare_runs

        def opener(name: RunName) -> Run:
            if taps and name.executor in ON_DEVICE:
                executor, narrow = name.executor, name.precision
                build_tapped(prepared, opened, executor, narrow, plugin, click.echo)
            return open_run(name, prepared, threads, checkpoint)

        return compare_runs(
            prepared,
            base,
            asked,
            cases,
            probe_cases(prepared, seed),
            limits,
            inputs=inputs,
            opener=opener,
            absent=lambda name: absence(name, prepared, checkpoint=checkpoint),
            progress=lambda wrapped: told(wrapped, count),
        )

    found = _with_taps(opened, base, asked, compare) if taps else compare(opened)
    show(found, Console(highlight=False))
    if out is not None:
        click.echo(str(write_json(found, out)))
    if not found.passed:
        sys.exit(1)


def _cases(bundle: Bundle, inputs: str, count: int | None, seed: int) -> Iterator[Case]:
    from export.verification.cases import check_folder, demo_cases, folder_cases, random_cases
    from export.verification.tolerances import RANDOM

    if inputs == "demo":
        return demo_cases(bundle, count, seed)
    if inputs == RANDOM:
        return random_cases(bundle, count, seed)
    check_folder(Path(inputs))
    return folder_cases(bundle, Path(inputs), count, seed)


def _with_taps(
    bundle: Bundle,
    base: RunName,
    asked: list[RunName],
    compare: Callable[[Bundle], Verification],
) -> Verification:
    """Compare in a temporary copy of the bundle whose graphs put out their taps."""
    import tempfile
    from dataclasses import replace

    from export.verification.tapped import tapped_bundle

    wanted = dict.fromkeys(name.precision for name in (base, *asked))
    there = tuple(name for name in wanted if name in bundle.precisions)
    with tempfile.TemporaryDirectory(prefix="tilefix-taps-") as scratch:
        found = compare(tapped_bundle(bundle, there, Path(scratch) / "tapped"))
    manifest = bundle.manifest  # what was verified is the bundle, not the copy
    title = f"{manifest.name} {manifest.version}"
    return replace(found, bundle=title, bundle_sha256=manifest.manifest_sha256)
