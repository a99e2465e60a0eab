"""How methods are told apart, and that the sentence names the measure that it was."""

from types import SimpleNamespace

import numpy as np
import pytest

from calibration.judging import bench as benches
from calibration.judging.bench import BASE, Bench
from calibration.judging.locating import Answer
from calibration.judging.scores import LocatedClick
from calibration.judging.verdict import method_sentence
from edge.acceptance import AcceptanceModel


def answer(*heights: float) -> Answer:
    boxes = [(0.0, 0.0, 10.0, height) for height in heights]
    zeros = [0.0] * len(boxes)
    return Answer(boxes, zeros, zeros, zeros, zeros)


@pytest.fixture
def bench(monkeypatch) -> Bench:
    """Without samples, and whose selection is one frame of three clicks."""
    model = AcceptanceModel(np.array([1.0, 0, 0, 0, 0, 0, 0]), 0.0, 0.5, 0.6)
    monkeypatch.setattr(benches.AcceptanceModel, "from_spec", lambda spec: model)
    answers = {"fp32": answer(10, 10, 10), "int8+fp16": answer(10, 8, 2)}
    monkeypatch.setattr(
        benches, "selection_answers", lambda bundle, precision, *_, **__: {"f": answers[precision]}
    )
    bundle = SimpleNamespace(manifest=SimpleNamespace(acceptance=None))
    request = SimpleNamespace(bundle=bundle, samples=(), every=1, selection=None, work=None)
    return Bench(request)


def test_without_labels_the_measure_is_told_as_what_it_is(bench) -> None:
    """IoU of 1, 0.8 and 0.2: the median is 0.8, and a third is at least 0.9."""
    likeness = bench.likeness(bench.request.bundle, "int8+fp16")
    assert likeness.value == pytest.approx((0.8 + 1 / 3) / 2)
    same = bench.likeness(bench.request.bundle, BASE)
    assert same.value == 1.0
    sentence = method_sentence({"mse": likeness, "minmax": same}, "minmax")
    assert sentence == (
        "ranges by minmax: mean of the median IoU with float32's boxes and the share of boxes with "
        "an IoU of at least 0.9, on the selection's pictures: minmax 1.0000, mse 0.5667"
    )
    assert "samples" not in sentence


def test_with_samples_it_is_the_mean_on_those_of_the_trial(bench, monkeypatch) -> None:
    clicks = {
        "no prior": [LocatedClick(0, True, (1.0, 1.0), each) for each in (0.2, 0.6)],
        "alignment": [LocatedClick(0, True, (1.0, 1.0), 0.8)],
    }
    bench.samples = (object(),)
    monkeypatch.setattr(Bench, "clicks", lambda *_: clicks)
    likeness = bench.likeness(bench.request.bundle, "int8+fp16")
    assert likeness.value == pytest.approx((0.4 + 0.8) / 2)
    assert likeness.measure == "mean IoU with float32's boxes on the trial samples"
