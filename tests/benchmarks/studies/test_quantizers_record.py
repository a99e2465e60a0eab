"""What the README of INT8 says of ready tools is what the record holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.studies.quantizer_table import boxes_table, effort, layers_table, points, short
from benchmarks.studies.quantizer_tools import METHODS, NVIDIA, ORT, OURS

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "calibration" / "README.md").read_text()
SECTION = TEXT.partition("## Beside ready tools")[2].partition("\n## ")[0]
RECORD = json.loads((ROOT / "benchmarks" / "records" / "quantizers.json").read_text())
JUDGED = {(x["tool"], x["method"], x["pictures"]): x for x in RECORD["judged"]}


def iou(tool: str, method: str, pictures: str = "the same") -> float:
    return JUDGED[tool, method, pictures]["box_iou_mean"]


@pytest.mark.parametrize("table", [boxes_table, layers_table])
def test_the_tables_are_made_from_the_record(table) -> None:
    assert "\n".join(table(RECORD)) in SECTION


def test_every_tool_and_method_was_judged_on_the_same_samples() -> None:
    for tool, methods in METHODS.items():
        for method in methods:
            assert JUDGED[tool, method, "the same"]["left_float"] == []
    assert {(x["samples"], x["clicks_on_map"]) for x in RECORD["judged"]} == {
        (JUDGED[OURS, "mse", "all"]["samples"], JUDGED[OURS, "mse", "all"]["clicks_on_map"])
    }
    words = " ".join(SECTION.split())
    assert f"{JUDGED[OURS, 'mse', 'all']['clicks_on_map']} clicks" in words
    seen = RECORD["ranges_from"]
    assert f"{seen['windows']} windows and {seen['frames']} frames" in words
    assert RECORD["date"] in words
    assert f"ModelOpt {RECORD['environment']['modelopt']}" in words


def test_what_follows_is_in_the_record() -> None:
    words = " ".join(SECTION.split())
    # Same ranges up to a rounding: what differs between these says what a difference is worth.
    assert iou(NVIDIA, "max") == iou(ORT, "MinMax")
    assert f"still differs by {abs(iou(OURS, 'minmax') - iou(ORT, 'MinMax')):.3f}" in words
    assert iou(OURS, "entropy") < min(iou(*key) for key in JUDGED if key[:2] != (OURS, "entropy"))
    for (tool, method, _), row in JUDGED.items():
        intervals = [row[f"acc@{x}_change_points"]["interval_95"] for x in ("0.25", "0.5")]
        excluded = any(high < 0 or low > 0 for low, high in intervals)
        assert excluded == ((tool, method) == (OURS, "entropy"))
    peaks = {
        tool: max(x["peak_mb"] for x in RECORD["made"] if x["tool"] == tool) for tool in METHODS
    }
    assert round(peaks[OURS] / 1000, 1) == 1.0 and round(peaks[ORT] / 1000, 1) == 5.0
    sizes = {
        tool: sum(
            x["file_bytes"]
            for x in RECORD["made"]
            if (x["tool"], x["precision"]) == (tool, "fp32") and x["method"] == METHODS[tool][0]
        )
        for tool in METHODS
    }
    assert 3.5 < sizes[NVIDIA] / sizes[OURS] < 4


def test_numbers_are_written_from_both_graphs() -> None:
    record = {
        "made": [
            {"tool": "t", "method": "m", "precision": p, "processor_s": s, "peak_mb": mb}
            for p, s, mb in (("fp32", 1.2, 2040.0), ("fp32", 3.4, 100.0), ("fp16", 99.0, 9e4))
        ]
    }
    assert effort(record, "t", "m") == ("5", "2.0 GB")
    assert points({"mean": -0.61, "interval_95": [-1.44, 0.2]}) == "-0.6 (-1.4 to +0.2)"
    assert short("writes a graph that does not load: [x] : Load model from a.onnx failed:No") == (
        "writes a graph that does not load: No"
    )
    assert short("ValueError: one") == "ValueError: one"
