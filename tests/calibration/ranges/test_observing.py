"""One run, shards, a kill and a resumed run: the same bytes. And what is refused."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import observed_graph
import pytest
from observed_graph import OPTIONS, TENSORS, draw, feeds, image_of

from calibration.ranges import histogram_file, observing, work_folder
from calibration.ranges.histogram import BINS
from calibration.ranges.histogram_file import TensorHistograms
from calibration.ranges.observer_graph import observer_graph
from calibration.ranges.observer_session import ObserverSession
from calibration.ranges.observing import Feed, merge_shards, observe
from edge.errors import CalibrationError, OutputError, UsageError

COUNT = 20


@pytest.fixture
def graph(tmp_path) -> Path:
    return draw(tmp_path / "localizer.onnx")


@pytest.fixture
def one_run(graph, tmp_path) -> bytes:
    observe(graph, TENSORS, feeds(COUNT), tmp_path / "one", OPTIONS)
    return (tmp_path / "one" / "shard-0-of-1.histograms").read_bytes()


def test_counts_are_those_of_all_images(graph, tmp_path):
    found = observe(graph, TENSORS, feeds(COUNT), tmp_path / "work", OPTIONS)
    session = ObserverSession(observer_graph(graph, TENSORS, 0), 1, "cpu")
    seen = [session.run("", image_of(index)) for index in range(COUNT)]
    assert tuple(found.tensors) == TENSORS and len(found.images) == COUNT
    for place, (name, histogram) in enumerate(found.tensors.items()):
        values = np.abs(np.concatenate([one.samples[place] for one in seen])).astype(float)
        wanted, _ = np.histogram(values, BINS, (0, BINS * histogram.width))
        np.testing.assert_array_equal(histogram.counts, wanted, err_msg=name)
        assert histogram.lowest == min(one.lowest[place] for one in seen)
        assert histogram.highest == max(one.highest[place] for one in seen)
        assert histogram.zeros == (values == 0).sum()


@pytest.mark.parametrize("count", [2, 3, 25])  # with 25 there are shards without an image
def test_shards_together_are_one_run_byte_for_byte(graph, tmp_path, one_run, count):
    work = tmp_path / "shards"
    for number in reversed(range(count)):
        options = replace(OPTIONS, shard=(number, count))
        observe(graph, TENSORS, feeds(COUNT), work, options)
    merged = merge_shards(work, count, feeds(COUNT))
    assert (work / "all.histograms").read_bytes() == one_run == merged.encoded()


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_and_the_size_of_groups_change_no_byte(
    graph, tmp_path, one_run, threads, monkeypatch
):
    monkeypatch.setattr(observing, "GROUP", 3)
    options = replace(OPTIONS, threads=threads)
    observe(graph, TENSORS, feeds(COUNT), tmp_path / "w", options)
    assert (tmp_path / "w" / "shard-0-of-1.histograms").read_bytes() == one_run


def test_a_killed_run_goes_on_to_the_same_bytes(graph, tmp_path, one_run):
    work = tmp_path / "killed"
    script = str(Path(observed_graph.__file__))
    command = [sys.executable, script, str(graph), str(work), str(COUNT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 10:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    path = work / "shard-0-of-1.histograms"
    done = {name for name, _ in TensorHistograms.read(path).images}
    assert len(done) in (8, 16)  # whole groups; what was looked at after them was in vain
    (work / f"{path.name}.77.part").write_bytes(b"half")  # as a kill within a write leaves it

    read, reports = [], []

    def spied(feed: Feed) -> Feed:
        def read_it():
            read.append(feed.name)
            return feed.read()

        return replace(feed, read=read_it)

    again = [spied(feed) for feed in feeds(COUNT)]
    observe(graph, TENSORS, again, work, OPTIONS, lambda *report: reports.append(report))
    assert path.read_bytes() == one_run
    assert not done & set(read) and len(read) == COUNT - len(done)
    assert reports[0] == (len(done), COUNT) and reports[-1] == (COUNT, COUNT)
    assert not list(work.glob("*.part"))

    read.clear()
    observe(graph, TENSORS, again, work, OPTIONS)  # a finished run: nothing to do
    assert not read and path.read_bytes() == one_run


def test_an_error_keeps_finished_groups(graph, tmp_path, one_run):
    bad = feeds(COUNT)

    def broken():
        raise CalibrationError("cannot read", expected="", found="", do="")

    bad[17] = replace(bad[17], read=broken)
    with pytest.raises(CalibrationError, match="cannot read"):
        observe(graph, TENSORS, bad, tmp_path / "w", OPTIONS)
    assert len(TensorHistograms.read(tmp_path / "w" / "shard-0-of-1.histograms").images) == 16
    observe(graph, TENSORS, feeds(COUNT), tmp_path / "w", OPTIONS)
    assert (tmp_path / "w" / "shard-0-of-1.histograms").read_bytes() == one_run


def test_an_activation_that_is_not_finite_names_itself_and_the_image(graph, tmp_path):
    with pytest.raises(CalibrationError, match="activation log is not finite") as caught:
        observe(graph, (*TENSORS, "log"), feeds(3), tmp_path / "w", OPTIONS)
    assert "with 000.png" in caught.value.found
    assert caught.value.exit_code == 15


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"selection_sha256": "b" * 64}, "selection_sha256"),
        ({"preprocessing": "otherwise"}, "preprocessing"),
        ({"seed": 1}, "sampling"),
    ],
)
def test_a_stale_folder_names_what_changed(graph, tmp_path, changed, name):
    observe(graph, TENSORS, feeds(2), tmp_path / "w", OPTIONS)
    with pytest.raises(CalibrationError, match=f"are stale: changed: {name}\n") as caught:
        observe(graph, TENSORS, feeds(2), tmp_path / "w", replace(OPTIONS, **changed))
    assert name in caught.value.expected and name in caught.value.found


def test_another_graph_other_tensors_format_or_library(graph, tmp_path, monkeypatch):
    work = tmp_path / "w"
    observe(graph, TENSORS, feeds(2), work, OPTIONS)
    with pytest.raises(CalibrationError, match="changed: tensors_sha256\n"):
        observe(graph, TENSORS[:2], feeds(2), work, OPTIONS)
    monkeypatch.setattr(work_folder, "runtime", lambda provider: f"onnxruntime 9 {provider}")
    with pytest.raises(CalibrationError, match="changed: runtime\n"):
        observe(graph, TENSORS, feeds(2), work, OPTIONS)
    monkeypatch.undo()
    draw(graph, widen=1)
    with pytest.raises(CalibrationError, match="changed: graph_sha256\n"):
        observe(graph, TENSORS, feeds(2), work, OPTIONS)
    draw(graph)
    identity = work / "identity.json"
    identity.write_text(identity.read_text().replace("histograms/1", "histograms/0"))
    with pytest.raises(CalibrationError, match="changed: format\n"):
        observe(graph, TENSORS, feeds(2), work, OPTIONS)
    identity.write_text("{")
    with pytest.raises(CalibrationError, match="no histograms that can be gone on with"):
        observe(graph, TENSORS, feeds(2), work, OPTIONS)


def test_a_file_of_other_images_is_refused(graph, tmp_path):
    observe(graph, TENSORS, feeds(4), tmp_path / "w", OPTIONS)
    with pytest.raises(CalibrationError, match="hold an image that is not wanted") as caught:
        observe(graph, TENSORS, feeds(3), tmp_path / "w", OPTIONS)
    assert caught.value.found.startswith("003.png")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_full_disk_keeps_what_was_done(graph, tmp_path, one_run, monkeypatch, number):
    writes = []
    real = os.fsync

    def full(descriptor):
        writes.append(descriptor)
        if len(writes) == 3:  # identity, first group, second group
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(histogram_file.os, "fsync", full)
    with pytest.raises(OutputError, match=r"shard-0-of-1\.histograms cannot be written") as caught:
        observe(graph, TENSORS, feeds(COUNT), tmp_path / "w", OPTIONS)
    assert os.strerror(number) in caught.value.found
    assert "goes on where it stopped" in caught.value.do
    monkeypatch.undo()
    path = tmp_path / "w" / "shard-0-of-1.histograms"
    assert len(TensorHistograms.read(path).images) == 8
    assert not list(path.parent.glob("*.part"))
    observe(graph, TENSORS, feeds(COUNT), tmp_path / "w", OPTIONS)
    assert path.read_bytes() == one_run


def test_shards_that_do_not_make_up_the_selection(graph, tmp_path):
    work = tmp_path / "w"
    observe(graph, TENSORS, feeds(6), work, replace(OPTIONS, shard=(0, 2)))
    with pytest.raises(CalibrationError, match=r"shard-1-of-2\.histograms cannot be used"):
        merge_shards(work, 2, feeds(6))
    observe(graph, TENSORS, feeds(6), work, replace(OPTIONS, shard=(1, 2)))
    with pytest.raises(CalibrationError, match="do not make up the selection") as caught:
        merge_shards(work, 2, feeds(7))
    assert caught.value.found == "1 are missing, 0 are of no selection"


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_cannot_be(graph, tmp_path, shard):
    with pytest.raises(UsageError, match="no such shard"):
        observe(graph, TENSORS, feeds(2), tmp_path, replace(OPTIONS, shard=shard))


def test_no_images_or_two_of_one_name(graph, tmp_path):
    with pytest.raises(CalibrationError, match="no images to observe"):
        observe(graph, TENSORS, [], tmp_path, OPTIONS)
    with pytest.raises(CalibrationError, match="two images have one name"):
        observe(graph, TENSORS, feeds(1) * 2, tmp_path, OPTIONS)
