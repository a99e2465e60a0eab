"""One peer in a process of its own; called by `benchmarks.peers.run`, not by people.

python -m benchmarks.peers.one prepare|measure JSON
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import msgspec

from benchmarks.peers.catalogue import peer_of
from benchmarks.peers.scene import read_scene
from benchmarks.peers.timing import measure
from benchmarks.peers.way import PeerRequest
from edge.bundle import Bundle

WATCH_S = 0.5


class Order(msgspec.Struct, frozen=True):
    """What the process is told."""

    key: str
    run_id: str
    pairs: str
    bundle: str
    clicks: int
    threads: int
    seed: int
    quick: bool
    folder: str  # of what is prepared, and of the answer

    @property
    def answer(self) -> Path:
        """Where the line goes: standard output belongs to the libraries."""
        return Path(self.folder) / f"{self.key}.json"


def carry_out(step: str, order: Order) -> None:
    """Prepare or measure one peer."""
    peer = peer_of(order.key)
    folder = Path(order.folder)
    if step == "prepare":
        peer.load(peer.prepare)(folder, *peer.arguments)
        return
    bundle = Bundle.open(order.bundle)
    scene = read_scene(Path(order.pairs), bundle, order.clicks, order.seed)
    request = PeerRequest(scene, bundle, order.clicks, order.threads, folder)
    line = measure(peer, request, order.run_id, quick=order.quick)
    order.answer.write_bytes(msgspec.json.encode(line))


def end_with_parent() -> None:
    """End this process and its helpers soon after the one that started it, however that ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    end_with_parent()
    carry_out(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Order))
