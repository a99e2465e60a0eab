"""What a peer gives once it is made: something to call for each frame, and what to say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.scene import PeerQuery, PeerScene
from edge.bundle import Bundle
from edge.predictors import Predictor


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """What a peer is made of."""

    scene: PeerScene
    bundle: Bundle
    clicks: int
    threads: int
    folder: Path  # for what is prepared beforehand, such as an exported graph


@dataclass(frozen=True, slots=True)
class Way:
    """A peer, ready to run; unless `whole`, it keeps what it made of a window."""

    locate: Callable[[PeerQuery], object]
    note: str
    whole: bool = False  # both branches for every click; `locate` is called for one click
    predictor: Predictor | None = None  # with real weights; None: random weights, no accuracy


class PeerUnavailable(Exception):  # noqa: N818 - an answer, not a fault
    """Why a peer cannot run here; its text goes into the record."""
