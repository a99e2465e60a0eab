"""What is not known of a run, with the reasons; the same reason is said once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from benchmarks.record.lines import FlownAccuracy, Unknown
from benchmarks.report.fact_tables import NAMES
from benchmarks.report.roofline_figure import graph_words
from benchmarks.report.shown import ShownRun

ROOFLINE_NAMES = {
    "macs": "work",
    "compulsory_bytes": "work",
    "layer_bytes": "work",
    "copy_gb_s": "limits",
    "matrix_gmac_s": "limits",
    "bound_ms": "limits",
    "fraction": "limits",
    "measured_ms": "time",
}
PEER_NAMES = {
    "latency": "time",
    "per_object_ms": "time",
    "peak_bytes": "memory",
    "acc25": "accuracy",
    "acc50": "accuracy",
}
MOST_NAMED = 2  # measurements by their names; more are counted
PARTS = ("gpu", "stability", "memory", "energy", "heat", "processor", "accuracy")
WORTHS = {
    "acc25": "accuracy",
    "acc50": "accuracy",
    "coverage": "coverage",
    "wrong_rate": "wrong rate",
}
CHECK_NAMES = {"ours_ms": "time here", "theirs_ms": "time there"}


def unknowns_of(shown: ShownRun) -> tuple[tuple[str, str], ...]:
    """(what, why) of everything unknown in a run, in the order of the record."""
    by_reason: dict[str, list[str]] = {}
    for what, why in _all(shown):
        names = by_reason.setdefault(why, [])
        if what not in names:
            names.append(what)
    return tuple((", ".join(names), why) for why, names in by_reason.items())


def _all(shown: ShownRun) -> Iterator[tuple[str, str]]:
    line = shown.run.line
    if isinstance(line.commit, Unknown):
        yield "commit", line.commit.reason
    for name, value in _fields(line.environment):
        yield NAMES.get(name, name.replace("_", " ")), value.reason
    for each in shown.run.accuracy:
        for reason, what in _together(each, WORTHS).items():
            yield f"{what}, prior {each.prior}", reason
    yield from _of_measurements(shown)
    for check in shown.run.cross_checks:
        for reason, what in _together(check, CHECK_NAMES).items():
            yield f"{what} of the {check.graph}, {check.clicks} clicks ({check.tool})", reason
    for roof in shown.run.rooflines:
        for reason, what in _together(roof, ROOFLINE_NAMES).items():
            yield f"{what} of {graph_words(roof)} in {roof.precision}", reason
    for peer in shown.run.peers:
        for reason, what in _together(peer, PEER_NAMES).items():
            yield f"{what} of {peer.name} ({peer.runtime})", reason


def _of_measurements(shown: ShownRun) -> Iterator[tuple[str, str]]:
    """Each part and reason once, with the measurements where there are few."""
    places: dict[tuple[str, str], list[str]] = {}
    for measured in shown.measured:
        for name in PARTS:
            value = getattr(measured.line, name)
            if isinstance(value, Unknown):
                what = "GPU time" if name == "gpu" else name
                places.setdefault((what, value.reason), []).append(measured.words)
        if isinstance(measured.line.accuracy, FlownAccuracy):
            for reason, what in _together(measured.line.accuracy, WORTHS).items():
                places.setdefault((what, reason), []).append(measured.words)
        for stage in measured.line.stages:
            if isinstance(stage.times, Unknown):
                key = f"time of stage {stage.name}", stage.times.reason
                places.setdefault(key, []).append(measured.words)
    for (what, why), words in places.items():
        if len(words) == len(shown.measured):
            yield what, why
        elif len(words) <= MOST_NAMED:
            yield f"{what} ({'; '.join(words)})", why
        else:
            yield f"{what} ({len(words)} of {len(shown.measured)} measurements)", why


def _together(struct: msgspec.Struct, names: Mapping[str, str]) -> dict[str, str]:
    """Reason -> what is not known for it, each name once."""
    found: dict[str, list[str]] = {}
    for field, value in _fields(struct):
        words, known = names.get(field, field), found.setdefault(value.reason, [])
        if words not in known:
            known.append(words)
    return {reason: " and ".join(words) for reason, words in found.items()}


def _fields(struct: msgspec.Struct) -> Iterator[tuple[str, Unknown]]:
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, Unknown):
            yield name, value
