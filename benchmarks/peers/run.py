"""Measure other ways to the same answer, each in a process of its own.

What is divided is measured in one round: where only some peers are left, or some are measured
again, ours is measured again beside them, and all lines of that round carry its number.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from benchmarks.peers.catalogue import OURS, PEERS, Peer, peer_of
from benchmarks.peers.one import Order
from benchmarks.peers.timing import unknown
from benchmarks.record.lines import PeerLine, Unknown

LIMIT_S = 900.0  # of each process
LOOK_S = 0.1  # between two looks at whether to stop


class StopFlag(Protocol):
    """What says that somebody wants an end."""

    requested: bool


class _StoppedError(Exception):
    """Somebody wanted an end; the peer at work was ended."""


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
    before: Sequence[PeerLine] = (),
    redo: Sequence[str] = (),
    stop: StopFlag | None = None,
    limit_s: float = LIMIT_S,
) -> Iterator[PeerLine]:
    """One line for each peer, as soon as it is measured; what cannot run here says why.

    A line of ours comes before the first other one of its round. Each runs in a process of its
    own, so that its peak of memory is its own: all that it takes are paths and numbers.

    Args:
        run_id: of the run that the lines belong to.
        pairs: file of labelled frames; the frames and clicks are drawn from it.
        bundle: folder of the bundle that the peers stand beside.
        clicks: N in each frame.
        threads: of each peer.
        seed: of the choice of clicks.
        quick: fewer rounds, and only the peers that take seconds.
        only: keys of `PEERS`; empty: all.
        before: lines of earlier calls of the run: what they measured is left out, what could not
            be measured is tried again.
        redo: keys of peers to measure again, and no other ones.
        stop: asks for an end, upon which the peer at work is ended; it has no line then.
        limit_s: after which a peer is ended.
    """
    left = left_peers(before, redo, only, quick=quick)
    number = 1 + max((line.round for line in before), default=-1)
    beside = bool(before or redo) and all(peer.key != OURS for peer in left)

    def measured(peer: Peer) -> PeerLine:
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
            line = _line(peer, order, limit_s, stop)
        return msgspec.structs.replace(line, round=number)

    try:
        for peer in left:
            line = measured(peer)
            if beside and not isinstance(line.per_object_ms, Unknown):
                yield measured(peer_of(OURS))
                beside = False
            yield line
    except _StoppedError:
        return


def left_peers(
    before: Sequence[PeerLine],
    redo: Sequence[str] = (),
    only: Sequence[str] = (),
    *,
    quick: bool = False,
) -> tuple[Peer, ...]:
    """What a call has to measure: what it is asked to do again, or all that has no numbers yet."""
    if redo:
        return tuple(peer for peer in PEERS if peer.key in redo)
    last = {(line.name, line.runtime): line.per_object_ms for line in before}
    none = Unknown("not measured")
    return tuple(
        peer
        for peer in chosen_peers(only, quick=quick)
        if isinstance(last.get((peer.name, peer.runtime), none), Unknown)
    )


def chosen_peers(only: Sequence[str] = (), *, quick: bool = False) -> tuple[Peer, ...]:
    """The peers that a run measures, in their order."""
    allowed = (peer for peer in PEERS if peer.quick or not quick)
    return tuple(peer for peer in allowed if not only or peer.key in only)


def _line(peer: Peer, order: Order, limit_s: float, stop: StopFlag | None) -> PeerLine:
    for step in ("prepare", "measure") if peer.prepare else ("measure",):
        trouble = _carry_out(step, order, limit_s, stop)
        if trouble is not None:
            return unknown(peer, order.run_id, order.clicks, trouble)
    return msgspec.json.decode(order.answer.read_bytes(), type=PeerLine)


def _carry_out(step: str, order: Order, limit_s: float, stop: StopFlag | None) -> str | None:
    """Run a step to its end; None: it succeeded, else why not.

    Raises:
        _StoppedError: an end was asked for before.
    """
    threads = {"OMP_NUM_THREADS": str(order.threads)}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            _words(step, order),
            env={**os.environ, **threads},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,  # torch.compile has helpers of its own, which end with it
        )
        try:
            status = _wait(process, limit_s, stop)
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


def _words(step: str, order: Order) -> list[str]:
    told = msgspec.json.encode(order).decode()
    return [sys.executable, "-m", "benchmarks.peers.one", step, told]


def _wait(process: subprocess.Popen[bytes], limit_s: float, stop: StopFlag | None) -> int:
    end_s = time.monotonic() + limit_s
    while True:
        if stop is not None and stop.requested:
            raise _StoppedError
        left_s = end_s - time.monotonic()
        try:
            return process.wait(max(min(LOOK_S, left_s), 0.0))
        except subprocess.TimeoutExpired:
            if left_s <= 0:
                raise


def _reason(text: str, status: int) -> str:
    """The last line that says something, or the signal that ended the process."""
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"ended with {status}"
