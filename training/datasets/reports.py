"""What the check of a data set found, as values and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.datasets.faults import Fault, FaultKind

Progress = Callable[[Iterable[int]], Iterable[int]]  # wraps indices to show progress


@dataclass(frozen=True, slots=True)
class SplitReport:
    """One split of one data set."""

    dataset: str
    split: str
    samples: int
    objects: int
    faults: tuple[Fault, ...]

    @property
    def problems(self) -> tuple[Fault, ...]:
        """What must be mended."""
        return tuple(fault for fault in self.faults if not fault.is_note)

    @property
    def notes(self) -> tuple[Fault, ...]:
        """What is only said."""
        return tuple(fault for fault in self.faults if fault.is_note)


def print_reports(console: Console, reports: Sequence[SplitReport], shown: int) -> None:
    """A table of counts, then every fault under its kind.

    Args:
        console: where to.
        reports: of all splits that were looked at.
        shown: at most so many of one kind in one split are spelled out; 0 spells out all.
    """
    table = Table("data set", "split", "samples", "objects", "problems", "notes")
    for report in reports:
        table.add_row(
            report.dataset,
            report.split,
            f"{report.samples}",
            f"{report.objects}",
            f"{len(report.problems)}",
            f"{len(report.notes)}",
        )
    console.print(table)
    for report in reports:
        _print_faults(console, report, shown)
    problems = sum(len(report.problems) for report in reports)
    samples = sum(report.samples for report in reports)
    if problems:
        console.print(f"{problems} problems in {samples} samples.", soft_wrap=True)
        return
    notes = Counter(fault.kind.value for report in reports for fault in report.notes)
    if notes:
        said = ", ".join(f"{kind}: {count}" for kind, count in notes.items())
        console.print(f"No problems in {samples} samples, but notes: {said}.", soft_wrap=True)
    else:
        console.print(f"All {samples} samples are as they should be.", soft_wrap=True)


def _print_faults(console: Console, report: SplitReport, shown: int) -> None:
    counts = Counter(fault.kind for fault in report.faults)
    for kind in FaultKind:
        if not counts[kind]:
            continue
        of_kind = [fault for fault in report.faults if fault.kind is kind]
        note = " (note)" if of_kind[0].is_note else ""
        title = f"{report.dataset}/{report.split}: {kind.value}{note}: {len(of_kind)}"
        console.print(title, soft_wrap=True, highlight=False)
        listed = of_kind[:shown] if shown else of_kind
        for fault in listed:
            line = f"  {fault.where}: expected {fault.expected}; found {fault.found}"
            console.print(escape(line), soft_wrap=True, highlight=False)
        if len(listed) < len(of_kind):
            rest = len(of_kind) - len(listed)
            console.print(f"  and {rest} more; --show 0 lists all", soft_wrap=True, highlight=False)
