from __future__ import annotations

import pytest

from edge.errors import DataError
from training.datasets.sample import PairSample
from training.datasets.subset import Subset, classes_of, few_per_class, of_classes


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


def test_seven_of_each_class_are_drawn_and_the_rest_is_left() -> None:
    source = Classed()
    drawn, rest = few_per_class(source, seed=3)
    names = [source.class_of(i) for i in drawn.indices]
    assert {name: names.count(name) for name in names} == {"pool": 7, "barn": 7, "tank": 7}
    assert sorted(drawn.indices + rest.indices) == list(range(len(source)))
    assert few_per_class(source, seed=3)[0] == drawn != few_per_class(source, seed=4)[0]
    assert drawn.name == "made/7 per class, seed 3"


def test_some_classes_alone() -> None:
    source = Classed()
    assert classes_of(source) == ("barn", "pool", "tank")
    assert of_classes(source, {"barn"}).indices == tuple(range(9, 17))
    drawn, rest = few_per_class(source, seed=0, per_class=2, classes=["tank", "pool"])
    assert {source.class_of(i) for i in drawn.indices + rest.indices} == {"tank", "pool"}
    assert len(drawn) == 4 and len(rest) == 15


def test_too_few_or_unknown_are_refused() -> None:
    with pytest.raises(DataError, match=r"too few samples of the class 'barn'(.|\n)*found:    8"):
        few_per_class(Classed(), seed=0, per_class=8)
    with pytest.raises(DataError, match="one of barn, pool, tank"):
        of_classes(Classed(), ["barns"])
