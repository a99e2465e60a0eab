"""README's table of ratios and times is what the record holds."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle, shipped_bundle_path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
RECORD = json.loads((ROOT / "benchmarks" / "records" / "ratios.json").read_text())
FOUND = {each["name"]: each for each in RECORD["benchmarks"]}
CACHED = "test_cached_window_against_both_branches"
EIGHT = "test_eight_clicks_cost_little_more_than_one[512]"
POSES = [x["median_ms"] for name, x in FOUND.items() if name.startswith("test_known_pose")]


def ms(name: str) -> float:
    return FOUND[name]["median_ms"]


def info(name: str, key: str) -> float:
    return FOUND[name]["extra_info"][key]


def shown(label: str) -> list[str]:
    """Numbers of the column `measured`."""
    (line,) = [x for x in README.splitlines() if x.startswith(f"| {label} |")]
    return re.findall(r"\d+\.?\d*", line.split("|")[2])


def stored_mb() -> float:
    """What the encoder leaves of a window, megabytes."""
    features = Bundle.open(shipped_bundle_path()).manifest.features
    return 1e-6 * sum(math.prod(x.shape) * np.dtype(x.dtype).itemsize for x in features)


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        (
            "both branches against a cached window, 512 px frame",
            [info(f"{CACHED}[512]", "ratio")],
        ),
        ("the same, 256 px frame", [info(f"{CACHED}[256]", "ratio")]),
        ("8 clicks against 1", [info(EIGHT, "ratio")]),
        ("one 512 px frame with 8 clicks", [ms(EIGHT)]),
        (
            "a 1024 px window from MBTiles, cold / along a flight",
            [ms("test_window_cold"), ms("test_window_along_a_flight")],
        ),
        (
            "a stored window, warm, checksum included (7.7 MB)",
            [ms("test_feature_read_warm")],
        ),
        (
            "alignment, pose roughly known / tracking",
            [min(POSES), max(POSES), ms("test_tracking")],
        ),
        (
            "alignment, nothing known, one window",
            [
                1e-3 * ms("test_one_step_of_the_cold_search"),
                info("test_one_step_of_the_cold_search", "steps"),
            ],
        ),
        (
            "encoding a window / describing it for alignment",
            [
                # both branches less a frame with a cached window: the least, in seconds
                1e-3
                * info(f"{CACHED}[512]", "both_branches_ms")
                * (1 - 1 / info(f"{CACHED}[512]", "ratio")),
                1e-3 * ms("test_describing_a_window"),
                stored_mb(),
                1e-6 * info("test_describing_a_window", "store_bytes"),
            ],
        ),
    ],
)
def test_the_table_is_the_record(label: str, wanted: list[float]) -> None:
    found = shown(label)
    digits = [len(each.partition(".")[2]) for each in found]
    assert found == [f"{value:.{n}f}" for value, n in zip(wanted, digits, strict=True)]


def test_the_record_says_where_it_is_from() -> None:
    assert f"{RECORD['datetime'][:10]}, one run of `pytest benchmarks" in README
    assert RECORD["processor"].startswith("AMD EPYC") and "(AMD EPYC," in README
    assert re.fullmatch("[0-9a-f]{40}", RECORD["commit"])
