"""What a measurement saw of the machine and of itself, as the lines of a record keep it.

What could not be had is an `Unknown` with its reason, never 0 and never left out.
"""

from __future__ import annotations

import msgspec

from benchmarks.record.bounds import AtLeastOne, Count, NotNegative, Positive, Share

UNSTABLE, CANNOT_TELL = "unstable", "cannot tell if stable"


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """Something that could not be measured or read."""

    reason: str  # for people: "no INA3221 under /sys/bus/i2c"


class Series(msgspec.Struct, frozen=True, tag=True):
    """Every value of one quantity in order, compressed (see `benchmarks.record.series`)."""

    count: Count
    packed: str  # base64 of zlib of little-endian uint32: nanoseconds / 100


class Numbers(msgspec.Struct, frozen=True):
    """Whole numbers that rise, compressed (see `benchmarks.record.frame_ages`)."""

    count: Count
    packed: str  # base64 of zlib of little-endian uint32: the steps from one to the next


class Stage(msgspec.Struct, frozen=True):
    """One part of the path of a frame."""

    name: str  # capture, window, encode, preprocess, copy, engine, postprocess
    times: Series | Unknown


class Memory(msgspec.Struct, frozen=True, tag=True):
    """Resident memory of the process, read from /proc/self from the first query to the last.

    What could be given back was given back before the first reading.
    """

    start_bytes: AtLeastOne
    end_bytes: Count
    peak_bytes: Count
    samples_bytes: tuple[Count, ...] = ()  # evenly over the measurement
    first_bytes: AtLeastOne | None = None  # median of the first tenth of the samples; None: too few
    last_bytes: Count | None = None  # of the last tenth

    @property
    def growth(self) -> float:
        """As a share of what it was: between tenths, or the ends where there are no tenths."""
        if self.first_bytes is not None and self.last_bytes is not None:
            return self.last_bytes / self.first_bytes - 1
        return self.end_bytes / self.start_bytes - 1


class ProcessorTime(msgspec.Struct, frozen=True, tag=True):
    """Who had the cores that this process may use, over the measurement."""

    wall_s: Positive
    cores: AtLeastOne
    own_s: NotNegative  # all threads of this process
    others_s: NotNegative  # other processes, and the kernel's interrupts
    stolen_s: NotNegative  # by other guests of the host

    @property
    def others_share(self) -> float:
        """Of the time of all cores, what others and other guests took."""
        return (self.others_s + self.stolen_s) / (self.wall_s * self.cores)


class Punctuality(msgspec.Struct, frozen=True):
    """What an open loop at a fixed rate did: time counts from the scheduled arrival.

    A scheduled frame that has no age was never answered: a newer one took its place. Percentiles
    of the age are of all scheduled frames (`benchmarks.record.frame_ages`).
    """

    rate_hz: Positive
    scheduled: Count  # frames that the camera gave
    missed: Count  # not done within a period of their scheduled arrival, or replaced by a newer one
    age: Series  # from the scheduled arrival to the fixes, of the frames that were answered
    start_delay: Series  # from the scheduled arrival to the start (its spread is the jitter)
    beside: tuple[str, ...]  # what ran beside: "alignment", "window loading"
    aligned: Count = 0  # of the frames that were done, those that alignment gave a place on the map
    # Which frames were answered, counted from the first one after the warm-up; None: not kept.
    frames: Numbers | None = None

    @property
    def unanswered(self) -> int:
        """Scheduled frames that a newer one took the place of."""
        return self.scheduled - self.age.count


class FlownAccuracy(msgspec.Struct, frozen=True, tag=True):
    """What the fixes of an open loop itself were worth.

    Of all scheduled frames: the clicks of one that was never answered have no fix.
    """

    frames: Count  # scheduled
    answered: Count
    aligned: Count  # of those answered, aligned in time
    clicks: Count  # labelled ones in all scheduled frames
    acc25: Share | Unknown
    acc50: Share | Unknown
    coverage: Share | Unknown
    wrong_rate: Share | Unknown  # of what is accepted


class Energy(msgspec.Struct, frozen=True, tag=True):
    """Power over the measurement, idle subtracted."""

    rail: str  # "VDD_IN", "GPU0 (NVML)"
    idle_w: float
    mean_w: float
    joule_per_frame: NotNegative  # (mean - idle) * duration / frames
    samples: Count
    rate_hz: Positive  # of sampling


class Heat(msgspec.Struct, frozen=True, tag=True):
    """Temperatures and throttling over the measurement."""

    hottest_zone: str
    start_deg_c: float
    max_deg_c: float
    throttled: bool | None  # None: this machine does not say


class Stability(msgspec.Struct, frozen=True, tag=True):
    """First against last tenth of the queries, by their medians."""

    first_ms: Positive
    last_ms: NotNegative
    stable: bool  # within 5 %
    of: str = ""  # "hits" or "misses": of these alone, in a mixed cache
    # 95 % interval of what the last takes more; None: within 5 %, or an older record.
    more_ms: tuple[float, float] | None = None

    @property
    def mark(self) -> str:
        """For people; nothing where it is stable. What may be chance is trusted no more for it."""
        if self.stable:
            return ""
        chance = self.more_ms is not None and self.more_ms[0] <= 0 <= self.more_ms[1]
        return CANNOT_TELL if chance else UNSTABLE
