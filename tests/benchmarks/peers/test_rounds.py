"""What a later call measures: what is left, or what is asked for again, with ours beside it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from benchmarks.peers import run
from benchmarks.peers.catalogue import PEERS, peer_of
from benchmarks.peers.run import measure_peers
from benchmarks.record.lines import PeerLine, Unknown
from benchmarks.record.series import pack

RUN = "0" * 16


def line(key: str, round_: int = 0, **changes) -> PeerLine:
    peer = peer_of(key)
    values = {"latency": pack([80 * 10**6] * 10), "per_object_ms": 10.0} | changes
    rest = dict.fromkeys(("peak_bytes", "acc25", "acc50"), Unknown("not looked at"))
    named = {"run_id": RUN, "name": peer.name, "runtime": peer.runtime, "clicks": 8, "note": ""}
    return PeerLine(**{**named, **rest, "round": round_, **values})


def failed(key: str, round_: int = 0) -> PeerLine:
    why = Unknown("ended by SIGKILL")
    return line(key, round_, latency=why, per_object_ms=why)


@pytest.fixture
def unmeasured(monkeypatch):
    """Peers are not run: `unmeasured.asked` says which, all but `unmeasured.broken` succeed."""

    class Asked:
        asked: ClassVar[list[str]] = []
        broken: ClassVar[set[str]] = set()

    def made(peer, order, limit_s, stop):
        Asked.asked.append(peer.key)
        return failed(peer.key) if peer.key in Asked.broken else line(peer.key)

    Asked.asked, Asked.broken = [], set()
    monkeypatch.setattr(run, "_line", made)
    return Asked


def keys(lines) -> list[tuple[str, int]]:
    by_name = {(peer.name, peer.runtime): peer.key for peer in PEERS}
    return [(by_name[each.name, each.runtime], each.round) for each in lines]


PLACES = Path("pairs.json"), Path("bundle")


def test_a_first_call_measures_all_of_them_in_one_round(unmeasured):
    found = keys(measure_peers(RUN, *PLACES))
    assert found == [(peer.key, 0) for peer in PEERS]


def test_what_an_earlier_call_measured_is_left_out_and_what_failed_is_tried_again(unmeasured):
    before = [line(peer.key) for peer in PEERS if peer.key not in ("sift", "disk-glue")]
    before.append(failed("disk-glue"))
    found = keys(measure_peers(RUN, *PLACES, before=before))
    assert found == [("lite", 1), ("sift", 1), ("disk-glue", 1)], "ours is beside them"


def test_a_frame_too_long_for_a_record_was_measured(unmeasured):
    before = [line(peer.key, latency=Unknown("longer than a record keeps")) for peer in PEERS]
    assert list(measure_peers(RUN, *PLACES, before=before)) == []


def test_ours_is_beside_only_what_can_be_measured(unmeasured):
    unmeasured.broken = {"disk-glue"}
    before = [line(peer.key) for peer in PEERS if peer.key != "disk-glue"]
    assert keys(measure_peers(RUN, *PLACES, before=before)) == [("disk-glue", 1)]


def test_a_redone_peer_has_ours_beside_it_and_a_round_of_its_own(unmeasured):
    before = [line(peer.key) for peer in PEERS]
    before += [line("lite", 1), line("detgeo-eager", 1), failed("sift-glue", 1)]
    redo = ["xfeat", "detgeo-eager"]
    found = keys(measure_peers(RUN, *PLACES, before=before, redo=redo))
    assert found == [("lite", 2), ("detgeo-eager", 2), ("xfeat", 2)], "and nothing else"
