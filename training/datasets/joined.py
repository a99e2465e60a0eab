"""Several sources of samples as one numbered list."""

from __future__ import annotations

from dataclasses import dataclass

from training.datasets.sample import PairSample, SampleSource


@dataclass(frozen=True, slots=True)
class Joined:
    """One source after the other."""

    sources: tuple[SampleSource, ...]

    @property
    def name(self) -> str:
        """All names."""
        return " + ".join(source.name for source in self.sources)

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def read(self, index: int) -> PairSample:
        """Decode one sample; see `SampleSource.read`."""
        for source in self.sources:
            if index < len(source):
                return source.read(index)
            index -= len(source)
        raise IndexError(index)
