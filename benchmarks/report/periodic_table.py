"""The open loops of some records as a Markdown table for the README, and whether they are enough.

A row is the open loop of a record's last run, windows at hand. Ages are of all frames that the
camera gave, and the accuracy is that of the flight's own fixes. Where the record has earlier runs
of the same, the row tells what these missed: a machine that others use is not the same twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.readme_table import Marks
from benchmarks.record.frame_ages import all_ages_ns, percentile_or_never_ms
from benchmarks.record.lines import (
    CacheState,
    FlownAccuracy,
    Memory,
    ProcessorTime,
    Punctuality,
    Scenario,
    Series,
    Unknown,
)
from benchmarks.record.percentiles import LEAST_COUNT, percentile_ms, too_few
from benchmarks.record.runs import record_paths
from benchmarks.record.series import unpack
from benchmarks.report.doubts import MOST_GROWTH, MOST_MISSED, ROUNDING, marks_of
from benchmarks.report.numbers import frame_size, missed_share, ms
from benchmarks.report.shown import Measured, ShownRun, read_shown
from edge.errors import BenchmarkError

MARKS = Marks(
    "<!-- table of tilefix bench table --of periodic -->",
    "<!-- end of the table of tilefix bench table --of periodic -->",
    "the table of open loops",
)
HEADS = (
    "frame, rate, precision",
    "flown",
    "load at the start; others' share, stolen by the host",
    "frames missed, of these never answered",
    "age: p50 / p90 / p99 / p99.9 / max, ms",
    "engine p50, ms",
    "aligned in time",
    "acc@0.25 / 0.5",
    "accepted, of it wrong",
    "memory",
    "",
)
ASKED = ((1, 320, 30.0), (512, 512, 10.0))  # least and most of the frame's larger side, Hz
ASKED_CLICKS, ASKED_CORES, ASKED_S = 8, 2, 600.0
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Flown:
    """An open loop, and the run that it is of."""

    shown: ShownRun
    measured: Measured
    late: Punctuality
    earlier: tuple[Flown, ...] = ()  # of the same name in the same record

    @property
    def side_px(self) -> int:
        """Of the frame, the larger one."""
        return max(self.shown.run.line.bundle.frame_px)

    @property
    def size(self) -> str:
        """Of the frame, for people."""
        return frame_size(self.shown.run.line.bundle.frame_px)

    @property
    def precision(self) -> str:
        """Of the graphs, as a user asks for it: "fp32", "int8"."""
        return self.shown.run.line.bundle.precision.partition("+")[0]

    @property
    def name(self) -> str:
        """What tells a row from others."""
        return f"{self.size}, {self.late.rate_hz:g} Hz, {self.precision}"


def flown_of(paths: Sequence[Path]) -> tuple[Flown, ...]:
    """The open loop of the last run of each record, narrow frames and low rates first.

    Args:
        paths: files, or folders (see `record_paths`).

    Raises:
        BenchmarkError: a record is missing, broken, or has no open loop with windows at hand.
    """
    flown = [_last(path) for given in paths for path in record_paths(given)]
    return tuple(sorted(flown, key=lambda x: (x.side_px, x.late.rate_hz, x.precision)))


def _last(path: Path) -> Flown:
    runs = read_shown([path])
    shown, last = runs[-1], _open_loop(runs[-1])
    if last is None:
        raise BenchmarkError(
            f"the last run of {path} has no open loop",
            expected="a run with --scenario periodic --state warm",
            found=f"{len(shown.measured)} other measurements",
            do="measure one: tilefix bench --scenario periodic --state warm --out DIR",
        )
    others = (_open_loop(run) for run in runs[:-1])
    earlier = tuple(each for each in others if each is not None and each.name == last.name)
    return replace(last, earlier=earlier)


def _open_loop(shown: ShownRun) -> Flown | None:
    """The last one of a run with windows at hand; None: it has none."""
    for each in reversed(shown.measured):
        line = each.line
        if line.scenario is Scenario.PERIODIC and line.state is CacheState.WARM:
            return Flown(shown, each, line.punctuality) if line.punctuality else None
    return None


def table(flown: Sequence[Flown]) -> str:
    """Markdown: the table, what was asked, and where the numbers are from."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    lines += ["| " + " | ".join(_cells(each)) + " |" for each in flown]
    asked = "; ".join(_asked(flown, *each) for each in ASKED)
    lines += [
        "",
        f"Asked: {ASKED_CLICKS} clicks, {ASKED_CORES} cores, {ASKED_S / 60:.0f} minutes, at most "
        f"{MOST_MISSED:.1%} missed, memory grown by {MOST_GROWTH:.0%} at most: {asked}.",
        "",
        *(f"* {words}." for words in _sources(flown)),
    ]
    return "\n".join(lines)


def _cells(each: Flown) -> tuple[str, ...]:
    line, late = each.measured.line, each.late
    shares = [missed_share(run.late.missed, run.late.scheduled) for run in (*each.earlier, each)]
    before = f"; runs before: {', '.join(shares[:-1])}" if each.earlier else ""
    return (
        each.name,
        _duration(line.duration_s),
        f"{_load(each)}; {_others(each)}",
        f"{late.missed:,} of {late.scheduled:,} ({shares[-1]}), {late.unanswered:,}{before}",
        _ages(late),
        _engine(each),
        f"{late.aligned / late.age.count:.0%} of those answered" if late.age.count else "-",
        *_worth(line.accuracy),
        _memory(line.memory),
        marks_of(each.measured).lower() or "stable",
    )


def _ages(late: Punctuality) -> str:
    ns = all_ages_ns(late)
    cells = []
    for percent in LEAST_COUNT:
        value = percentile_or_never_ms(ns, percent)
        cells.append(too_few(percent) if value is None else ms(value))
    most = ms(float("inf") if late.unanswered or not len(ns) else float(ns.max()) / 1e6)
    return " / ".join((*cells, most))


def _engine(each: Flown) -> str:
    stages = {stage.name: stage.times for stage in each.measured.line.stages}
    times = stages.get("engine")
    if not isinstance(times, Series):
        return UNKNOWN
    return ms(percentile_ms(unpack(times), 50.0), too_few(50.0))


def _worth(worth: FlownAccuracy | Unknown | None) -> tuple[str, str]:
    if not isinstance(worth, FlownAccuracy):
        return "not scored", "not scored"
    taken, wrong = _share(worth.coverage), _share(worth.wrong_rate)
    return f"{_share(worth.acc25)} / {_share(worth.acc50)}", f"{taken}, {wrong}"


def _share(value: float | Unknown) -> str:
    return UNKNOWN if isinstance(value, Unknown) else f"{value:.2f}"


def _memory(memory: Memory | Unknown) -> str:
    return UNKNOWN if isinstance(memory, Unknown) else f"{memory.growth:+.1%}"


def _others(each: Flown) -> str:
    """What others took of the cores, and what of it other guests of the host did, of one core.

    Where fewer cores were watched than the run might use, it says of how many, and that it is the
    least: the run's own time, which is subtracted, is of all cores.
    """
    spent = each.measured.line.processor
    if not isinstance(spent, ProcessorTime):
        return UNKNOWN
    cores = _cores(each)
    share = f"{spent.others_share:.0%}"
    if spent.cores < cores:
        share = f"at least {share} of {spent.cores} of {cores} cores"
    return f"{share}, {spent.stolen_s:.1f} s"


def _load(each: Flown) -> str:
    load = each.shown.run.calls[-1].environment.load_average
    return UNKNOWN if isinstance(load, Unknown) else f"{load:.1f}"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _asked(flown: Sequence[Flown], least_px: int, most_px: int, rate_hz: float) -> str:
    """Whether it was reached in each precision, and if not, what is missing.

    The last record of a size and precision counts, and of several sizes the one that missed least.
    Of a record with several runs it is told in how many it was reached.
    """
    free = least_px < most_px
    name = f"{'at most ' if free else ''}{most_px} px at {rate_hz:g} Hz"
    latest = {
        (each.size, each.precision): each
        for each in flown
        if least_px <= each.side_px <= most_px and each.late.rate_hz == rate_hz
    }
    found = []
    for precision in dict.fromkeys(precision for _, precision in latest):
        tried = [each for each in latest.values() if each.precision == precision]
        best = min(tried, key=lambda x: (not _as_asked(x), _missed(x.late)))
        short = _shortcomings(best)
        words = ", ".join(
            [precision]
            + [best.size] * (free or best.size != f"{most_px} px")
            + short
            + _of_runs(best)
        )
        found.append(f"{'**not reached**' if short else 'reached'} ({words})")
    return f"{name} {', '.join(sorted(found, reverse=True)) or '**not measured**'}"


def _of_runs(each: Flown) -> list[str]:
    """In how many of a record's runs it was reached; nothing of a single one."""
    runs = (*each.earlier, each)
    reached = sum(not _shortcomings(run) for run in runs)
    return [f"in {reached} of {len(runs)} runs"] if each.earlier else []


def _missed(late: Punctuality) -> float:
    return late.missed / max(late.scheduled, 1)


def _as_asked(each: Flown) -> bool:
    """Whether it was flown as long, and with as much, as was asked, whatever came of it."""
    line = each.measured.line
    whole = line.duration_s >= 0.99 * ASKED_S and each.measured.complete
    return whole and (line.clicks, _cores(each)) == (ASKED_CLICKS, ASKED_CORES)


def _cores(each: Flown) -> int:
    """Those that the run might use, however many threads its graphs took of them."""
    return each.shown.run.calls[-1].environment.cores


def _shortcomings(each: Flown) -> list[str]:
    line, late = each.measured.line, each.late
    found = []
    if (line.clicks, _cores(each)) != (ASKED_CLICKS, ASKED_CORES):
        found.append(f"{line.clicks} clicks, {_cores(each)} cores")
    if line.duration_s < 0.99 * ASKED_S or not each.measured.complete:
        found.append(f"flown {_duration(line.duration_s)}, {line.ended}")
    if late.missed > MOST_MISSED * late.scheduled:
        found.append(f"{missed_share(late.missed, late.scheduled)} missed")
    if isinstance(line.memory, Unknown) or line.memory.growth > MOST_GROWTH + ROUNDING:
        found.append(f"memory {_memory(line.memory)}")
    return found


def _sources(flown: Sequence[Flown]) -> Iterator[str]:
    for each in flown:
        calls = each.shown.run.calls
        run = calls[-1]
        cpu = run.environment.cpu
        where = cpu if isinstance(cpu, str) else f"unknown processor ({cpu.reason})"
        commit = run.commit
        if isinstance(commit, Unknown):
            code = "of an unknown commit"
        else:
            dirty = ", with changes that are in no commit" if "+" in commit else ""
            code = f"of commit {commit[:10]}{dirty}"
        threads = run.bundle.threads
        yield (
            f"{each.name}: {run.started_utc[:10]}, {where}, "
            f"{threads} thread{'s' * (threads > 1)}, {each.measured.line.clicks} clicks, "
            f"code {code}: `{run.command}`"
        )
