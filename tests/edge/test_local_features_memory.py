"""Memory of frame alignment is taken before a flight, not by and by in its midst."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edge.assembly import open_bundle
from edge.bundle import ALIGNMENT_GRAPH

GROWTH = """
import gc, sys
from pathlib import Path
import numpy as np
from edge.local_features import FeatureExtractor

def resident_mb():
    gc.collect()
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1]) / 1e6

graph, reserved = sys.argv[1:]
extractor = FeatureExtractor(Path(graph), threads=1)
draw = np.random.default_rng(0)
if reserved == "yes":
    extractor.reserve()
extractor.extract(draw.integers(0, 256, (96, 96, 3), np.uint8))
before = resident_mb()
for high, wide in ((320, 320), (352, 640), (640, 352), (480, 640), (624, 641), (384, 1040)):
    extractor.extract(draw.integers(0, 256, (high, wide, 3), np.uint8))
print(resident_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_flight_adds_little_to_what_was_reserved():
    graph = str(open_bundle(None).file(ALIGNMENT_GRAPH))
    grown_mb = {}
    for reserved in ("yes", "no"):
        done = subprocess.run(
            [sys.executable, "-c", GROWTH, graph, reserved],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        grown_mb[reserved] = float(done.stdout)
    assert grown_mb["no"] > 30, "this test would see it"
    assert grown_mb["yes"] < grown_mb["no"] / 4
