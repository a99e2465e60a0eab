"""README's table of the published models is what the record and the models hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
RECORD = json.loads((ROOT / "benchmarks" / "records" / "published_models.json").read_text())
RATIOS = {each["name"]: each["extra_info"]["ratio"] for each in RECORD["benchmarks"]}
LEAST = {"DetGeo": 30.0, "OCGNet": 30.0, "AttenGeo (F1)": 4.0, "TROGeo": 4.0}


def last_cell(model: str) -> str:
    (line,) = [x for x in README.splitlines() if x.startswith(f"| {model} |")]
    return line.strip("|").split("|")[-1].strip()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("DetGeo", "test_cached_window[detgeo]"),
        ("OCGNet", "test_cached_window[ocgnet]"),
        ("AttenGeo (F1)", "test_cached_window[attengeo]"),
        ("TROGeo", "test_cached_window[trogeo]"),
    ],
)
def test_a_cached_window_is_worth_what_was_measured_and_what_was_asked(model, name) -> None:
    shown = re.fullmatch(r"(\d+\.?\d*)x", last_cell(model))
    assert shown is not None
    digits = len(shown[1].partition(".")[2])
    assert shown[1] == f"{RATIOS[name]:.{digits}f}"
    assert RATIOS[name] >= LEAST[model]


def test_eight_clicks_of_mogeo_cost_what_was_measured() -> None:
    ratio = RATIOS["test_eight_clicks_of_mogeo"]
    assert last_cell("MOGeo (A)") == f"8 clicks cost {ratio:.1f}x of one"
    assert ratio <= 1.5


def test_the_sentence_below_names_the_machine_and_the_day() -> None:
    day = RECORD["datetime"][:10]
    assert (
        f"one x86-64 core ({RECORD['processor']}, a virtual machine), random weights, {day}"
        in README
    )
