"""What a run came to, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import click

from edge.stopwatch import StageTime
from edge.types import Verdict


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Counts, files and times of one run."""

    source: str
    frames: int  # that came from the source
    frames_with_clicks: int
    dropped: int  # overtaken by newer ones, live sources only
    fixes: int
    verdicts: Mapping[str, int]
    unused_clicks: int  # on frames that never came
    unused_frames: Sequence[str]  # some of these, or times
    unreadable: Sequence[str]  # pictures that were left out, each with what is wrong
    notes: Mapping[str, int]  # what was worth saying, and of how many frames
    stages: Sequence[StageTime]
    wall_s: float
    worst_age_ms: float | None  # of a live frame when it was taken
    stopped: bool  # by a signal
    out: str
    files: Sequence[str]

    @property
    def nowhere(self) -> bool:
        """Whether there were clicks, and no frame of them lies on the map."""
        return self.fixes > 0 and self.verdicts.get(Verdict.NO_WINDOW.value) == self.fixes


def print_json(summary: RunSummary) -> None:
    """One JSON object on standard output."""
    click.echo(json.dumps(asdict(summary), indent=1))


def print_summary(summary: RunSummary) -> None:
    """Tables on standard output."""
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    if summary.stages:
        console.print(stage_table(summary.stages))
    words = ", ".join(f"{count} {name}" for name, count in summary.verdicts.items() if count)
    ending = "stopped" if summary.stopped else "done"
    console.print(
        f"[bold]{ending}:[/] {counted(summary.fixes, 'fix', 'fixes')} ({words or 'none'}) in "
        f"{summary.frames_with_clicks} of {summary.frames} frames, {summary.wall_s:.1f} s"
    )
    if summary.dropped:
        worst = f", the oldest taken was {summary.worst_age_ms:.0f} ms old"
        tail = worst if summary.worst_age_ms is not None else ""
        console.print(f"{summary.dropped} frames were dropped for newer ones{tail}")
    for note, count in summary.notes.items():
        where = counted(count, "frame", "frames")
        console.print(f"[yellow]note[/] ({where}): {escape(note)}", highlight=False)
    if summary.unreadable:
        pictures = counted(len(summary.unreadable), "picture that", "pictures that")
        console.print(f"[bold red]left out:[/] {pictures} cannot be read", highlight=False)
    if summary.unused_clicks:
        console.print(f"[yellow]note:[/] {escape(_unused(summary))}", highlight=False)
    files = escape(f"{', '.join(summary.files)} in {summary.out}")
    console.print(f"written: {files}", highlight=False, soft_wrap=True)


def _unused(summary: RunSummary) -> str:
    """What became of the clicks that no frame took."""
    what = counted(summary.unused_clicks, "click is on a frame", "clicks are on frames")
    if summary.stopped:
        return f"{what} not reached"
    if summary.unreadable:
        return f"{what} that never came, or could not be read ({', '.join(summary.unused_frames)})"
    some = f" ({', '.join(summary.unused_frames)})" if summary.unused_frames else ""
    came = "" if summary.dropped else f"; {summary.source} gave frames 0 to {summary.frames - 1}"
    return f"{what} that never came{some}{came}"


def counted(count: int, one: str, many: str) -> str:
    """A number with the word it counts."""
    return f"{count} {one if count == 1 else many}"


def stage_table(stages: Sequence[StageTime]) -> object:
    """The table of times."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title="times per frame, ms", title_justify="left")
    table.add_column("stage")
    for name in ("frames", "median", "p95", "max"):
        table.add_column(name, justify="right")
    for stage in stages:
        style = "bold" if stage.name == "total_ms" else None
        numbers = (f"{value:.1f}" for value in (stage.median_ms, stage.p95_ms, stage.max_ms))
        table.add_row(stage.words, str(stage.count), *numbers, style=style)
    return table
