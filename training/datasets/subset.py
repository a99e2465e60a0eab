"""Parts of a data set: some samples of it, for few-shot runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from training.datasets.sample import PairSample, SampleSource


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
