"""What is read back is what was written, or an error."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import FeatureStoreError
from edge.feature_header import FeatureHeader, TensorSpec, read_header, tensor_specs
from edge.feature_store import FeatureStore
from edge.geodesy import MercatorGeometry
from edge.types import ReferenceFeature

MODEL, MAP = "a" * 64, "b" * 64


def feature(number: int, **changes) -> ReferenceFeature:
    rng = np.random.default_rng(number)
    values = {
        "tensors": {
            "v": rng.normal(size=(6, 8, 8)).astype(np.float16),
            "u": rng.normal(size=(3, 8, 8)).astype(np.float16),
            "align_count_1x": np.array([number], np.int32),
            "align_xy_1x": rng.integers(0, 999, (50, 2)).astype(np.int16),
        },
        "geometry": MercatorGeometry(19, 512.0 * number, 1024.0),
        "width_px": 1024,
        "height_px": 1024,
        "window_id": f"z19/x{512 * number}/y1024",
        "map_id": MAP,
        "model_id": MODEL,
        "coverage": 0.5 + number / 1000,
        "imagery_ce90_m": None if number % 2 else 3.25,
    }
    return ReferenceFeature(**(values | changes))


def header(**changes) -> FeatureHeader:
    values = {
        "model_id": MODEL,
        "map_id": MAP,
        "gsd_m": 0.2,
        "zoom": 19,
        "tensors": tensor_specs(feature(0).tensors),
    }
    return FeatureHeader(**(values | changes))


def fill(path, numbers):
    with FeatureStore.create(path, header()) as store:
        for number in numbers:
            store.write(feature(number))
    return path


def reader(path) -> FeatureStore:
    return FeatureStore.open(path, model_id=MODEL, map_id=MAP)


def check(found: ReferenceFeature, number: int) -> None:
    expected = feature(number)
    assert set(found.tensors) == set(expected.tensors)
    for name, value in expected.tensors.items():
        assert found.tensors[name].dtype == value.dtype
        np.testing.assert_array_equal(found.tensors[name], value)
    for name in ("geometry", "window_id", "map_id", "model_id", "coverage", "imagery_ce90_m"):
        assert getattr(found, name) == getattr(expected, name)
    assert (found.width_px, found.height_px) == (1024, 1024)


def refused(call, *values, **named) -> FeatureStoreError:
    with pytest.raises(FeatureStoreError) as caught:
        call(*values, **named)
    error = caught.value
    assert all((error.what, error.expected, error.found, error.do))
    return error


def test_round_trip(tmp_path):
    fill(tmp_path / "s", range(5))
    with reader(tmp_path / "s") as store:
        assert len(store) == 5 and store.broken_lines == 0
        assert list(store) == [feature(n).window_id for n in range(5)]
        for number in (3, 0, 4):
            assert feature(number).window_id in store
            check(store.read(feature(number).window_id), number)
        assert "z19/x1/y1" not in store
        assert store.verify() == ()
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == [
        "features.bin",
        "header.json",
        "index.jsonl",
    ]


def test_tensors_are_views_that_cannot_be_written_and_outlive_the_store(tmp_path):
    fill(tmp_path / "s", range(2))
    store = reader(tmp_path / "s")
    found = store.read(feature(1).window_id)
    store.close()
    for value in found.tensors.values():
        assert not value.flags.owndata and not value.flags.writeable
        assert value.flags.c_contiguous and value.ctypes.data % 64 == 0
    check(found, 1)


def test_without_geometry(tmp_path):
    with FeatureStore.create(tmp_path / "s", header()) as store:
        store.write(feature(1, geometry=None))
    assert reader(tmp_path / "s").read(feature(1).window_id).geometry is None


def test_big_endian_and_strided_tensors(tmp_path):
    given_tensors = dict(feature(3).tensors)
    given_tensors["v"] = np.asfortranarray(given_tensors["v"]).astype(">f2")
    with FeatureStore.create(tmp_path / "s", header()) as store:
        store.write(feature(3, tensors=given_tensors))
    check(reader(tmp_path / "s").read(feature(3).window_id), 3)


def test_a_writer_reads_what_it_wrote(tmp_path):
    with FeatureStore.create(tmp_path / "s", header()) as store:
        for number in range(4):
            store.write(feature(number))
            check(store.read(feature(number).window_id), number)
        check(store.read(feature(0).window_id), 0)


def test_a_window_written_again_takes_its_own_place(tmp_path):
    fill(tmp_path / "s", range(3))
    size = (tmp_path / "s" / "features.bin").stat().st_size
    with FeatureStore.create(tmp_path / "s", header()) as store:
        other = feature(9, window_id=feature(1).window_id)
        store.write(other)
    assert (tmp_path / "s" / "features.bin").stat().st_size == size
    found = reader(tmp_path / "s")
    np.testing.assert_array_equal(found.read(other.window_id).tensors["v"], feature(9).tensors["v"])
    check(found.read(feature(2).window_id), 2)
    assert len(found) == 3


def test_header_says_what_it_is(tmp_path):
    import json

    fill(tmp_path / "s", range(1))
    values = json.loads((tmp_path / "s" / "header.json").read_text())
    assert values["schema"] == "tilefix-features/1" and values["halo_px"] == 256
    assert values["step_px"] == 512 and values["zoom"] == 19 and values["map_id"] == MAP
    assert {"name": "v", "shape": [6, 8, 8], "dtype": "float16"} in values["tensors"]
    assert read_header(tmp_path / "s") == header()


# --- what must not be read back ---------------------------------------------------------------


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_data_is_refused(tmp_path_factory, at, bit):
    path = fill(tmp_path_factory.mktemp("flip") / "s", range(3))
    data = bytearray((path / "features.bin").read_bytes())
    place = int(at * len(data))
    data[place] ^= 1 << bit
    (path / "features.bin").write_bytes(bytes(data))
    hit = place // header().record_bytes
    store = reader(path)
    for number in range(3):
        if number == hit:
            error = refused(store.read, feature(number).window_id)
            assert "is corrupt" in error.what and feature(number).window_id in error.what
            assert "crc32" in error.expected and "tilefix tiles encode" in error.do
        else:
            check(store.read(feature(number).window_id), number)
    assert store.verify() == (feature(hit).window_id,)


@settings(max_examples=40, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_index_loses_at_most_its_window(tmp_path_factory, at, bit):
    path = fill(tmp_path_factory.mktemp("flip") / "s", range(3))
    data = bytearray((path / "index.jsonl").read_bytes())
    data[int(at * len(data))] ^= 1 << bit
    (path / "index.jsonl").write_bytes(bytes(data))
    store = reader(path)
    assert store.broken_lines >= 1 and len(store) <= 2
    for number in range(3):
        if feature(number).window_id in store:
            check(store.read(feature(number).window_id), number)


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.95])
def test_an_altered_header_is_refused(tmp_path, at):
    path = fill(tmp_path / "s", range(1)) / "header.json"
    data = bytearray(path.read_bytes())
    digits = [i for i, byte in enumerate(data) if chr(byte).isalnum()]
    place = digits[int(at * len(digits))]
    data[place] = ord("0") if data[place] != ord("0") else ord("1")
    path.write_bytes(bytes(data))
    error = refused(reader, tmp_path / "s")
    assert "altered" in error.what or "schema" in error.what or "readable" in error.what


@settings(max_examples=30, deadline=None)
@given(data_share=st.floats(0, 1), index_share=st.floats(0, 1))
def test_any_torn_state_resumes(tmp_path_factory, data_share, index_share):
    """Whatever length a kill or a power cut leaves the two files at."""
    path = fill(tmp_path_factory.mktemp("torn") / "s", range(4))
    for name, share in (("features.bin", data_share), ("index.jsonl", index_share)):
        size = (path / name).stat().st_size
        os.truncate(path / name, round(share * size))
    for number in range(4):  # before resuming: right or refused
        store = reader(path)
        if store.is_intact(feature(number).window_id):
            check(store.read(feature(number).window_id), number)
    with FeatureStore.create(path, header()) as store:
        for number in range(5):
            if not store.is_intact(feature(number).window_id):
                store.write(feature(number))
    with reader(path) as store:
        assert len(store) == 5 and store.verify() == ()
        for number in range(5):
            check(store.read(feature(number).window_id), number)


def test_a_store_without_its_data_file(tmp_path):
    path = fill(tmp_path / "s", range(1))
    (path / "features.bin").unlink()
    error = refused(reader, path)
    assert "cannot be opened" in error.what and "features.bin" in error.expected


def test_a_truncated_data_file(tmp_path):
    path = fill(tmp_path / "s", range(3))
    os.truncate(path / "features.bin", header().record_bytes * 2 + 5)
    store = reader(path)
    check(store.read(feature(1).window_id), 1)
    error = refused(store.read, feature(2).window_id)
    assert "is truncated" in error.what and "tilefix tiles encode" in error.do


# --- other models, maps and settings ----------------------------------------------------------


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
    assert "cannot be written" in refused(FeatureStore.create, tmp_path / "s", header()).what


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
    error = refused(store.write, feature(2))
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
    error = refused(store.write, feature(0))
    assert "cannot be written" in error.what and "full" not in error.what


def test_a_really_full_file_system(tmp_path):
    """A file size limit of the process stands for the disk: the kernel itself refuses."""
    code = (
        "import sys, resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "import importlib.util as u; s = u.spec_from_file_location('t', sys.argv[1]);"
        "t = u.module_from_spec(s); s.loader.exec_module(t);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (t.header().record_bytes * 2 + 700,) * 2);"
        "t.fill(t.os.path.abspath(sys.argv[2]), range(9))"
    )
    path = tmp_path / "s"
    run = subprocess.run(
        [sys.executable, "-c", code, __file__, path], capture_output=True, text=True
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
