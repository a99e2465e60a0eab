"""What a run starts from, and what a command line says that such a start has no use for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge.errors import UsageError

OPTIONS = "model.options"


@dataclass(frozen=True, slots=True)
class FirstWeights:
    """What a run starts from."""

    init: Path | None = None  # a whole checkpoint, or a bundle, whose model is taken as it is
    parts: tuple[Path, ...] = ()  # backbones: files as `tilefix import-checkpoint` takes them
    from_scratch: bool = False  # random, although the recipe says otherwise
    teacher: Path | None = None  # what a student learns from beside the labels
    deepen: tuple[tuple[str, int], ...] = ()  # blocks that `init` gets more of, by option
    named_options: tuple[str, ...] = ()  # options of the model that the command itself gives


def named_options(options_text: Iterable[str], changes_text: Iterable[str]) -> tuple[str, ...]:
    """The options of the model that a command line gives, as it gives them.

    Args:
        options_text: what follows --option.
        changes_text: what follows --set, of any section.
    """
    changed = [
        text
        for text in changes_text
        if f"{text.partition('=')[0].strip()}.".startswith(f"{OPTIONS}.")
    ]
    return (*(f"--option {text}" for text in options_text), *(f"--set {text}" for text in changed))


def refuse_named_options(first: FirstWeights, start: str) -> None:
    """Make sure that nobody asks for options which the first weights do not leave open.

    Those of the recipe itself are no question: the weights have their own, and theirs count.

    Args:
        first: what a run starts from.
        start: the option that gives these weights, as it was typed.

    Raises:
        UsageError: the command line names options of the model.
    """
    if first.named_options:
        raise UsageError(
            f"options of the model mean nothing beside {start.split()[0]}",
            expected="one of the two",
            found=f"{start} and {', '.join(first.named_options)}",
            do=f"leave out {' and '.join(first.named_options)}: the trained model has its own "
            "options",
        )
