"""What is read back is what was written, or an error."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored_features import MAP, check, feature, fill, header, reader, refused

from edge.feature_header import read_header
from edge.feature_store import FeatureStore


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


def test_a_broken_line_of_the_index_is_told(tmp_path, caplog):
    path = fill(tmp_path / "s", range(3))
    assert len(reader(path)) == 3 and not caplog.records
    lines = (path / "index.jsonl").read_bytes().splitlines(keepends=True)
    (path / "index.jsonl").write_bytes(lines[0] + b"0" + lines[1] + lines[2])
    assert len(reader(path)) == 2
    (record,) = caplog.records
    assert "index.jsonl: broken lines: 1;" in record.getMessage()
    caplog.clear()
    (path / "index.jsonl").write_bytes(b"".join(lines)[:-5])  # at work, or cut by a kill
    assert len(reader(path)) == 2 and not caplog.records


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
