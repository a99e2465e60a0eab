"""The README's scores are those of the record, and the record is of the shipped bundle."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge.bundle import Bundle, shipped_bundle_path

ROOT = Path(__file__).resolve().parent.parent
RECORD = json.loads((ROOT / "benchmarks/records/evaluate.json").read_text())
ROWS = {row["method"]: row for row in RECORD["rows"] if row["site"] == "all"}
NAMES = {
    "`lite` with alignment": "lite with alignment",
    "`lite` alone, no prior": "lite without prior",
    "SIFT + RANSAC, median box": "SIFT + RANSAC homography",
    "window centre": "window centre",
}
KEYS = ("acc@0.25", "acc@0.5", "centre_error_m_median", "coverage", "wrong_rate")


def test_the_record_is_of_the_shipped_bundle() -> None:
    assert RECORD["bundle"]["model_id"] == Bundle.open(shipped_bundle_path()).model_id


@pytest.mark.parametrize("name", NAMES)
def test_the_table_states_the_record(name: str) -> None:
    line = next(
        x for x in (ROOT / "README.md").read_text().splitlines() if x.startswith(f"| {name}")
    )
    cells = [cell.strip() for cell in line.strip("|").split("|")][1:]
    stated = [float(re.match(r"[\d.]+", cell).group()) for cell in cells]
    row = ROWS[NAMES[name]]
    for key, value in zip(KEYS, stated, strict=False):
        digits = 0 if value > 20 else 1 if key.startswith("centre") else 2
        assert value == pytest.approx(row[key], abs=0.51 * 10**-digits), key
    assert stated[5] == pytest.approx(row["false_accept_rate_other_site"], abs=0.005)
