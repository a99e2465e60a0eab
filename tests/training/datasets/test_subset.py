from __future__ import annotations

from training.datasets.sample import PairSample
from training.datasets.subset import Subset, classes_of


class Classed:
    """Samples that are their own index, of three classes."""

    name = "made"
    classes = ("pool",) * 9 + ("barn",) * 8 + ("tank",) * 10

    def __len__(self) -> int:
        return len(self.classes)

    def class_of(self, index: int) -> str:
        return self.classes[index]

    def read(self, index: int) -> PairSample:
        return index  # type: ignore[return-value]


def test_a_subset_reads_the_samples_of_its_indices() -> None:
    part = Subset(Classed(), (5, 2), "two")
    assert len(part) == 2 and part.name == "made/two"
    assert [part.read(i) for i in range(2)] == [5, 2]


def test_the_classes_of_a_source_are_sorted() -> None:
    assert classes_of(Classed()) == ("barn", "pool", "tank")
