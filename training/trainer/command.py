"""`tilefix train`: train any model by a recipe; on several GPUs, `torchrun -m training`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)
INTERRUPTED = 130
QAT_RECIPE = "lite_qat"
# A short option -> the key of the recipe that it replaces.
SHORTCUTS = {
    "epochs": "run.epochs",
    "batch": "run.batch",
    "seed": "run.seed",
    "learning_rate": "optimizer.learning_rate",
    "backbone_learning_rate": "optimizer.backbone_learning_rate",
    "window_px": "lite.window_px",
    "freeze_backbone": "lite.freeze_backbone",
    "turn_pictures": "lite.turn_pictures",
    "preload": "lite.preload",
}


@click.command()
@click.argument("recipe_name", metavar="[RECIPE]", default="")
@click.option("--data", multiple=True, required=True, type=PATH, help="Root of the data set.")
@click.option("--val", multiple=True, type=PATH, help="Held-out rendered folders beside --data.")
@click.option("--out", required=True, type=PATH, help="Folder of the run.")
@click.option(
    "--init",
    type=PATH,
    help="Start from this checkpoint, or bundle of lite, with its own options.",
)
@click.option(
    "--deepen",
    "deepen_text",
    multiple=True,
    metavar="NAME=BLOCKS",
    help="lite: more blocks than --init has, as reference_depth=6; identities at first.",
)
@click.option("--weights", multiple=True, type=PATH, help="A backbone of others to start from.")
@click.option("--teacher", type=PATH, help="lite: a larger one, for a recipe with distillation.")
@click.option(
    "--qat",
    is_flag=True,
    help="lite: go on from a trained one (the shipped one) with the roundings of its INT8 graphs.",
)
@click.option("--ranges", type=PATH, help="--qat: ranges of a calibration of that bundle.")
@click.option("--from-scratch", is_flag=True, help="Start from random weights.")
@click.option(
    "--option",
    "options_text",
    multiple=True,
    metavar="NAME=VALUE",
    help="What shapes the network, as width=64 or sigma=0.1; not with --init.",
)
@click.option(
    "--set",
    "changes_text",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Any other value of the recipe, as run.ema_decay=0.999.",
)
@click.option("--epochs", type=int)
@click.option("--batch", type=int, help="Samples of a step, over all processes.")
@click.option("--learning-rate", type=float)
@click.option("--backbone-learning-rate", type=float)
@click.option("--seed", type=int)
@click.option(
    "--mixed-precision/--full-precision", default=None, help="bfloat16 convolutions, or none."
)
@click.option("--window-px", type=int, help="lite: side of the rendered windows.")
@click.option(
    "--freeze-backbone/--train-backbone",
    default=None,
    help="lite: from `tilefix datasets cache`, or from the pictures.",
)
@click.option(
    "--preload",
    is_flag=True,
    default=None,
    help="lite: hold all pictures in memory, a GPU's where they fit.",
)
@click.option(
    "--turn-pictures",
    is_flag=True,
    default=None,
    help="lite: random quarter turns and mirroring; needs --train-backbone.",
)
def train(
    recipe_name: str,
    data: tuple[Path, ...],
    val: tuple[Path, ...],
    out: Path,
    init: Path | None,
    deepen_text: tuple[str, ...],
    weights: tuple[Path, ...],
    teacher: Path | None,
    qat: bool,
    ranges: Path | None,
    from_scratch: bool,
    options_text: tuple[str, ...],
    changes_text: tuple[str, ...],
    mixed_precision: bool | None,
    **shortcuts: Any,
) -> None:
    """Train by RECIPE (lite; with --qat lite_qat); run the same command again to resume.

    RECIPE is a name, such as detgeo_cvogl_drone, or a path to a TOML file; an unknown name lists
    those there are. Other options replace its values.
    """
    from edge.errors import UsageError
    from training.models.option_text import parse_options
    from training.recipes.reading import changed_recipe
    from training.recipes.schema import LITE
    from training.tasks.first_weights import FirstWeights, named_options
    from training.tasks.opening import build_model, describe, open_task, refuse_stray_val
    from training.tasks.teacher import open_teacher
    from training.trainer.loop import train as run

    precision = {None: None, True: "bfloat16", False: "float32"}[mixed_precision]
    changes = {SHORTCUTS[k]: v for k, v in shortcuts.items() if v is not None}
    if precision is not None:
        changes["run.precision"] = precision
    deepen = tuple(parse_options(LITE, deepen_text, "--deepen").items())
    named = named_options(options_text, changes_text)
    first = FirstWeights(init, weights, from_scratch, teacher, deepen, named)
    if deepen and (init is None or qat):
        raise UsageError(
            "--deepen means nothing without --init, or with --qat",
            expected="--init: what is to be deepened",
            found=f"--deepen {deepen_text[0]}" + (" and --qat" if qat else ""),
            do="train the deeper one first; a new one is as deep as --option says",
        )
    if ranges is not None and not qat:
        raise UsageError(
            "--ranges means nothing without --qat",
            expected="--qat --ranges FILE",
            found=f"--ranges {ranges}",
            do="add --qat, or leave --ranges out",
        )
    name = recipe_name or (QAT_RECIPE if qat else "lite")
    recipe = changed_recipe(name, options_text, changes_text, changes)
    refuse_stray_val(recipe, val)
    given, note = describe(first, (*data, *val)), {}
    if qat:
        from training.quantization.opening import NOTE as QAT_NOTE
        from training.quantization.opening import open_quantized

        task, note = open_quantized(recipe, first, ranges, data, val)
        given["qat"] = {k: v for k, v in note[QAT_NOTE].items() if k != "amax"}
    else:
        model = build_model(recipe, first)
        task = open_task(recipe, model, data, val, open_teacher(recipe, model, teacher))
    try:
        with _Progress(out) as progress:
            best = run(task, recipe, out, given=given, note=note, report=progress.report)
    except KeyboardInterrupt:
        click.echo(f"stopped: the same command goes on from the last save in {out}", err=True)
        sys.exit(INTERRUPTED)
    if progress.first:
        if recipe.data.validate == recipe.data.test and not val:
            last = best.with_name("last.safetensors")
            click.echo(f"done: {last} ({best.name} was chosen by the samples that are to judge it)")
        else:
            click.echo(f"done: {best}")


class _Progress:
    """A bar on a terminal; else one line for each epoch and a few between."""

    def __init__(self, out: Path) -> None:
        import os

        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.first = os.environ.get("RANK", "0") == "0"
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal or not self.first,
        )
        self._job = self._bar.add_task(out.name, total=None)

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def report(self, line: dict[str, Any]) -> None:
        """Show a line of the log."""
        self._bar.update(self._job, completed=line["step"] + 1, total=line["of"])
        if "loss" in line:
            self._bar.update(self._job, description=f"loss {line['loss']:.3f}")
        if "epoch" in line or self._bar.disable:
            hidden = ("time_s", "of")
            click.echo("  ".join(f"{k} {v}" for k, v in line.items() if k not in hidden))
