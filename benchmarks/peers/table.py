"""The peers of a run as a Markdown table, with command, machine and date below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.peers.catalogue import EAGER, OURS, peer_of
from benchmarks.peers.spread import Spread, frame_spread
from benchmarks.readme_table import Marks
from benchmarks.record.lines import Line, PeerLine, RunLine, Unknown
from edge.errors import BenchmarkError

MARKS = Marks(
    "<!-- table of tilefix bench table -->",
    "<!-- end of the table of tilefix bench table -->",
    "the table of peers",
)
HEADS = (
    "way",
    "runtime",
    "ms per frame",
    "ms per object",
    "times `lite`",
    "peak memory, MB",
    "acc@0.25",
    "acc@0.5",
)
NOT_MEASURED = "not measured"
NO_ACCURACY = "random weights"
WHOLE = "DetGeo as published", EAGER  # what the project promises a ratio to
# Times less of an object that are asked, of which way.
ASKED = ((600.0, "lite"), (40.0, "OCGNet, cached and folded"))


@dataclass(frozen=True, slots=True)
class PeerRun:
    """The peers of one run."""

    calls: tuple[RunLine, ...]  # in which some were measured
    peers: tuple[PeerLine, ...]  # one for each name and runtime: the last, of ours see `shown`
    ours: dict[int, PeerLine]  # by round
    again: frozenset[tuple[str, str]]  # names and runtimes that have more than one line

    def beside(self, peer: PeerLine) -> Spread | None:
        """Ours in the round of a peer; None: it was not measured there."""
        ours = self.ours.get(peer.round)
        return None if ours is None else frame_spread(ours)

    def times(self, peer: PeerLine) -> Spread | None:
        """How many times as long as ours a peer takes, both of one round."""
        own, ours = frame_spread(peer), self.beside(peer)
        return None if own is None or ours is None else own.over(ours)


def newest_peers(lines: Iterable[Line], where: str) -> PeerRun:
    """The peers of the last run of a record that has any.

    Raises:
        BenchmarkError: no run of the record has.
    """
    calls: dict[str, RunLine] = {}
    found: dict[str, list[tuple[RunLine, PeerLine]]] = {}
    last = ""
    for line in lines:
        if isinstance(line, RunLine):
            calls[line.run_id] = line
        elif isinstance(line, PeerLine) and line.run_id in calls:
            found.setdefault(line.run_id, []).append((calls[line.run_id], line))
            last = line.run_id
    if not last:
        raise BenchmarkError(
            f"the record {where} has no peers",
            expected="a run with peers",
            found=f"{len(calls)} runs without",
            do="measure them: tilefix bench --peers",
        )
    each = [peer for _, peer in found[last]]
    peers = {_key(peer): peer for peer in each}
    ours = {peer.round: peer for peer in each if _key(peer) == _OURS}
    rounds = Counter(peer.round for key, peer in peers.items() if key != _OURS)
    if ours and rounds:  # shown is the one that most others are divided by
        peers[_OURS] = ours.get(rounds.most_common(1)[0][0], peers[_OURS])
    counted = Counter(_key(peer) for peer in each if not isinstance(peer.per_object_ms, Unknown))
    return PeerRun(
        calls=tuple({call.started_utc: call for call, _ in found[last]}.values()),
        peers=tuple(peers.values()),
        ours=ours,
        again=frozenset(key for key, count in counted.items() if count > 1),
    )


def _key(peer: PeerLine) -> tuple[str, str]:
    return peer.name, peer.runtime


_OURS = peer_of(OURS).name, peer_of(OURS).runtime


def table(found: PeerRun) -> str:
    """Markdown: the table, what was asked, where the numbers are from, and what did not run."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    lines += ["| " + " | ".join(_cells(found, peer)) + " |" for peer in found.peers]
    lines += ["", *_asked(found), _source(found)]
    notes = [f"* {words}." for words in _notes(found)]
    if notes:  # folded: they are longer than the table
        lines += ["", "<details><summary>How each was run</summary>", "", *notes, "", "</details>"]
    return "\n".join(lines)


def _cells(found: PeerRun, peer: PeerLine) -> Sequence[str]:
    frame, times = frame_spread(peer), found.times(peer)
    ratio = NOT_MEASURED if times is None else times.words("x")
    if found.ours.get(peer.round) is peer and times is not None:
        ratio = "1"
    peak = peer.peak_bytes
    return (
        peer.name,
        peer.runtime,
        NOT_MEASURED if frame is None else _with_count(frame),
        NOT_MEASURED if frame is None else frame.by(peer.clicks).words(),
        ratio,
        f"{peak / 1e6:.0f}" if isinstance(peak, int) else NOT_MEASURED,
        _accuracy(peer.acc25),
        _accuracy(peer.acc50),
    )


def _with_count(frame: Spread) -> str:
    if frame.count is None:
        return frame.words()
    return f"{frame.words()} (of {frame.count or 'few'})"


def _accuracy(value: float | Unknown) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return NO_ACCURACY if value.reason.startswith(NO_ACCURACY) else NOT_MEASURED


def _asked(found: PeerRun) -> Iterator[str]:
    """How many times less than DetGeo as published an object takes, and whether that was asked."""
    whole = next((peer for peer in found.peers if _key(peer) == WHOLE), None)
    by_ours = None if whole is None else found.times(whole)
    if by_ours is None:
        return
    said = []
    for least, name in ASKED:
        times: Spread | None = by_ours
        if name != _OURS[0]:  # each by ours in its own round
            known = (found.times(peer) for peer in found.peers if peer.name == name)
            best = min((e for e in known if e), key=lambda e: e.high_ms, default=None)
            times = None if best is None else by_ours.over(best)
        if times is not None:
            reached = "reached" if times.low_ms >= least else "**not reached**"
            said.append(f"{name} {least:.0f} times less ({times.words('x')}: {reached})")
    yield f"Asked per object, against {WHOLE[0]} in {WHOLE[1]}: {'; '.join(said)}."
    yield ""


def _source(found: PeerRun) -> str:
    run = found.calls[0]
    cpu = run.environment.cpu
    where = cpu if isinstance(cpu, str) else f"unknown processor ({cpu.reason})"
    clicks = found.peers[0].clicks
    calls = "; then ".join(
        f"{call.started_utc[:10]}, load {_load(call)} at the start: `{call.command}`"
        for call in found.calls
    )
    frame = f"{clicks} clicks in a frame of {run.settings.pairs}"
    return (
        f"Medians, of fewer than ten times the least to the most, on {where}, "
        f"{run.bundle.threads} threads; {frame}. {calls}."
    )


def _load(call: RunLine) -> str:
    load = call.environment.load_average
    return "unknown" if isinstance(load, Unknown) else f"{load:.1f}"


def _notes(found: PeerRun) -> Iterator[str]:
    shown = next((peer.round for peer in found.peers if _key(peer) == _OURS), 0)
    for peer in found.peers:
        words = [peer.note] if peer.note else []
        ours = found.beside(peer)
        if peer.round != shown and ours is not None and not isinstance(peer.latency, Unknown):
            when = "again" if _key(peer) in found.again else "in another call"
            words.append(f"measured {when}, with `lite` beside it at {ours.words()} ms per frame")
        if isinstance(peer.latency, Unknown):
            words.append(peer.latency.reason)
        if words:
            yield f"{peer.name}, {peer.runtime}: {'; '.join(words)}"
