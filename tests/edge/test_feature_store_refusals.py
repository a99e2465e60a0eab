"""What a feature store refuses: other owners, other layouts, full disks, second writers."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import stored_features
from stored_features import MAP, MODEL, check, feature, fill, header, reader, refused, unwritten

from edge.feature_header import TensorSpec
from edge.feature_store import FeatureStore


@pytest.mark.parametrize("what", ["model", "map"])
def test_another_model_or_map_is_refused_naming_both(tmp_path, what):
    path = fill(tmp_path / "s", range(1))
    ids = {"model_id": MODEL, "map_id": MAP}
    mine, ids[f"{what}_id"] = ids[f"{what}_id"], "c" * 64
    error = refused(FeatureStore.open, path, **ids)
    assert f"another {what}" in error.what
    assert "c" * 64 in error.expected and mine in error.found and "encode" in error.do
    error = refused(FeatureStore.create, path, header(**{f"{what}_id": "c" * 64}))
    assert "c" * 64 in error.expected and mine in error.found
    with FeatureStore.create(path, header()) as store:
        error = refused(store.write, feature(1, **{f"{what}_id": "c" * 64}))
        assert f"another {what}" in error.what


@pytest.mark.parametrize(
    "changes",
    [
        {"gsd_m": 0.3},
        {"zoom": 18},
        {"window_px": (512, 512)},
        {"alignment_id": "x"},
        {"tensors": (TensorSpec("v", (2,), "float32"),)},
    ],
)
def test_other_settings_are_refused(tmp_path, changes):
    path = fill(tmp_path / "s", range(1))
    error = refused(FeatureStore.create, path, header(**changes))
    assert "other settings" in error.what
    (name,) = changes
    assert name in error.expected and name in error.found and "new folder" in error.do


@pytest.mark.parametrize("kind", ["shape", "dtype", "missing", "extra", "size"])
def test_a_window_of_another_layout_is_refused(tmp_path, kind):
    tensors, changes = dict(feature(1).tensors), {}
    if kind == "shape":
        tensors["v"] = tensors["v"][:, :, :4]
    elif kind == "dtype":
        tensors["v"] = tensors["v"].astype(np.float32)
    elif kind == "missing":
        del tensors["u"]
    elif kind == "extra":
        tensors["w"] = np.zeros(2, np.float32)
    else:
        changes = {"width_px": 512}
    with FeatureStore.create(tmp_path / "s", header()) as store:
        error = refused(store.write, feature(1, tensors=tensors, **changes))
        assert "does not fit the feature store" in error.what
        assert "v float16 [6, 8, 8]" in error.expected and error.found != error.expected
        assert len(store) == 0


def test_no_store(tmp_path):
    error = refused(reader, tmp_path / "nothing")
    assert "no readable feature store" in error.what and "tilefix tiles encode" in error.do


def test_another_schema(tmp_path):
    path = fill(tmp_path / "s", range(1)) / "header.json"
    path.write_text(path.read_text().replace("tilefix-features/1", "tilefix-features/9"))
    error = refused(reader, path.parent)
    assert "another schema" in error.what and "features/9" in error.found


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "holiday.jpg").write_text("x")
    error = refused(FeatureStore.create, tmp_path, header())
    assert "is not a feature store" in error.what and "holiday.jpg" in error.found
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_path_that_is_a_file(tmp_path):
    (tmp_path / "s").write_text("x")
    assert "cannot be written" in unwritten(FeatureStore.create, tmp_path / "s", header()).what


@pytest.mark.parametrize("tensors", [(), (TensorSpec("v", (2,), "text"),)])
def test_layouts_that_cannot_be_used(tmp_path, tensors):
    error = refused(FeatureStore.create, tmp_path / "s", header(tensors=tensors))
    assert "layout" in error.what


def test_reading_only(tmp_path):
    path = fill(tmp_path / "s", range(1))
    assert "for reading only" in refused(reader(path).write, feature(1)).what
    assert "not in the feature store" in refused(reader(path).read, "z1/x0/y0").what


def test_one_writer_at_a_time(tmp_path):
    path = fill(tmp_path / "s", range(1))
    with FeatureStore.create(path, header()):
        code = (
            "import sys; from edge.feature_store import FeatureStore;"
            "from edge.feature_header import read_header; from pathlib import Path;"
            "p = Path(sys.argv[1]); FeatureStore.create(p, read_header(p))"
        )
        run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
        assert "another process is writing" in run.stderr
        check(reader(path).read(feature(0).window_id), 0)
    FeatureStore.create(path, header()).close()


# --- full disks -------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [0, 1000, "record", "line"])
def test_a_full_disk_loses_nothing_and_says_how_to_go_on(tmp_path, monkeypatch, written):
    path = fill(tmp_path / "s", range(2))
    size = (path / "features.bin").stat().st_size
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    real_pwrite, real_write = os.pwrite, os.write

    def pwrite(fd, data, offset):
        if isinstance(written, int):
            if written and offset == 2 * header().record_bytes:
                return real_pwrite(fd, data[:written], offset)
            raise full
        return real_pwrite(fd, data, offset)

    def write(fd, data):
        if written == "line" and len(data) > 30:
            return real_write(fd, data[:30])
        raise full

    store = FeatureStore.create(path, header(), resume_command="tilefix tiles encode --store s")
    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "write", write)
    error = unwritten(store.write, feature(2))
    assert "the disk is full" in error.what and "No space left" in error.found
    assert "free some room" in error.do and "tilefix tiles encode --store s" in error.do
    monkeypatch.undo()
    assert (path / "features.bin").stat().st_size == size  # the room is given back
    check(store.read(feature(1).window_id), 1)
    store.write(feature(2))  # there is room again
    store.close()
    with reader(path) as again:
        assert again.broken_lines == 0 and again.verify() == ()
        for number in range(3):
            check(again.read(feature(number).window_id), number)


def test_an_io_error_is_not_called_a_full_disk(tmp_path, monkeypatch):
    store = FeatureStore.create(tmp_path / "s", header())

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pwrite", broken)
    error = unwritten(store.write, feature(0))
    assert "cannot be written" in error.what and "full" not in error.what


def test_a_really_full_file_system(tmp_path):
    """A file size limit of the process stands for the disk: the kernel itself refuses."""
    code = (
        "import sys, resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "import importlib.util as u; s = u.spec_from_file_location('t', sys.argv[1]);"
        "t = u.module_from_spec(s); s.loader.exec_module(t);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (t.header().record_bytes * 2 + 700,) * 2);"
        "t.fill(sys.argv[2], range(9))"
    )
    path = tmp_path / "s"
    run = subprocess.run(
        [sys.executable, "-c", code, stored_features.__file__, path], capture_output=True, text=True
    )
    assert "cannot be written" in run.stderr and "File too large" in run.stderr
    with reader(path) as store:
        assert len(store) == 2 and store.verify() == ()
    fill(path, range(2, 9))
    assert len(reader(path)) == 9


def test_threads_read_the_same(tmp_path):
    store = reader(fill(tmp_path / "s", range(6)))
    numbers = np.random.default_rng(4).integers(0, 6, 150).tolist()
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(lambda number: store.read(feature(number).window_id), numbers)
        for number, value in zip(numbers, found, strict=True):
            check(value, number)
