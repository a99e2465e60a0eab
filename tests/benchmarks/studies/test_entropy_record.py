"""What the README of INT8 says of ranges by entropy is what the record holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "calibration" / "README.md").read_text()
RECORD = json.loads((ROOT / "benchmarks" / "records" / "int8" / "entropy.json").read_text())
INSTEAD = "entropy, but percentile for these"


@pytest.mark.parametrize(
    ("label", "ways"),
    [
        ("minmax / percentile / mse", ("minmax", "percentile", "mse")),
        ("entropy", ("entropy",)),
        (
            "entropy, but percentile for the three tensors of which it cuts over half a per cent",
            (INSTEAD,),
        ),
    ],
)
def test_the_table_is_the_record(label, ways) -> None:
    (line,) = [x for x in TEXT.splitlines() if x.startswith(f"| {label} |")]
    cells = line.strip("|").split("|")[1:]
    for cell, output in zip(cells, ("v", "u"), strict=True):
        found = [float(x) for x in re.findall(r"0\.\d+", cell)]
        assert found == pytest.approx([RECORD["cosine"][w][output] for w in ways], abs=6e-4)


def test_the_words_are_the_record() -> None:
    section = " ".join(TEXT.partition("## Why entropy comes last")[2].partition("## ")[0].split())
    assert "of the values of three maps" in section and len(RECORD["cut"]) == 3
    for each in RECORD["cut"]:
        assert each["entropy"]["beyond"] == pytest.approx(0.01, abs=0.005)
    assert f"ranges of {RECORD['images']} windows" in section
    assert f"on {RECORD['windows']} windows" in section
    assert f", {RECORD['date']}: `python -m benchmarks.studies.entropy" in section


def test_entropy_comes_last_and_its_cuts_are_why() -> None:
    found = RECORD["cosine"]
    for output in ("v", "u"):
        others = [found[way][output] for way in ("minmax", "percentile", "mse")]
        assert found["entropy"][output] < min(others)
        assert found[INSTEAD][output] >= min(others)
