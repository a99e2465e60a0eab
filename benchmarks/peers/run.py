"""Measure other ways to the same answer, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.record.lines import PeerLine


def measure_peers(
    run_id: str,
    pairs: Path,
    bundle: Path,
    *,
    clicks: int = 8,
    threads: int = 2,
    seed: int = 0,
    quick: bool = False,
) -> Iterator[PeerLine]:
    """One line for each peer, as soon as it is measured; what cannot run here says why.

    Each runs in a process of its own, so that its peak of memory is its own: all that it takes are
    paths and numbers.

    Args:
        run_id: of the run that the lines belong to.
        pairs: file of labelled frames; the frames and clicks are drawn from it.
        bundle: folder of the bundle that the peers stand beside.
        clicks: N in each frame.
        threads: of each peer.
        seed: of the choice of frames and clicks.
        quick: fewer rounds, and only the peers that take seconds.
    """
    raise NotImplementedError
