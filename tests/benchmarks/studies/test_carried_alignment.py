"""The study of carried alignments: its rows by hand, and what the code says of its record."""

from __future__ import annotations

import json
import math
from pathlib import Path

from benchmarks.studies.carried_alignment import EDGES_PX, RECORD, CarriedFix, by_sigma
from edge.acceptance import MOST_SIGMA_PX

ROOT = Path(__file__).resolve().parents[3]  # an installed package has no records


def test_rows_by_hand():
    fixes = [
        CarriedFix(4.9, accepted=True, wrong=False),
        CarriedFix(5.0, accepted=True, wrong=True),
        CarriedFix(7.0, accepted=False, wrong=False),
        CarriedFix(80.0, accepted=True, wrong=True),
        CarriedFix(math.inf, accepted=False, wrong=False),
    ]
    rows = by_sigma(fixes)
    counts = [(row["fixes"], row["accepted"], row["wrong"]) for row in rows]
    assert counts == [(1, 1, 0), (2, 1, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0), (1, 1, 1)]
    assert [row["from_px"] for row in rows] == list(EDGES_PX[:-1])


def test_the_limit_is_where_the_record_has_it():
    """Above it far more are wrong than the tenth that the threshold is chosen for; below, not."""
    rows = json.loads((ROOT / "benchmarks" / "records" / RECORD.name).read_text())["rows"]
    assert MOST_SIGMA_PX in EDGES_PX

    def share(those):
        accepted = sum(row["accepted"] for row in those)
        assert accepted >= 50
        return sum(row["wrong"] for row in those) / accepted

    below = [row for row in rows if row["from_px"] < MOST_SIGMA_PX]
    above = [row for row in rows if row["from_px"] >= MOST_SIGMA_PX]
    assert share(below) < 0.1 and share(below[-1:]) < 0.15
    assert share(above) > 0.25
    readme = " ".join((ROOT / "README.md").read_text().split())
    said = f"worse than {MOST_SIGMA_PX:g} px is no evidence: above that, {share(above):.0%} of what"
    assert said.replace("%", " %") in readme
    assert f"is wrong, below it {share(below):.0%}".replace("%", " %") in readme
