"""Parts of a data set: some samples of it, by class or by number, for few-shot runs and tests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.errors import DataError
from training.datasets.sample import PairSample, SampleSource

SHOTS_PER_CLASS = 7  # of CVOGL-fewshot's experiment (OCGNet, JSTARS 2025)


class ClassedSource(SampleSource, Protocol):
    """A source that knows the class of each sample without decoding it."""

    def class_of(self, index: int) -> str:
        """Class of a sample's object."""
        ...


@dataclass(frozen=True, slots=True)
class Subset:
    """Some samples of a source, in a given order."""

    source: SampleSource
    indices: tuple[int, ...]
    label: str  # what sets them apart, for people

    @property
    def name(self) -> str:
        """That of the source, and what sets the part apart."""
        return f"{self.source.name}/{self.label}"

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: int) -> PairSample:
        """Decode one sample; see `SampleSource.read`."""
        return self.source.read(self.indices[index])


def classes_of(source: ClassedSource) -> tuple[str, ...]:
    """All classes of a source, sorted."""
    return tuple(sorted({source.class_of(index) for index in range(len(source))}))


def of_classes(source: ClassedSource, classes: Collection[str]) -> Subset:
    """The samples of some classes.

    Raises:
        DataError: a class that no sample has.
    """
    _check(source, classes)
    kept = tuple(i for i in range(len(source)) if source.class_of(i) in classes)
    return Subset(source, kept, "+".join(sorted(classes)))


def few_per_class(
    source: ClassedSource,
    seed: int,
    *,
    per_class: int = SHOTS_PER_CLASS,
    classes: Sequence[str] | None = None,
) -> tuple[Subset, Subset]:
    """Draw a few samples of each class to train on; the rest is left to test on.

    Args:
        source: where from.
        seed: of the draw.
        per_class: samples of each class in the first part.
        classes: only these; None: all.

    Returns:
        (drawn, rest); every sample of the classes is in exactly one of them.

    Raises:
        DataError: a class that no sample has, or one that has not more samples than are drawn.
    """
    wanted = classes_of(source) if classes is None else tuple(classes)
    _check(source, wanted)
    rng = np.random.default_rng(seed)
    drawn: list[int] = []
    rest: list[int] = []
    for name in wanted:
        own = [index for index in range(len(source)) if source.class_of(index) == name]
        if len(own) <= per_class:
            raise DataError(
                f"{source.name} has too few samples of the class {name!r}",
                expected=f"more than {per_class}, so that some are left to test on",
                found=f"{len(own)}",
                do="draw fewer per class, or leave the class out",
            )
        shuffled = rng.permutation(own).tolist()
        drawn += shuffled[:per_class]
        rest += shuffled[per_class:]
    label = f"{per_class} per class, seed {seed}"
    return Subset(source, tuple(sorted(drawn)), label), Subset(source, tuple(sorted(rest)), "rest")


def _check(source: ClassedSource, classes: Collection[str]) -> None:
    known = classes_of(source)
    for name in classes:
        if name not in known:
            raise DataError(
                f"{source.name} has no sample of the class {name!r}",
                expected=f"one of {', '.join(known)}",
                found=repr(name),
                do="correct the name",
            )
