"""The kept record of the peers: every one is there, and README says what came of what was asked.

That the README's table is that of the record is in tests/benchmarks/test_table_command.py; what was
asked is computed here by itself, out of the latencies.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.catalogue import PEERS, peer_of
from benchmarks.record.file import lines
from benchmarks.record.lines import PeerLine, Unknown
from benchmarks.record.series import unpack

ROOT = Path(__file__).resolve().parents[3]
LINES = [
    line
    for line in lines(ROOT / "benchmarks" / "records" / "peers.jsonl")
    if isinstance(line, PeerLine)
]
BY_NAME = {(peer.name, peer.runtime): peer for peer in LINES}  # the last of each
LITE = peer_of("lite")


def frames_ms(peer: PeerLine) -> np.ndarray:
    return unpack(peer.latency) / 1e6


def lite_of(round_: int) -> float:
    """The median of ours in a round."""
    own = [e for e in LINES if (e.name, e.round) == (LITE.name, round_)]
    return float(np.percentile(frames_ms(own[-1]), 50, method="inverted_cdf"))


def said(name: str) -> tuple[float, bool]:
    """Least ratio that README states, and whether it says that what was asked was reached."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pattern = rf"{re.escape(name)} [\d,]+ times less \(([\d,.]+)x[^:]*: (\**[a-z ]+\**)\)"
    (ratio, reached) = re.search(pattern, text).groups()
    return float(ratio.replace(",", "")), reached == "reached"


def test_every_peer_is_there_measured_or_with_its_reason():
    assert set(BY_NAME) == {(peer.name, peer.runtime) for peer in PEERS}
    for peer in BY_NAME.values():
        assert peer.note or (isinstance(peer.latency, Unknown) and peer.latency.reason)


def test_the_readme_says_how_many_times_less_lite_takes_and_whether_that_was_asked():
    whole = BY_NAME["DetGeo as published", "torch eager"]
    least = frames_ms(whole).min() / lite_of(whole.round)
    ratio, reached = said("lite")
    assert ratio == pytest.approx(least, rel=6e-3)  # three digits
    assert reached == (least >= 600)


def test_the_readme_says_how_many_times_less_ocgnet_takes_and_whether_that_was_asked():
    whole = BY_NAME["DetGeo as published", "torch eager"]
    own = [peer for peer in BY_NAME.values() if peer.name == "OCGNet, cached and folded"]
    by_lite = min(
        np.percentile(frames_ms(peer), 50, method="inverted_cdf") / lite_of(peer.round)
        for peer in own
        if not isinstance(peer.latency, Unknown)
    )
    least = frames_ms(whole).min() / lite_of(whole.round) / by_lite
    ratio, reached = said("OCGNet, cached and folded")
    assert ratio == pytest.approx(least, rel=6e-3)
    assert reached == (least >= 40)


def test_only_real_weights_have_an_accuracy():
    for (name, _), peer in BY_NAME.items():
        if "Geo" in name or "OCGNet" in name:
            assert isinstance(peer.acc25, Unknown)
    aligned, alone = BY_NAME["lite with alignment", "ONNX Runtime"], BY_NAME["lite", "ONNX Runtime"]
    assert aligned.acc25 > alone.acc25 > 0
