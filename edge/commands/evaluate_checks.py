"""What `tilefix evaluate` refuses before any work is done."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import click
from click.core import ParameterSource

PRIORS = ("none", "alignment")
PLOT_FORMATS = (".png", ".svg", ".pdf")
# Parameters of the command by the use that they mean something in; all others are of bundles.
OF_BOTH = ("json_path", "noise_px", "plot_path")
OF_CHECKPOINTS = ("checkpoints", "data", "set_name", "split")


def is_of_checkpoints(
    files: tuple[Path, ...],
    checkpoints: tuple[Path, ...],
    data: Path | None,
    set_name: str | None,
) -> bool:
    """Which of the two uses is meant.

    Raises:
        UsageError: neither, both, or one of them in part.
    """
    from edge.errors import UsageError

    given = {"--checkpoint": checkpoints, "--data": data, "--set": set_name}
    named = [option for option, value in given.items() if value]
    if files and not named:
        return False
    if not files and len(named) == len(given):
        return True
    raise UsageError(
        "what to score, and on what, is not clear",
        expected="--pairs for a bundle; or --checkpoint, --data and --set for trained models",
        found=", ".join([*(["--pairs"] if files else []), *named]) or "none of them",
        do="give all options of one of the two",
    )


def refuse_foreign(context: click.Context, of_checkpoints: bool) -> None:
    """Refuse options of the other use, which would change nothing; a default is not given.

    Raises:
        UsageError: there are some; all are named.
    """
    from edge.errors import UsageError

    given = [
        parameter
        for parameter in context.command.params
        if parameter.name not in OF_BOTH
        and (parameter.name in OF_CHECKPOINTS) is not of_checkpoints
        and context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT
    ]
    if not given:
        return
    names = [_as_given(parameter, context.params[str(parameter.name)]) for parameter in given]
    this, other = ("--checkpoint", "a bundle") if of_checkpoints else ("--pairs", "--checkpoint")
    raise UsageError(
        f"{', '.join(names)} would change nothing: {'they are' if names[1:] else 'it is'} "
        f"of {other}",
        expected=f"beside {this}, options of its own",
        found=", ".join(names),
        do=f"leave {'these' if names[1:] else 'it'} out, or leave {this} out",
    )


def _as_given(parameter: click.Parameter, value: object) -> str:
    return parameter.secondary_opts[0] if value is False else parameter.opts[0]


def check_noise(noise_px: tuple[float, ...]) -> None:
    """Refuse errors of clicks that are no numbers.

    Raises:
        UsageError: one is infinite, or not a number.
    """
    from edge.errors import UsageError

    wrong = [sigma for sigma in noise_px if not math.isfinite(sigma)]
    if wrong:
        raise UsageError(
            "clicks cannot be off by this",
            expected="--click-noise with pixels of the frame, above 0",
            found=", ".join(f"{sigma:g}" for sigma in wrong),
            do="write, for instance, --click-noise 8",
        )


def check_places(json_path: Path | None, plot_path: Path | None, overlay: Path | None) -> None:
    """Refuse places for results that cannot become files, or a folder.

    Raises:
        OutputError: there is something else of that name, or in its way.
    """
    from edge.result_folder import check_file, check_folder

    if json_path is not None:
        check_file(json_path, "--json", "scores.json")
    if plot_path is not None:
        check_file(plot_path, "--plot", "noise.png")
    if overlay is not None:
        check_folder(overlay, "--overlay")


def check_plot(path: Path, noise_px: tuple[float, ...]) -> None:
    """Refuse before all work what could not be drawn.

    Raises:
        UsageError: there is nothing to draw, or no way to.
    """
    from edge.errors import UsageError

    if not noise_px:
        raise UsageError(
            "--plot draws accuracy over the error of the clicks, and no error is given",
            expected="--plot with --click-noise, once or more",
            found="--plot alone",
            do="add, for instance, --click-noise 2 --click-noise 8",
        )
    if path.suffix.lower() not in PLOT_FORMATS:
        raise UsageError(
            f"the plot {path} would be of no known format",
            expected=f"a name that ends in {', '.join(PLOT_FORMATS)}",
            found=repr(path.name),
            do=f"write --plot {path.with_suffix(PLOT_FORMATS[0])}",
        )
    importlib.import_module("matplotlib")


def wanted_priors(prior: str | None, no_alignment: bool) -> tuple[str, ...]:
    """Which rows of the bundle to run.

    Raises:
        UsageError: two options that contradict each other.
    """
    from edge.errors import UsageError

    if no_alignment and prior == "alignment":
        raise UsageError(
            "--no-alignment and --prior alignment contradict each other",
            expected="one of them, or neither for both rows",
            found="both",
            do="leave one out",
        )
    return ("none",) if no_alignment else (prior,) if prior else PRIORS
