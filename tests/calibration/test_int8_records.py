"""What the README files say of INT8 is what the records hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from calibration.judging.record import Judgement, Outcome
from calibration.judging.search import most_left, ranked

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "benchmarks" / "records"
MAIN = (ROOT / "README.md").read_text()
OWN = (ROOT / "calibration" / "README.md").read_text()
JUDGEMENT = msgspec.json.decode((RECORDS / "int8" / "judgement.json").read_bytes(), type=Judgement)
QUANTIZERS = json.loads((RECORDS / "quantizers.json").read_text())
ENTROPY = json.loads((RECORDS / "int8" / "entropy.json").read_text())


def cells_of(text: str, label: str) -> list[str]:
    (line,) = [x for x in text.splitlines() if x.startswith(f"| {label} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def numbers(cell: str) -> list[float]:
    return [
        float(x) for x in re.findall(r"-?\d+\.?\d*", cell.replace(",", "").replace(" to ", " "))
    ]


@pytest.mark.parametrize("regime", [0, 1])
@pytest.mark.parametrize(
    ("candidate", "label"),
    [(0, "all blocks"), (1, "one block float16"), (2, "the same in ONNX Runtime's form")],
)
def test_the_table_of_the_costs_is_the_judgement(candidate, label, regime) -> None:
    assert JUDGEMENT.base is not None
    score = JUDGEMENT.candidates[candidate].regimes[regime]
    cells = cells_of(MAIN, f"{label}, {('no prior', 'with alignment')[regime]}")
    assert numbers(cells[0]) == [score.clicks_on_map]
    base = JUDGEMENT.base.regimes[regime].accuracy_25
    assert numbers(cells[1]) == pytest.approx([base, score.accuracy_25], abs=6e-4)
    change = score.change_25
    assert numbers(cells[2]) == pytest.approx([change.mean, change.low, change.high], abs=6e-3)
    assert numbers(cells[3]) == pytest.approx([score.box_iou_median], abs=6e-4)


def test_the_words_under_it_are_the_judgement() -> None:
    assert JUDGEMENT.outcome is Outcome.MIXED and len(JUDGEMENT.left_float) == 1
    assert JUDGEMENT.real is not None and JUDGEMENT.base is not None
    text = " ".join(MAIN.split())
    changed, sightings = len(JUDGEMENT.real.changed), JUDGEMENT.real.sightings
    assert f"{changed} of {sightings} verdicts changed" in text
    ratios = JUDGEMENT.latency_ratio
    assert f"the encoder is {ratios['reference_encoder']:.2f} times as fast as float32" in text
    assert f"the localizer {ratios['localizer']:.2f} times" in text
    share = JUDGEMENT.candidates[-1].file_bytes / JUDGEMENT.base.file_bytes
    assert f"{share:.0%}".replace("%", " %") + " (ONNX Runtime)" in text and share <= 0.30


def test_the_block_that_was_left_is_the_first_of_the_recorded_ranking() -> None:
    """Both graphs were weighed alike then; by the weights of today another one would be first."""
    weight = JUDGEMENT.frames_per_window
    order = [each.block for each in ranked(JUDGEMENT.sensitivity, weight)]
    assert tuple(order[:1]) == JUDGEMENT.left_float
    assert ranked(JUDGEMENT.sensitivity)[0].graph == "reference_encoder"
    assert most_left(ranked(JUDGEMENT.sensitivity)) < len(order)


@pytest.mark.parametrize(
    ("label", "tool", "methods"),
    [
        ("tilefix, min-max / percentile", "tilefix", ("minmax", "percentile")),
        ("tilefix, mse / entropy", "tilefix", ("mse", "entropy")),
        (
            "onnxruntime.quantization, MinMax / Percentile / Entropy",
            "onnxruntime.quantization",
            ("MinMax", "Percentile", "Entropy"),
        ),
        ("NVIDIA ModelOpt 0.47, max / entropy", "NVIDIA ModelOpt", ("max", "entropy")),
    ],
)
def test_the_table_of_tools_is_the_record(label, tool, methods) -> None:
    found = {x["method"]: x["cosine"] for x in QUANTIZERS["results"] if x["tool"] == tool}
    for cell, output in zip(cells_of(OWN, label), ("v", "u"), strict=False):
        assert numbers(cell) == pytest.approx([found[m][output] for m in methods], abs=6e-4)


@pytest.mark.parametrize(
    ("label", "ways"),
    [
        ("minmax / percentile / mse", ("minmax", "percentile", "mse")),
        ("entropy", ("entropy",)),
        (
            "entropy, but percentile for the five tensors of which it cuts over half a per cent",
            ("entropy, but percentile for these",),
        ),
    ],
)
def test_the_table_of_entropy_is_the_record(label, ways) -> None:
    assert len(ENTROPY["cut"]) == 5
    for cell, output in zip(cells_of(OWN, label), ("v", "u"), strict=True):
        assert numbers(cell) == pytest.approx(
            [ENTROPY["cosine"][way][output] for way in ways], abs=6e-4
        )
