"""What `tilefix evaluate` refuses before any work is done."""

from __future__ import annotations

import importlib
from pathlib import Path

PRIORS = ("none", "alignment")
PLOT_FORMATS = (".png", ".svg", ".pdf")


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
