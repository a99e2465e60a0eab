"""Measure other ways to the same answer, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.peers.one import Order
from benchmarks.peers.timing import unknown
from benchmarks.record.lines import PeerLine

LIMIT_S = 900.0  # of each process


def measure_peers(
    run_id: str,
    pairs: Path,
    bundle: Path,
    *,
    clicks: int = 8,
    threads: int = 2,
    seed: int = 0,
    quick: bool = False,
    only: Sequence[str] = (),
    done: Collection[tuple[str, str]] = (),
    limit_s: float = LIMIT_S,
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
        seed: of the choice of clicks.
        quick: fewer rounds, and only the peers that take seconds.
        only: keys of `PEERS`; empty: all.
        done: names and runtimes of those that an earlier call of the run measured.
        limit_s: after which a peer is ended.
    """
    for peer in chosen_peers(only, quick=quick):
        if (peer.name, peer.runtime) in done:
            continue
        with tempfile.TemporaryDirectory(prefix="tilefix-peer-") as folder:
            order = Order(
                key=peer.key,
                run_id=run_id,
                pairs=str(pairs.absolute()),
                bundle=str(bundle.absolute()),
                clicks=clicks,
                threads=threads,
                seed=seed,
                quick=quick,
                folder=folder,
            )
            yield _line(peer, order, limit_s)


def chosen_peers(only: Sequence[str] = (), *, quick: bool = False) -> tuple[Peer, ...]:
    """The peers that a run measures, in their order."""
    allowed = (peer for peer in PEERS if peer.quick or not quick)
    return tuple(peer for peer in allowed if not only or peer.key in only)


def _line(peer: Peer, order: Order, limit_s: float) -> PeerLine:
    for step in ("prepare", "measure") if peer.prepare else ("measure",):
        trouble = _carry_out(step, order, limit_s)
        if trouble is not None:
            return unknown(peer, order.run_id, order.clicks, trouble)
    return msgspec.json.decode(order.answer.read_bytes(), type=PeerLine)


def _carry_out(step: str, order: Order, limit_s: float) -> str | None:
    """Run a step to its end; None: it succeeded, else why not."""
    words = [
        sys.executable,
        "-m",
        "benchmarks.peers.one",
        step,
        msgspec.json.encode(order).decode(),
    ]
    threads = {"OMP_NUM_THREADS": str(order.threads)}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            words,
            env={**os.environ, **threads},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,  # torch.compile has helpers of its own, which end with it
        )
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return f"not done after {limit_s:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if status == 0:
            return None
        said.seek(0)
        return _reason(said.read().decode(errors="replace"), status)


def _reason(text: str, status: int) -> str:
    """The last line that says something, or the signal that ended the process."""
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"ended with {status}"
