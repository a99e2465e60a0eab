"""How one peer is timed, how much memory it takes, and how often it is right."""

from __future__ import annotations

import dataclasses
import re
import statistics
import time
from pathlib import Path

from benchmarks.peers.catalogue import Peer
from benchmarks.peers.scene import PeerScene
from benchmarks.peers.way import PeerRequest, PeerUnavailable, Way
from benchmarks.record.lines import PeerLine, Series, Unknown
from benchmarks.record.series import LIMIT_NS, pack
from edge.errors import TilefixError
from edge.evaluation import Site, run_site
from edge.predictors import Predictor
from edge.scoring import JudgedClick, score

WHOLE_FORWARDS = 3  # 5 to 30 s each on two cores
LAPS = 3  # over the frames, after one that warms up
LAPS_LIMIT_S = 30.0  # no further lap after that
QUICK_FRAMES = 8
NO_WEIGHTS = Unknown("random weights: the authors' are not part of this")
NO_TIME = Unknown("left out of a quick run")


def measure(peer: Peer, request: PeerRequest, run_id: str, *, quick: bool) -> PeerLine:
    """Time a peer in this process; what it cannot do here is in the line's `Unknown`."""
    try:
        way: Way = peer.load(peer.make)(request, *peer.arguments)
        return _measured(peer, request, run_id, way, quick=quick)
    except (PeerUnavailable, TilefixError) as error:
        reason = error.what if isinstance(error, TilefixError) else str(error)
        return unknown(peer, run_id, request.clicks, reason)


def unknown(peer: Peer, run_id: str, clicks: int, reason: str) -> PeerLine:
    """The line of a peer that did not run."""
    why = Unknown(reason)
    return PeerLine(run_id, peer.name, peer.runtime, clicks, why, why, why, why, why, "")


def _measured(peer: Peer, request: PeerRequest, run_id: str, way: Way, *, quick: bool) -> PeerLine:
    times_ns = _whole(way, request, quick=quick) if way.whole else _frames(way, request, quick)
    frame_ns = [ns * (request.clicks if way.whole else 1) for ns in times_ns]
    peak = peak_bytes()
    acc25, acc50 = _accuracy(way.predictor, request.scene, quick=quick)
    notes = [way.note] if way.note else []
    if way.whole:
        notes.append(
            f"{len(times_ns)} forwards of one click timed; a frame of {request.clicks} clicks is "
            f"{request.clicks} of them"
        )
    else:
        notes.append(f"{len(times_ns)} frames timed")
    return PeerLine(
        run_id=run_id,
        name=peer.name,
        runtime=peer.runtime,
        clicks=request.clicks,
        latency=_kept(frame_ns),
        per_object_ms=statistics.median(frame_ns) / 1e6 / request.clicks,
        peak_bytes=peak,
        acc25=acc25,
        acc50=acc50,
        note="; ".join(notes),
    )


def _kept(frame_ns: list[int]) -> Series | Unknown:
    """The times of frames; eight forwards of a slow processor may be longer than a record keeps."""
    if max(frame_ns) <= LIMIT_NS:
        return pack(frame_ns)
    return Unknown(f"a frame takes {max(frame_ns) / 1e9:.0f} s, longer than a record keeps")


def _whole(way: Way, request: PeerRequest, *, quick: bool) -> list[int]:
    """Forwards of one click of different frames, after one that warms up."""
    queries = request.scene.queries
    count = 1 if quick else WHOLE_FORWARDS
    return [_time_ns(way, request.scene, n % len(queries)) for n in range(count + 1)][1:]


def _frames(way: Way, request: PeerRequest, quick: bool) -> list[int]:
    """Every frame, several times; the first lap meets each window for the first time."""
    count = len(request.scene.queries)
    count, laps = (min(count, QUICK_FRAMES), 1) if quick else (count, LAPS)
    times_ns: list[int] = []
    for lap in range(1 + laps):
        found = [_time_ns(way, request.scene, number) for number in range(count)]
        times_ns += found if lap else []
        if sum(times_ns) > LAPS_LIMIT_S * 1e9:
            break
    return times_ns


def _time_ns(way: Way, scene: PeerScene, number: int) -> int:
    query = scene.queries[number].anew()
    start_ns = time.perf_counter_ns()
    way.locate(query)
    return time.perf_counter_ns() - start_ns


def _accuracy(
    predictor: Predictor | None, scene: PeerScene, *, quick: bool
) -> tuple[float | Unknown, float | Unknown]:
    """acc@0.25 and acc@0.5 of every labelled click, in the windows of its frame."""
    if predictor is None:
        return NO_WEIGHTS, NO_WEIGHTS
    if quick:
        return NO_TIME, NO_TIME
    judged: list[JudgedClick] = []
    for query in scene.queries:
        pairs = dataclasses.replace(scene.site.pairs, frames=(query.labels,))
        judged += run_site(predictor, Site(scene.site.name, pairs, query.windows)).own
    scores = score(judged, resamples=1)
    values = [scores["acc@0.25"], scores["acc@0.5"]]
    none = Unknown("no click of these frames is on the map")
    first, second = (none if value is None else float(value) for value in values)
    return first, second


def peak_bytes(status: Path = Path("/proc/self/status")) -> int | Unknown:
    """The most memory that this process held, of its own address space alone.

    Not `getrusage`: its peak is that of the process that started this one, where that was larger.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
    except OSError as error:
        return Unknown(f"{status} cannot be read: {error.strerror}")
    return int(found[1]) * 1024 if found else Unknown(f"{status} has no VmHWM")
