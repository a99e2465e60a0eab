"""The kept record of the peers can be read, has every peer, and OCGNet keeps its ratio in it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.table import newest_peers, table
from benchmarks.record.file import lines
from benchmarks.record.lines import Unknown

RECORD = Path(__file__).resolve().parents[3] / "benchmarks" / "records" / "peers.jsonl"
FOUND = newest_peers(lines(RECORD), RECORD.name)
BY_NAME = {(peer.name, peer.runtime): peer for peer in FOUND.peers}


def test_every_peer_is_there_measured_or_with_its_reason():
    assert set(BY_NAME) == {(peer.name, peer.runtime) for peer in PEERS}
    for peer in FOUND.peers:
        assert peer.note or (isinstance(peer.latency, Unknown) and peer.latency.reason)


def test_cached_and_folded_against_both_branches():
    whole = BY_NAME["DetGeo as published", "torch eager"].per_object_ms
    for runtime in ("torch eager", "ONNX Runtime"):
        assert whole >= 40 * BY_NAME["OCGNet, cached and folded", runtime].per_object_ms


def test_only_real_weights_have_an_accuracy():
    for (name, _), peer in BY_NAME.items():
        if "Geo" in name or "OCGNet" in name:
            assert isinstance(peer.acc25, Unknown)
    aligned, alone = BY_NAME["lite with alignment", "ONNX Runtime"], BY_NAME["lite", "ONNX Runtime"]
    assert aligned.acc25 > alone.acc25 > 0
    assert "| lite with alignment | ONNX Runtime |" in table(FOUND)
