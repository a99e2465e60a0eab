"""A comparison as people read it."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.record.compare import Comparison, Row, Worth
from benchmarks.record.lines import AccuracyLine, Energy, RunLine, Unknown
from benchmarks.record.paired_bootstrap import Ratio
from benchmarks.record.percentiles import LEAST_COUNT, too_few

HEADER = f"{'':12}{'A ms':>12}{'B ms':>12}{'B / A':>9}   95 % interval"
BEYOND = 1e6  # times: a resample in which the percentile fell among frames never answered
FOOTNOTE = (
    "B / A: below 1 B takes less time. Each interval is 95 % by itself; a verdict holds among all "
    "medians together. An interval knows the spread within one run alone: what changes from run to "
    "run shows only in another run."
)


def comparison_text(comparison: Comparison) -> str:
    """The whole comparison, several lines."""
    return "\n".join(_lines(comparison))


def _lines(comparison: Comparison) -> Iterator[str]:
    for name, run in zip("AB", comparison.runs, strict=True):
        yield f"{name}  {_run(run)}"
    for title, differences in (
        ("compared", comparison.subjects),
        ("also different, as allowed", comparison.allowed),
    ):
        if differences:
            yield f"{title}:"
        for each in differences:
            yield f"  {each.field}: {each.first} | {each.second}"
    if not comparison.subjects:
        yield "compared: the same programme twice"
    for row in comparison.rows:
        yield ""
        yield from _row(row)
    reasons = {_reason(row) for row in comparison.rows}
    if None not in reasons:  # else it stands with each row
        yield ""
        yield from (f"energy: unknown ({reason})" for reason in sorted(filter(None, reasons)))
    for prior, first, second in comparison.accuracy:
        yield ""
        yield from _accuracy(prior, first, second)
    yield ""
    yield FOOTNOTE


def _run(run: RunLine) -> str:
    bundle = run.bundle
    commit = "" if isinstance(run.commit, Unknown) else f", commit {run.commit[:12]}"
    return (
        f"{run.started_utc}  {bundle.name} {bundle.precision}, {bundle.executor}, "
        f"{bundle.threads} threads, tilefix {run.version}{commit}"
    )


def _row(row: Row) -> Iterator[str]:
    scenario, state, clicks = row.key
    counts = " and ".join(f"{count:,}" for count in dict.fromkeys(row.ratios.counts))
    what = f"{scenario.value}, {state.value}, {clicks} click{'' if clicks == 1 else 's'}"
    yield f"{what} ({counts} queries): {row.verdict}"
    if row.ratios.of:
        yield HEADER
    for ratio in row.ratios.of:
        yield _ratio(ratio)
    known = {each.percent for each in row.ratios.of}
    missing = {percent: too_few(percent) for percent in LEAST_COUNT if percent not in known}
    missing |= dict.fromkeys(row.ratios.never, "never answered in one of both")
    if missing:
        yield "  " + ", ".join(f"p{percent:g}: {why}" for percent, why in missing.items())
    if _reason(row) is None:
        first, second = map(_energy, row.energy)
        yield f"  {'energy':10}{first} | {second}"
    if row.notes:
        yield f"  {'; '.join(row.notes)}"


def _ratio(ratio: Ratio) -> str:
    name = "median" if ratio.percent == 50 else f"p{ratio.percent:g}"
    low = "0" if ratio.low < 1 / BEYOND else f"{ratio.low:.3f}"
    high = "never answered" if ratio.high > BEYOND else f"{ratio.high:.3f}"
    return (
        f"  {name:10}{ratio.first_ms:12.3f}{ratio.second_ms:12.3f}{ratio.ratio:9.3f}   "
        f"{low} to {high}"
    )


def _reason(row: Row) -> str | None:
    """Why neither run knows its energy; None: one does, or they have two reasons."""
    reasons = {each.reason if isinstance(each, Unknown) else None for each in row.energy}
    return reasons.pop() if len(reasons) == 1 else None


def _energy(energy: Energy | Unknown) -> str:
    if isinstance(energy, Unknown):
        return f"unknown ({energy.reason})"
    return f"{energy.joule_per_frame:.4g} J per frame ({energy.rail})"


def _accuracy(name: str, first: Worth | None, second: Worth | None) -> Iterator[str]:
    known = isinstance(first or second, AccuracyLine)
    yield f"accuracy, prior {name}: A | B" if known else f"accuracy, fixes of {name}: A | B"
    fields = {
        "acc@0.25": "acc25",
        "acc@0.5": "acc50",
        "coverage": "coverage",
        "wrong of accepted": "wrong_rate",
    }
    for title, field in fields.items():
        values = (getattr(line, field) if line else None for line in (first, second))
        yield f"  {title:20}{' | '.join(map(_share, values))}"


def _share(value: float | Unknown | None) -> str:
    if value is None:
        return "not measured"
    return f"unknown ({value.reason})" if isinstance(value, Unknown) else f"{value:.3f}"
