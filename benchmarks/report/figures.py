"""The figures of a run, by what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.record.lines import CacheState, Scenario
from benchmarks.report.drawing import SERIES, Figure
from benchmarks.report.drift import drift
from benchmarks.report.roofline_figure import ran_of, roofline_figure
from benchmarks.report.shown import Measured, ShownRun
from benchmarks.report.tails import Curve, tails
from benchmarks.report.trade_off import NARROW, WIDE, choices, trade_off
from benchmarks.report.waterfall import waterfall

WINDOWS = {
    CacheState.WARM: "warm: the window is at hand",
    CacheState.MIXED: "mixed",
    CacheState.COLD: "cold: the window is new",
}
COLOURS = dict(zip(WINDOWS, SERIES, strict=False))
LEAST_DRAWN = 10  # queries: a median, at the least


@dataclass(frozen=True, slots=True)
class RunFigures:
    """All figures of one run; any of the groups may be empty."""

    tails: tuple[Figure, ...]
    waterfalls: tuple[Figure, ...]
    drifts: tuple[Figure, ...]
    rooflines: tuple[Figure, ...]

    @property
    def all(self) -> tuple[Figure, ...]:
        """In the order of the page."""
        return (*self.tails, *self.waterfalls, *self.drifts, *self.rooflines)


def run_figures(shown: ShownRun, name: str = "") -> RunFigures:
    """Draw a run.

    Args:
        shown: the run.
        name: before the names of its figures, so that several runs' files do not collide.
    """
    known = [each for each in shown.measured if each.summary is not None]
    shown_clicks = (0, 1, shown.run.line.settings.clicks)
    ran = ran_of([line for line in shown.run.rooflines if line.clicks in shown_clicks])
    roofline = [roofline_figure(f"{name}roofline", "Roofline of this machine", ran)] if ran else []
    return RunFigures(
        tails=tuple(_tails(shown, known, name)),
        waterfalls=tuple(_waterfalls(shown, name)),
        drifts=tuple(_drifts(shown, known, name)),
        rooflines=tuple(roofline),
    )


def trade_off_figures(runs: Sequence[ShownRun]) -> tuple[Figure, ...]:
    """Accuracy against latency, wide and narrow; none where fewer than two ways have both."""
    found = choices(runs)
    return (trade_off(found, WIDE), trade_off(found, NARROW)) if len(found) > 1 else ()


def _tails(shown: ShownRun, known: Sequence[Measured], name: str) -> list[Figure]:
    settings, found = shown.run.line.settings, []
    for scenario in Scenario:
        own = [each for each in known if each.line.scenario is scenario]
        if not any(len(each.ns) >= LEAST_DRAWN for each in own):
            continue
        period_ms = 1e3 / settings.rate_hz if scenario is Scenario.PERIODIC else None
        if scenario is Scenario.MULTI_STREAM:
            found += _by_clicks(own, name)
            own = [each for each in own if each.line.clicks == settings.clicks]
            if len({each.line.state for each in own}) < 2:
                continue
        curves = [
            Curve(WINDOWS[each.line.state], each.ns, COLOURS[each.line.state], each.unanswered)
            for each in own
        ]
        counts = {each.line.clicks for each in own} - {0}
        clicks = f", {_clicks(counts.pop())}" if len(counts) == 1 else ""
        title = f"{scenario.value}{clicks}"
        if period_ms is not None:
            title += f", {settings.rate_hz:g} Hz"
        found.append(tails(f"{name}tails-{scenario.value}", title, curves, period_ms))
    return found


def _by_clicks(own: Sequence[Measured], name: str) -> list[Figure]:
    """The warm ones of multi-stream beside each other."""
    warm = [each for each in own if each.line.state is CacheState.WARM]
    if len(warm) < 2:
        return []
    curves = [Curve(_clicks(each.line.clicks), each.ns) for each in warm]
    title = "multi-stream, warm, by the clicks of a frame"
    return [tails(f"{name}tails-clicks", title, curves)]


def _waterfalls(shown: ShownRun, name: str) -> list[Figure]:
    clicks, found = shown.run.line.settings.clicks, []
    multi = any(each.line.scenario is Scenario.MULTI_STREAM for each in shown.measured)
    closed = (Scenario.MULTI_STREAM, clicks) if multi else (Scenario.SINGLE_STREAM, 1)
    wanted = [(*closed, state) for state in WINDOWS]
    wanted += [(Scenario.PERIODIC, clicks, state) for state in WINDOWS]
    for scenario, count, state in wanted:
        measured = shown.find(scenario, state, count)
        if measured is not None:
            figure = waterfall(
                f"{name}stages-{scenario.value}-{state.value}", measured.words, measured
            )
            found += [figure] if figure is not None else []
    return found


def _drifts(shown: ShownRun, known: Sequence[Measured], name: str) -> list[Figure]:
    """Of the headline, of every soak, and of all that is unstable, or may be."""
    found = []
    for each in known:
        soak = each.line.scenario is Scenario.SOAK
        if len(each.ns) >= LEAST_DRAWN and (each is shown.headline or soak or each.unstable):
            line = each.line
            key = f"{name}course-{line.scenario.value}-{line.state.value}-{line.clicks}"
            title = f"{each.words}: {each.drift_mark.upper()}" if each.unstable else each.words
            found.append(drift(key, title, each))
    return found


def _clicks(count: int) -> str:
    return f"{count} click{'s' if count != 1 else ''}"
