"""What the times of a peer say: a median of ten or more, else the least and the most of them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.record.lines import PeerLine, Series
from benchmarks.record.percentiles import percentile_ms
from benchmarks.record.series import unpack


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds: one value that stands for all, or two ends with the number of times."""

    low_ms: float
    high_ms: float
    # Of times, where they are too few for a median; 0: few, their number is not known; None: a
    # median.
    count: int | None = None

    def by(self, divisor: float) -> Spread:
        """The same, divided."""
        return Spread(self.low_ms / divisor, self.high_ms / divisor, self.count)

    def over(self, other: Spread) -> Spread:
        """By the other one: of ranges the least and the most that the quotient can be."""
        counts = [count for count in (self.count, other.count) if count is not None]
        least, most = self.low_ms / other.high_ms, self.high_ms / other.low_ms
        return Spread(least, most, min(counts, default=None))

    def words(self, unit: str = "") -> str:
        """For a table: "85.8", "41,100 to 43,000", with a unit behind each number."""
        if self.count is None:
            return f"{short(self.low_ms)}{unit}"
        low, high = short(self.low_ms), short(self.high_ms)
        return f"{low}{unit} to {high}{unit}" if low != high else f"{low}{unit}"


def frame_spread(peer: PeerLine) -> Spread | None:
    """Of a frame with all its clicks; None: it was not measured."""
    if isinstance(peer.latency, Series) and peer.latency.count:
        ns = unpack(peer.latency)
        median_ms = percentile_ms(ns, 50.0)
        if median_ms is not None:
            return Spread(median_ms, median_ms)
        return Spread(float(ns.min()) / 1e6, float(ns.max()) / 1e6, len(ns))
    each = peer.per_object_ms  # known where the frame is longer than a record keeps
    if isinstance(each, float):
        return Spread(each * peer.clicks, each * peer.clicks, 0)
    return None


def short(value: float) -> str:
    """Three digits, as far as they are before the point."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}"
