"""The bundle of the run, as `tilefix run` uses it: window cached, all clicks of a frame at once."""

from __future__ import annotations

from benchmarks.peers.scene import PeerQuery
from benchmarks.peers.way import PeerRequest, Way
from edge.alignment import Aligner
from edge.localizer import Localizer
from edge.predictors import LitePredictor

NOTE = "window encoded beforehand, all clicks of a frame at once"


def alone(request: PeerRequest) -> Way:
    """Without a prior."""
    localizer = Localizer.open(request.bundle, threads=request.threads)
    return _way(LitePredictor(localizer), NOTE)


def aligned(request: PeerRequest) -> Way:
    """With the prior of the frame's alignment, found anew in every frame."""
    localizer = Localizer.open(request.bundle, threads=request.threads)
    aligner = Aligner.open(request.bundle, threads=request.threads)
    note = f"{NOTE}; the frame is aligned anew each time, not tracked"
    return _way(LitePredictor(localizer, aligner), note)


def _way(predictor: LitePredictor, note: str) -> Way:
    def locate(query: PeerQuery) -> object:
        return predictor.predict(query.frame, query.click_xy_px, [query.window])

    return Way(locate, note, predictor=predictor)
