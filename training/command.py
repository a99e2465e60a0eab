"""`tilefix train`: train `lite` on rendered samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--data", "data", multiple=True, required=True, type=click.Path(path_type=Path))
@click.option("--val", "val", multiple=True, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--init", type=click.Path(path_type=Path), help="Start from these weights.")
@click.option(
    "--option",
    "options_text",
    multiple=True,
    metavar="NAME=VALUE",
    help="What shapes the network, as width=64 or backbone=xfeat; not with --init.",
)
@click.option("--epochs", default=10, show_default=True)
@click.option("--batch", default=16, show_default=True)
@click.option("--learning-rate", default=2e-3, show_default=True)
@click.option("--seed", default=13, show_default=True)
@click.option("--window-px", default=640, show_default=True, help="Side of the rendered windows.")
@click.option(
    "--freeze-backbone/--train-backbone",
    default=True,
    show_default=True,
    help="Frozen: reads `tilefix datasets cache`; trained: reads the pictures.",
)
@click.option("--backbone-learning-rate", default=1e-4, show_default=True)
@click.option("--preload", is_flag=True, help="Hold all pictures decoded in memory.")
@click.option(
    "--turn-pictures",
    is_flag=True,
    help="Random quarter turns and mirroring; needs --train-backbone.",
)
@click.option(
    "--mixed-precision/--full-precision",
    default=True,
    show_default=True,
    help="bfloat16 convolutions.",
)
def train(
    data: tuple[Path, ...],
    val: tuple[Path, ...],
    out: Path,
    init: Path | None,
    options_text: tuple[str, ...],
    epochs: int,
    batch: int,
    learning_rate: float,
    seed: int,
    window_px: int,
    freeze_backbone: bool,
    backbone_learning_rate: float,
    preload: bool,
    turn_pictures: bool,
    mixed_precision: bool,
) -> None:
    """Train a model; run the same command again to resume."""
    import torch

    from training.batches import Collection
    from training.checkpoints import load_weights
    from training.datasets.pair_folder import PairFolder
    from training.models import build
    from training.trainer import TrainOptions
    from training.trainer import train as run

    torch.manual_seed(seed)
    if init is None:
        model = build("lite", **_shape(options_text))
        model.backbone.load_pretrained()
    else:
        model, _ = load_weights(init)
    folders = [[PairFolder.open(p) for p in paths] for paths in (data, val)]
    training, held_out = (Collection.open(f, freeze_backbone, preload) for f in folders)
    options = TrainOptions(
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        freeze_backbone=freeze_backbone,
        backbone_learning_rate=backbone_learning_rate,
        turn_pictures=turn_pictures,
        window_px=window_px,
        mixed_precision=mixed_precision,
    )

    def report(line: dict[str, Any]) -> None:
        click.echo("  ".join(f"{k} {v}" for k, v in line.items() if k != "time_s"))

    run(model, training, held_out, options, out, report)
    click.echo(f"done: {out / 'best.safetensors'}")


def _shape(options_text: tuple[str, ...]) -> dict[str, int | str]:
    """Options of the network from NAME=VALUE."""
    from dataclasses import fields

    from edge.errors import UsageError
    from training.models.lite import LiteOptions

    kinds = {f.name: f.type for f in fields(LiteOptions) if f.type in ("int", "str")}
    shape: dict[str, int | str] = {}
    for text in options_text:
        name, _, value = text.partition("=")
        if name not in kinds or not value or (kinds[name] == "int" and not value.isdigit()):
            raise UsageError(
                f"--option {text} means nothing",
                expected=f"NAME=VALUE with NAME one of: {', '.join(kinds)}",
                found=repr(text),
                do="write, for instance, --option width=64",
            )
        shape[name] = int(value) if kinds[name] == "int" else value
    return shape
