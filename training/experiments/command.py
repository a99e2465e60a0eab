"""`tilefix experiment`: sigma-sweep, ablation, click-noise, few-shot; each can be resumed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training.trainer.command import INTERRUPTED

if TYPE_CHECKING:
    from training.experiments.variants import Setting, Variant
    from training.recipes.schema import Recipe

PATH = click.Path(path_type=Path)


class _Resumable(click.Group):
    """A group whose commands end at Ctrl-C with the exit code of what can be taken up again."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("stopped: the same command goes on with what is missing", err=True)
            sys.exit(INTERRUPTED)


@click.group(cls=_Resumable)
def experiment() -> None:
    """Ask a question of a model: each answer is a table, JSON and a plot in --out.

    Run the same command again to go on with one that was stopped.
    """


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What all experiments that train take."""
    for option in (
        click.argument("recipe_name", metavar="RECIPE"),
        click.option("--data", multiple=True, required=True, type=PATH, help="Root of the data."),
        click.option("--out", required=True, type=PATH, help="Folder of the experiment."),
        click.option("--weights", multiple=True, type=PATH, help="A backbone of others."),
        click.option("--from-scratch", is_flag=True, help="Every training starts at random."),
        click.option(
            "--seed",
            "seeds",
            multiple=True,
            type=click.IntRange(0),
            help="Several: mean and range.",
        ),
        click.option("--option", "options_text", multiple=True, metavar="NAME=VALUE"),
        click.option("--set", "changes_text", multiple=True, metavar="SECTION.KEY=VALUE"),
    ):
        command = option(command)
    return command


@experiment.command("sigma-sweep")
@training_options
@click.option("--sigma", "sigmas", multiple=True, type=float, help="Fraction of the diagonal.")
@click.option("--learnable", is_flag=True, help="One more training that learns sigma.")
def sigma_sweep(sigmas: tuple[float, ...], learnable: bool, **shared: Any) -> None:
    """Train once per sigma of the click map."""
    from training.experiments import sigma_sweep as question

    recipe, setting = _prepare(**shared)
    variants = question.plan(recipe, sigmas or question.DEFAULT_SIGMAS, learnable)
    _train_and_tell(question.NAME, variants, setting, recipe, question.X_LABEL)


@experiment.command()
@training_options
def ablation(**shared: Any) -> None:
    """Train once without each part of the model."""
    from training.experiments import ablation as question

    recipe, setting = _prepare(**shared)
    _train_and_tell(question.NAME, question.plan(recipe), setting, recipe, None)


@experiment.command("few-shot")
@training_options
@click.option("--init", type=PATH, help="Every training goes on from this checkpoint.")
@click.option("--shots", multiple=True, type=int, help="Samples of each class.")
def few_shot(shots: tuple[int, ...], **shared: Any) -> None:
    """Fine-tune a checkpoint on few samples of new classes."""
    from training.experiments import few_shot as question

    recipe, setting = _prepare(judged="last", **shared)
    variants = question.plan(recipe, shots or question.DEFAULT_SHOTS)
    maker = question.task_maker(setting.data)
    _train_and_tell(question.NAME, variants, setting, recipe, question.X_LABEL, maker)


@experiment.command("click-noise")
@click.argument("checkpoints", nargs=-1, required=True, type=PATH)
@click.option("--data", required=True, type=PATH, help="Root of the data.")
@click.option("--set", "set_name", required=True, help="Name of the data set.")
@click.option("--split", default="test", show_default=True)
@click.option("--out", required=True, type=PATH, help="Folder of the experiment.")
@click.option("--click-noise", "sigmas_px", multiple=True, type=float, help="Sigma in pixels.")
@click.option("--batch", default=8, show_default=True, type=click.IntRange(1))
def click_noise(
    checkpoints: tuple[Path, ...],
    data: Path,
    set_name: str,
    split: str,
    out: Path,
    sigmas_px: tuple[float, ...],
    batch: int,
) -> None:
    """Move the clicks of a test split and score CHECKPOINTS, without training."""
    from training.evaluation.accuracy_plot import check_drawing
    from training.evaluation.click_noise import NAME, X_LABEL, noise_rows, noise_table
    from training.experiments import click_noise as question
    from training.experiments.results import write_results

    check_drawing()
    found = question.measure(
        checkpoints,
        data,
        set_name,
        split,
        sigmas_px or question.DEFAULT_SIGMAS_PX,
        out,
        batch=batch,
        say=click.echo,
    )
    table = noise_table(found, f"{set_name}, {split}")
    more = {"set": set_name, "split": split}
    write_results(out, NAME, noise_rows(found), table, x_label=X_LABEL, more=more)
    _show(table, out)


def _prepare(
    recipe_name: str,
    data: tuple[Path, ...],
    out: Path,
    weights: tuple[Path, ...],
    from_scratch: bool,
    seeds: tuple[int, ...],
    options_text: tuple[str, ...],
    changes_text: tuple[str, ...],
    init: Path | None = None,
    judged: str = "best",
) -> tuple[Recipe, Setting]:
    from training.experiments.variants import Setting
    from training.recipes.reading import changed_recipe
    from training.tasks.first_weights import FirstWeights, named_options

    recipe = changed_recipe(recipe_name, options_text, changes_text)
    named = named_options(options_text, changes_text)
    first = FirstWeights(init, weights, from_scratch, named_options=named)
    return recipe, Setting(data, first, seeds or (recipe.run.seed,), out, judged)


def _train_and_tell(
    name: str,
    variants: list[Variant],
    setting: Setting,
    recipe: Recipe,
    x_label: str | None,
    make_task: Callable[..., Any] | None = None,
) -> None:
    from training.evaluation.accuracy_plot import check_drawing
    from training.evaluation.published_results import rows_of
    from training.evaluation.summaries import summarise, summary_table
    from training.experiments.asked import asking
    from training.experiments.results import write_results
    from training.experiments.variants import run_variants, what_is_asked

    check_drawing()
    with asking(setting.out, what_is_asked(name, variants, setting, make_task)):
        outcomes = run_variants(variants, setting, make_task=make_task, say=click.echo)
    rows = summarise(outcomes)
    split = recipe.data.test
    published = [
        row
        for row in rows_of(recipe.data.set, split, ablations=True)
        if row.model == recipe.model.name
    ]
    table = summary_table(f"{name}: {recipe.name}, {split}", rows, published)
    write_results(setting.out, name, rows, table, x_label=x_label, more={"recipe": recipe.name})
    _show(table, setting.out)


def _show(table: Any, out: Path) -> None:
    from rich.console import Console

    Console(width=150).print(table)
    click.echo(f"written: {out / 'results.json'}, table.txt, plot.png")
