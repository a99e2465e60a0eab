"""The run loop on a live source: it never lags, and says what it dropped."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import numpy as np
import pytest

from edge.clicks import ClickSchedule, PlacedClick
from edge.errors import ClickError, MapError, OutputError
from edge.feature_cache import FeatureCache
from edge.film import OverlayFilm
from edge.live import LiveSource
from edge.pipeline import Pipeline
from edge.run_loop import RunLoop
from edge.sinks import FixLines
from edge.stopwatch import stage_times
from edge.types import Click, FramePose, Timings
from edge.window_choice import LatticeWindows


class Camera:
    """100 pictures a second."""

    def read(self):
        time.sleep(0.01)
        return True, np.zeros((48, 64, 3), np.uint8)

    def release(self):
        pass


@dataclass
class FakeAssembly:
    pipeline: Pipeline
    pictures: object


class StopAfter:
    """A source that ends after some frames."""

    def __init__(self, source, count):
        self._source, self._left = source, count

    def __getattr__(self, name):
        return getattr(self._source, name)

    def __iter__(self):
        for frame in self._source:
            yield frame
            self._left -= 1
            if self._left == 0:
                return


def build(parts, localizer, *more, **options):
    grid = parts.PlainGrid()
    windows = LatticeWindows(FeatureCache(localizer, grid), grid)
    assembly = FakeAssembly(Pipeline(localizer, windows, None), grid)
    clicks = ClickSchedule((PlacedClick(Click("a", 16, 24), None, "line 2"), *more))
    pose = FramePose(grid.lon_lat_deg(1500, 1500))
    return RunLoop(assembly, clicks, None, pose, **options)


def test_a_slow_pipeline_on_a_live_source_never_lags(parts, tmp_path):
    localizer = parts.FakeLocalizer({"a": (1500, 1500)})
    at_once = localizer.localize
    ages_s = []

    def slow(frame, *arguments):
        ages_s.append(time.time() - frame.time_s)
        time.sleep(0.1)
        return at_once(frame, *arguments)

    localizer.localize = slow
    source = LiveSource(Camera, "fake camera")
    summary = build(parts, localizer, out=tmp_path).run(StopAfter(source, 8))
    source.close()
    assert max(ages_s[1:]) < 0.09  # ten frames came while each one was at work
    found = [json.loads(line) for line in (tmp_path / "fixes.jsonl").read_text().splitlines()]
    indices = [record["frame_index"] for record in found]
    assert indices == sorted(set(indices)) and indices[-1] > 40
    assert summary.dropped > 30
    assert summary.worst_age_ms < 90
    assert (summary.frames, summary.fixes, summary.unused_clicks) == (8, 8, 0)
    assert summary.verdicts["accepted"] == 8


OFF = PlacedClick(Click("off", 640, 24), None, "clicks.csv, line 3")


def test_a_click_outside_a_live_frame_is_left_out_with_a_warning(parts, tmp_path, capsys):
    localizer = parts.FakeLocalizer({"a": (1500, 1500)})
    source = LiveSource(Camera, "fake camera")
    summary = build(parts, localizer, OFF, out=tmp_path).run(StopAfter(source, 3))
    source.close()
    found = [json.loads(line) for line in (tmp_path / "fixes.jsonl").read_text().splitlines()]
    assert [record["click_id"] for record in found] == ["a"] * 3
    assert summary.unused_clicks == 0
    ((note, count),) = summary.notes.items()
    assert count == 3
    for words in ("line 3", "'off' lies outside the frame", "x 640, y 24", "x from 0 to 64"):
        assert words in note
    warned = capsys.readouterr().err
    assert warned.count("warning: left out: clicks.csv, line 3") == 1  # not once for every frame


def test_a_click_outside_a_frame_of_a_file_ends_the_run(parts, tmp_path):
    class Files(StopAfter):
        live = False

    source = LiveSource(Camera, "fake camera")
    with pytest.raises(ClickError, match="'off' lies outside the frame"):
        build(parts, parts.FakeLocalizer(), OFF, out=tmp_path).run(Files(source, 3))
    source.close()


class Breaks:
    """Works twice."""

    def __init__(self, localizer):
        self._localizer, self.done = localizer, 0

    def __getattr__(self, name):
        return getattr(self._localizer, name)

    def localize(self, *arguments):
        self.done += 1
        if self.done > 2:
            raise MapError("the map broke", expected="e", found="f", do="d")
        return self._localizer.localize(*arguments)


def test_an_error_amid_the_run_leaves_whole_files(parts, tmp_path):
    localizer = Breaks(parts.FakeLocalizer({"a": (1500, 1500)}))
    loop = build(parts, localizer, out=tmp_path, overlay=True)
    source = LiveSource(Camera, "fake camera")
    with pytest.raises(MapError, match="the map broke"):
        loop.run(StopAfter(source, 8))
    source.close()
    assert len((tmp_path / "fixes.jsonl").read_text().splitlines()) == 2
    assert len(json.loads((tmp_path / "fixes.geojson").read_text())["features"]) == 4
    assert {path.name for path in tmp_path.iterdir()} == {
        "fixes.jsonl", "fixes.geojson", "overlay.png", "overlay.mp4"
    }  # fmt: skip


@pytest.mark.parametrize("broken", [FixLines, OverlayFilm])
def test_every_result_is_closed_whatever_the_others_do(parts, tmp_path, monkeypatch, broken):
    def close(self):
        plain(self)
        raise OutputError("the disk is full", expected="e", found="f", do="d")

    plain = broken.close
    monkeypatch.setattr(broken, "close", close)
    localizer = parts.FakeLocalizer({"a": (1500, 1500)})
    source = LiveSource(Camera, "fake camera")
    with pytest.raises(OutputError, match="the disk is full"):
        build(parts, localizer, out=tmp_path, overlay=True).run(StopAfter(source, 2))
    source.close()
    assert len(json.loads((tmp_path / "fixes.geojson").read_text())["features"]) == 4


def test_stage_times_leave_out_what_did_not_run():
    times = [Timings(align_ms=float(n), total_ms=2.0 * n) for n in range(1, 101)]
    found = {stage.name: stage for stage in stage_times([*times, Timings(total_ms=1.0)])}
    assert set(found) == {"align_ms", "total_ms"}
    align = found["align_ms"]
    assert (align.count, align.median_ms, align.max_ms) == (100, 50.5, 100.0)
    assert align.p95_ms == pytest.approx(np.percentile(np.arange(1, 101), 95))
    assert stage_times([]) == []
