"""One run from its first frame to its last, or to Ctrl-C: results are on disk at every moment."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from edge.assembly import Assembly
from edge.clicks import ClickSchedule
from edge.errors import ClickError, SourceError
from edge.film import OverlayFilm
from edge.frame_result import FrameResult
from edge.frames import FrameSource
from edge.graceful_stop import GracefulStop
from edge.overlay import draw_overlay
from edge.run_summary import RunSummary
from edge.sinks import FixLines, write_geojson
from edge.stopwatch import stage_times
from edge.telemetry import Telemetry
from edge.types import Click, Frame, FramePose, Timings, Verdict

KEPT_TIMINGS = 20_000  # frames whose timings are kept for the table; a day's flight stays small


class RunLoop:
    """Takes frames, locates their clicks, writes the fixes."""

    def __init__(
        self,
        assembly: Assembly,
        clicks: ClickSchedule,
        telemetry: Telemetry | None,
        position: FramePose | None,
        out: Path,
        unreadable: Sequence[SourceError] = (),
        *,
        overlay: bool = False,
    ) -> None:
        """Prepare a run.

        Args:
            assembly: the opened pipeline.
            clicks: what to locate.
            telemetry: poses by frame.
            position: pose of frames that telemetry says nothing of.
            out: folder for the results.
            unreadable: of pictures that the source leaves out, filled while it runs.
            overlay: also draw pictures.
        """
        self._assembly = assembly
        self._clicks = clicks
        self._telemetry = telemetry
        self._position = position
        self._out = out
        self._unreadable = unreadable
        self._overlay = overlay
        self._timings: deque[Timings] = deque(maxlen=KEPT_TIMINGS)
        self._verdicts: Counter[Verdict] = Counter()
        self._notes: Counter[str] = Counter()
        self._frames = self._frames_with_clicks = 0
        self._live = False

    @property
    def fixes(self) -> int:
        """Fixes that are on disk so far."""
        return sum(self._verdicts.values())

    def run(self, source: FrameSource, *, show_progress: bool = False) -> RunSummary:
        """Go through a source. What was done is kept, whatever ends it.

        Raises:
            SourceError, ClickError, MapError and others: see the parts; the results of the frames
                before are on disk then, GeoJSON included.
            OutputError: a result cannot be written.
        """
        self._live = source.live
        start_s = time.perf_counter()
        with ExitStack() as ends:  # each is called whatever the others do, the last one first
            lines = FixLines.after(self._out / "fixes.jsonl", OverlayFilm.NAMES)
            ends.callback(write_geojson, lines.path, self._out / "fixes.geojson")
            ends.callback(lines.close)
            film = OverlayFilm(self._out) if self._overlay else None
            if film is not None:
                ends.callback(film.close)
            with GracefulStop() as stop, _progress(source, show_progress) as advance:
                for frame in _until_stopped(stop, source):
                    self._one(frame, lines, film)
                    advance()
                stopped = stop.requested
        return RunSummary(
            source=source.name,
            frames=self._frames,
            frames_with_clicks=self._frames_with_clicks,
            dropped=source.dropped,
            fixes=lines.count,
            verdicts={verdict.value: self._verdicts[verdict] for verdict in Verdict},
            unused_clicks=self._clicks.unused,
            unused_frames=self._clicks.unused_frames,
            unreadable=[f"{error.what}: {error.found}" for error in self._unreadable],
            notes=dict(self._notes),
            stages=stage_times(list(self._timings)),
            wall_s=time.perf_counter() - start_s,
            worst_age_ms=getattr(source, "worst_age_ms", None),
            stopped=stopped,
            out=str(self._out),
            files=self._files(film),
        )

    def _one(self, frame: Frame, lines: FixLines, film: OverlayFilm | None) -> None:
        self._frames += 1
        clicks = self._take(frame)
        if not clicks:
            return
        self._frames_with_clicks += 1
        result = self._assembly.pipeline.process(frame, clicks, self._pose(frame))
        lines.write(result.fixes)
        self._count(result)
        if film is not None:
            accepted = sum(fix.verdict is Verdict.ACCEPTED for fix in result.fixes)
            picture = draw_overlay(result, self._assembly.pictures)
            film.write(picture, frame.time_s, accepted)

    def _take(self, frame: Frame) -> tuple[Click, ...]:
        """The clicks of a frame. Of a live one, those that lie outside are left out and noted."""
        if not self._live:
            return self._clicks.take(frame)
        refused: list[ClickError] = []
        clicks = self._clicks.take(frame, refused)
        for error in refused:
            note = f"left out: {error.what} ({error.found}; {error.expected})"
            if note not in self._notes:
                click.echo(f"warning: {note}", err=True)
            self._notes[note] += 1
        return clicks

    def _pose(self, frame: Frame) -> FramePose:
        """What telemetry knows; where that is no place, --position says it."""
        told = self._telemetry.pose(frame) if self._telemetry else None
        if told is None:
            return self._position or frame.pose
        if told.lon_lat_deg is not None or self._position is None:
            return told
        place, sigma_m = self._position.lon_lat_deg, self._position.sigma_m
        return replace(told, lon_lat_deg=place, sigma_m=sigma_m)

    def _count(self, result: FrameResult) -> None:
        self._timings.append(result.timings)
        self._verdicts.update(fix.verdict for fix in result.fixes)
        self._notes.update(note for note in (result.note, result.place_note) if note)

    def _files(self, film: OverlayFilm | None) -> list[str]:
        names = ["fixes.geojson", "fixes.jsonl"]
        if film is not None and film.count:
            names.append(film.picture.name)
            if film.count > 1:
                names.append(film.video.name)
        return names


def _until_stopped(stop: GracefulStop, source: FrameSource) -> Iterator[Frame]:
    frames = iter(source)
    while (frame := stop.next_of(frames)) is not None:
        yield frame


class _progress:  # noqa: N801 (a context, read as a word)
    """A progress bar on a terminal, nothing elsewhere."""

    def __init__(self, source: FrameSource, show: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(
            "frames", *columns, console=console, transient=True, disable=not show
        )
        self._task = self._progress.add_task("frames", total=source.count)

    def __enter__(self) -> _progress:
        self._progress.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._progress.stop()

    def __call__(self) -> None:
        self._progress.advance(self._task)
