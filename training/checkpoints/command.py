"""`tilefix import-checkpoint`: weights of others become a checkpoint of tilefix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.errors import CheckpointError, OutputError, UsageError
from training.models import NAMES

if TYPE_CHECKING:
    from training.checkpoints.importing import Imported
    from training.models import Model

PUBLISHED = tuple(name for name in NAMES if name != "lite")
SUFFIX = ".safetensors"


@click.command("import-checkpoint")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", "name", required=True, type=click.Choice(PUBLISHED))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .safetensors file.")
@click.option(
    "--option",
    "texts",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the model, as sigma=0.075 or full_darknet=true; not with --init.",
)
@click.option(
    "--init",
    type=click.Path(path_type=Path),
    help="Put a backbone into this checkpoint; without it, the rest is random.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=13, show_default=True, help="Of what stays random."
)
@click.option("--replace", is_flag=True, help="Overwrite --out.")
def import_checkpoint(
    file: Path,
    name: str,
    out: Path,
    texts: tuple[str, ...],
    init: Path | None,
    seed: int,
    replace: bool,
) -> None:
    """Take weights that others published: of a whole model, or of a backbone.

    FILE is the authors' .pth.tar, yolov3.weights, or a backbone under the names of torchvision
    (ResNet-18, Swin-S, ConvNeXt-Tiny) or of timm (Swin-S, ConvNeXt V2-Tiny). No code in it is run.
    """
    _check_out(out, replace)
    import torch

    from edge.bundle import sha256_of
    from training.checkpoints.importing import import_weights
    from training.checkpoints.weights import save_weights

    torch.manual_seed(seed)
    model, record = _begin(name, texts, init)
    imported = import_weights(model, file)
    if imported.whole and init is not None:
        raise UsageError(
            f"{file} holds a whole model, which leaves nothing of --init {init}",
            expected="a backbone, or no --init",
            found="both",
            do="leave out --init, and give the options with --option",
        )
    entry = {
        "file": file.name,
        "sha256": sha256_of(file),
        "part": imported.part,
        "left_out": list(imported.left_out),
        "said": imported.said,
    }
    record["imported"] = [*record.get("imported", []), entry]
    try:
        save_weights(model, out, record)
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written",
            expected="a folder that can be written to, with room",
            found=f"{type(error).__name__}: {error.strerror}",
            do="choose another place for --out",
        ) from error
    for line in _report(model, name, file, out, imported, init, seed):
        click.echo(line)


def _begin(name: str, texts: tuple[str, ...], init: Path | None) -> tuple[Model, dict[str, Any]]:
    """The model that the weights go into, and the record that goes on."""
    from training.checkpoints.weights import load_weights
    from training.models import build, name_of
    from training.models.option_text import parse_options

    if init is None:
        try:
            return build(name, **parse_options(name, texts)).eval(), {}
        except ValueError as error:
            raise UsageError(
                f"{name} cannot be built with these options",
                expected="values that the model takes",
                found=str(error),
                do="correct --option",
            ) from error
    if texts:
        raise UsageError(
            "--option means nothing beside --init",
            expected="one of the two",
            found=f"--init {init} and --option {texts[0]}",
            do="leave out --option: the checkpoint has its own options",
        )
    model, record = load_weights(init)
    if name_of(model) != name:
        raise CheckpointError(
            f"{init} is not a checkpoint of {name}",
            expected=name,
            found=name_of(model),
            do=f"write --model {name_of(model)}, or another --init",
        )
    return model, record


def _check_out(out: Path, replace: bool) -> None:
    """Refuse before all work what could not be written or found again."""
    if out.suffix != SUFFIX:
        raise UsageError(
            f"the checkpoint {out} would not be known by its name",
            expected=f"a name that ends in {SUFFIX}",
            found=repr(out.name),
            do=f"write --out {out.with_name(out.stem + SUFFIX)}",
        )
    if not out.parent.is_dir():
        raise UsageError(
            f"there is no folder for the checkpoint {out}",
            expected=f"the folder {out.parent}",
            found="a file" if out.parent.exists() else "no such folder",
            do="make the folder first, or correct --out",
        )
    if out.exists() and not replace:
        raise OutputError(
            f"{out} is already there",
            expected="a new file",
            found="an existing one",
            do="choose another name, or add --replace",
        )


def _report(
    model: Model,
    name: str,
    file: Path,
    out: Path,
    imported: Imported,
    init: Path | None,
    seed: int,
) -> list[str]:
    parameters = sum(p.numel() for p in model.parameters())
    said = ", ".join(f"{key} {value:g}" for key, value in imported.said.items())
    lines = [
        f"{out}: {name}, {parameters:,} parameters",
        f"taken from {file}: {imported.part}{f' ({said})' if said else ''}",
        *(f"left out: {text}" for text in imported.left_out),
        *imported.notes,
    ]
    if not imported.whole:
        lines.append(f"the rest: {f'from {init}' if init else f'random, seed {seed}'}")
    options = model.options
    if getattr(options, "click_encoding", "") == "gaussian":
        lines.append(
            f"click map: gaussian, sigma {options.sigma:g} of the diagonal: no file of the authors "
            "states its sigma; choose it with --option sigma=..."
        )
    return lines
