"""The README's scores are those of the record, and the record is of the shipped bundle."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge.bundle import Bundle, shipped_bundle_path
from export.shared_weights import content_sha256

ROOT = Path(__file__).resolve().parent.parent
RECORD = json.loads((ROOT / "benchmarks/records/evaluate.json").read_text())
FAST = {
    side: json.loads((ROOT / f"benchmarks/records/evaluate_{side}.json").read_text())
    for side in (320, 256)
}
ROWS = {row["method"]: row for row in RECORD["rows"] if row["site"] == "all"}
ROWS |= {
    f"{side}: {row['method']}": row
    for side, record in FAST.items()
    for row in record["rows"]
    if row["site"] == "all"
}
NAMES = {
    "`lite` with alignment": "lite with alignment",
    "the same, frames of 320 px": "320: lite with alignment",
    "the same, frames of 256 px": "256: lite with alignment",
    "`lite` alone, no prior": "lite without prior",
    "SIFT + RANSAC, median box": "SIFT + RANSAC homography",
    "window centre": "window centre",
}
KEYS = ("acc@0.25", "acc@0.5", "centre_error_m_median", "coverage", "wrong_rate")


def test_the_records_are_of_the_shipped_bundle() -> None:
    for record in (RECORD, *FAST.values()):
        assert record["bundle"]["model_id"] == Bundle.open(shipped_bundle_path()).model_id
    assert [x["bundle"]["name"] for x in FAST.values()] == ["lite_320", "lite_256"]


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


PRECISION = json.loads((ROOT / "benchmarks/records/precision.json").read_text())


def test_float16_costs_no_more_than_it_may() -> None:
    assert PRECISION["rendered"]["no prior"]["clicks_on_map"] >= 2000
    for regime in PRECISION["rendered"].values():
        assert regime["box_iou_median"] >= 0.99
        assert abs(regime["acc@0.25_change_points"]["mean"]) <= 0.2
    assert PRECISION["real"]["sightings"] == RECORD["n_clicks"] + RECORD["n_absent"]


def test_the_cost_of_float16_is_that_of_the_shipped_graphs() -> None:
    bundle = Bundle.open(shipped_bundle_path())
    for precision, graphs in PRECISION["graphs"].items():
        assert {kind: content_sha256(bundle.graph(kind, precision)) for kind in graphs} == graphs


@pytest.mark.parametrize(
    ("title", "regime"), [("no prior", "no prior"), ("with alignment", "alignment")]
)
def test_the_page_of_the_record_states_what_float16_costs(title: str, regime: str) -> None:
    text = (ROOT / "benchmarks/records/precision.md").read_text()
    line = next(x for x in text.splitlines() if x.startswith(f"| {title} |"))
    numbers = [
        float(x) for x in re.findall(r"[-+]?[\d.]+", line.replace(",", "").replace("to", ""))
    ]
    found = PRECISION["rendered"][regime]
    change = found["acc@0.25_change_points"]
    wanted = [
        found["clicks"],
        found["box_iou_median"],
        *found["acc@0.25"],
        change["mean"],
        *change["interval_95"],
    ]
    assert numbers == pytest.approx(wanted, abs=0.0051)
    assert len(PRECISION["real"]["changed_verdicts"]) == 1
    assert f"Of the {PRECISION['real']['sightings']} clicks" in text


def test_the_readme_states_what_float16_costs() -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    found = PRECISION["rendered"]["no prior"]
    change = found["acc@0.25_change_points"]
    low, high = change["interval_95"]
    assert f"{found['clicks']:,} rendered clicks show" in text
    assert f"(acc@0.25 {change['mean']:+.2f} points, {low:.2f} to {high:.2f})" in text
    assert f"the {PRECISION['real']['sightings']} clicks of the labelled real frames" in text
