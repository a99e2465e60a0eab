"""A merged store is what one process would have written; anything else is refused by name."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil

import msgspec
import pytest
from made_shards import make_shard, record
from stored_features import check, feature, fill, header, reader, refused, unwritten

from edge import feature_merge
from edge.feature_header import write_header
from edge.feature_merge import merge_shards
from edge.feature_shard import begin_shard, read_shard, write_shard
from edge.feature_store import FeatureStore

FILES = ["features.bin", "header.json", "index.jsonl"]


@pytest.fixture
def shards(tmp_path):
    """The even windows and the odd ones, each written last window first."""
    return [make_shard(tmp_path, 1, (4, 2, 0)), make_shard(tmp_path, 2, (5, 3, 1))]


def nothing_at(out) -> bool:
    return not out.exists() and not list(out.parent.glob(f".{out.name}*"))


def test_merged_is_what_one_process_would_have_written(shards, tmp_path):
    seen = []
    merged = merge_shards(
        shards[::-1], tmp_path / "out", progress=lambda done, total: seen.append((done, total))
    )
    fill(tmp_path / "whole", range(6))
    same = filecmp.cmpfiles(tmp_path / "out", tmp_path / "whole", FILES, shallow=False)
    assert same == (FILES, [], [])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert (merged.shards, merged.windows) == (2, 6)
    assert merged.data_bytes == (tmp_path / "out" / "features.bin").stat().st_size
    assert seen == [(done, 6) for done in range(1, 7)]
    with reader(tmp_path / "out") as store:
        for number in range(6):
            check(store.read(feature(number).window_id), number)
    assert len(reader(shards[0])) == 3, "the shards stay"
    assert not list(tmp_path.glob(".out*"))


def test_a_merged_store_can_be_gone_on_with(shards, tmp_path):
    merge_shards(shards, tmp_path / "out")
    with FeatureStore.create(tmp_path / "out", header()) as store:
        store.write(feature(6))
    with reader(tmp_path / "out") as store:
        assert len(store) == 7 and store.verify() == ()


def test_a_window_that_was_written_twice_counts_with_its_last_bytes(shards, tmp_path):
    with FeatureStore.create(shards[0], header()) as store:
        store.write(feature(9, window_id=feature(2).window_id, geometry=feature(2).geometry))
    merge_shards(shards, tmp_path / "out")
    with reader(tmp_path / "out") as store:
        found = store.read(feature(2).window_id)
    assert (found.tensors["v"] == feature(9).tensors["v"]).all()


def test_a_share_without_imagery(tmp_path):
    folders = [make_shard(tmp_path, 1, range(3), 3), make_shard(tmp_path, 2, (), 3)]
    folders.append(make_shard(tmp_path, 3, (7,), 3))
    assert merge_shards(folders, tmp_path / "out").windows == 4
    empty = [make_shard(tmp_path / "e", number, ()) for number in (1, 2)]
    error = refused(merge_shards, empty, tmp_path / "none")
    assert error.what == "the shards hold no windows" and nothing_at(tmp_path / "none")


def test_missing_shards_are_named(tmp_path):
    folders = [make_shard(tmp_path, number, (number,), 5) for number in (1, 4)]
    error = refused(merge_shards, folders, tmp_path / "out")
    assert error.found == "without 2/5, 3/5, 5/5" and "--shard 2/5" in error.do
    assert nothing_at(tmp_path / "out")
    assert "nothing to merge" in refused(merge_shards, [], tmp_path / "out").what


def test_a_shard_given_twice(shards, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(shards[0], copy)
    error = refused(merge_shards, [*shards, copy], tmp_path / "out")
    assert error.what == "a shard is given twice"
    assert str(copy) in error.found and str(shards[0]) in error.found
    assert "twice" in refused(merge_shards, [*shards, shards[1]], tmp_path / "out").what


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"model_id": "c" * 64}, "model_id"),
        ({"map_id": "d" * 64}, "map_id"),
        ({"gsd_m": 0.4}, "gsd_m"),
        ({"zoom": 18}, "zoom"),
        ({"window_px": (512, 512)}, "window_px"),
        ({"of": 3}, "of"),
        ({"area": "1.0,2.0,3.0,4.0"}, "area"),
    ],
)
def test_shards_of_another_making(shards, tmp_path, changes, name):
    there = read_shard(shards[1])
    write_shard(shards[1], msgspec.structs.replace(there, **changes), "again")
    if name in ("model_id", "map_id"):  # also what its store says
        write_header(shards[1], header(**changes))
    error = refused(merge_shards, shards, tmp_path / "out")
    assert "not of the same store" in error.what and name in error.expected
    assert str(changes[name]) in error.found and nothing_at(tmp_path / "out")


def test_stores_of_other_settings(shards, tmp_path):
    write_header(shards[1], header(alignment_id="e" * 64))
    error = refused(merge_shards, shards, tmp_path / "out")
    assert "alignment_id" in error.found and str(shards[1]) in error.what


def test_a_store_that_its_shard_does_not_know(shards, tmp_path):
    write_header(shards[1], header(model_id="c" * 64))
    assert "another model" in refused(merge_shards, shards, tmp_path / "out").what


def test_an_unfinished_shard(shards, tmp_path):
    done = read_shard(shards[1])
    write_shard(shards[1], msgspec.structs.replace(done, done=False), "again")
    error = refused(merge_shards, shards, tmp_path / "out")
    assert "is not finished" in error.what and "3 windows so far" in error.found
    assert "--shard 2/2" in error.do and nothing_at(tmp_path / "out")


def test_a_shard_with_fewer_windows_than_it_says(shards, tmp_path):
    index = shards[1] / "index.jsonl"
    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[:2]))
    assert refused(merge_shards, shards, tmp_path / "out").found == "2 of 3"


def test_a_window_in_two_shards(tmp_path):
    folders = [make_shard(tmp_path, 1, (0, 1)), make_shard(tmp_path, 2, (1, 2))]
    error = refused(merge_shards, folders, tmp_path / "out")
    assert feature(1).window_id in error.what and str(folders[1]) in error.found


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_corrupt_record(shards, tmp_path, damage):
    path = shards[1] / "features.bin"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data if damage == "flip" else data[: header().record_bytes])
    hit = 5 if damage == "flip" else 1  # the shard was written last window first
    error = refused(merge_shards, shards, tmp_path / "out")
    assert feature(hit).window_id in error.what and str(shards[1]) in error.what
    assert "--shard 2/2" in error.do and nothing_at(tmp_path / "out")


def test_what_is_no_shard(shards, tmp_path):
    fill(tmp_path / "plain", range(2))
    error = refused(merge_shards, [*shards, tmp_path / "plain"], tmp_path / "out")
    assert "is no shard" in error.what and "shard.json" in error.expected
    (shards[0] / "shard.json").write_text('{"schema": "tilefix-shard/2"}')
    assert "is no shard" in refused(merge_shards, shards, tmp_path / "out").what


@pytest.mark.parametrize("what", ["file", "store", "shard"])
def test_a_place_that_is_taken(shards, tmp_path, what):
    out = shards[0] if what == "shard" else tmp_path / "out"
    if what == "store":
        fill(out, range(1))
    elif what == "file":
        out.write_text("dear")
    error = unwritten(merge_shards, shards, out)
    assert "already" in error.what and "--store" in error.do
    assert what != "file" or out.read_text() == "dear"


def test_an_empty_folder_is_a_place(shards, tmp_path):
    (tmp_path / "out").mkdir()
    assert merge_shards(shards, tmp_path / "out").windows == 6


def test_a_disk_without_room(shards, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    error = unwritten(merge_shards, shards, tmp_path / "out", resume_command="merge again")
    assert "too full" in error.what and error.do.endswith("merge again")
    assert nothing_at(tmp_path / "out")


def test_a_place_that_may_not_be_written_to_is_not_called_full(shards, tmp_path, monkeypatch):
    """As below /sys, where there is no room either: what forbids it is told."""
    usage, make = shutil.disk_usage(tmp_path)._replace(free=0), os.open

    def forbidding(path, flags, *mode):
        if str(path).endswith(".merge-lock"):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        return make(path, flags, *mode)

    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(os, "open", forbidding)
    error = unwritten(merge_shards, shards, tmp_path / "out", resume_command="merge again")
    assert error.what == f"the feature store {tmp_path / 'out'} cannot be written"
    assert "Operation not permitted" in error.found and "full" not in str(error)
    monkeypatch.undo()
    assert nothing_at(tmp_path / "out")


def test_a_disk_that_fills_up(shards, tmp_path, monkeypatch):
    real, calls = os.write, []

    def write(fd, data):
        calls.append(fd)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    error = unwritten(merge_shards, shards, tmp_path / "out", resume_command="merge again")
    assert "the disk is full" in error.what and "merge again" in error.do
    monkeypatch.undo()
    assert nothing_at(tmp_path / "out")
    assert merge_shards(shards, tmp_path / "out").windows == 6


def test_what_a_killed_merge_left_is_no_hindrance(shards, tmp_path):
    fill(tmp_path / ".out.merging", range(3))
    assert merge_shards(shards, tmp_path / "out").windows == 6


def test_ctrl_c_leaves_nothing(shards, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge_shards(shards, tmp_path / "out", progress=stop)
    assert nothing_at(tmp_path / "out")


def test_one_merge_at_a_time(shards, tmp_path):
    def again(done, total):
        error = refused(merge_shards, shards, tmp_path / "out")
        assert "another process is merging" in error.what

    assert merge_shards(shards, tmp_path / "out", progress=again).windows == 6


def test_a_lock_that_the_merge_before_took_away_is_none(shards, tmp_path, monkeypatch):
    """Opened before the merge before removed it, locked after: the next merge would not see it."""
    flock, calls = feature_merge.fcntl.flock, []

    def late(descriptor, operation):
        if not calls:
            (tmp_path / ".out.merge-lock").unlink()  # as the merge before does at its end
        calls.append(descriptor)
        flock(descriptor, operation)

    monkeypatch.setattr(feature_merge.fcntl, "flock", late)

    def again(done, total):
        error = refused(merge_shards, shards, tmp_path / "out")
        assert "another process is merging" in error.what

    assert merge_shards(shards, tmp_path / "out", progress=again).windows == 6
    assert not list(tmp_path.glob(".out*"))


def test_a_folder_keeps_to_its_shard(tmp_path):
    folder = make_shard(tmp_path, 1, range(2))
    begin_shard(folder, record(1), "again")  # goes on
    assert not read_shard(folder).done
    error = refused(begin_shard, folder, record(2), "again")
    assert "another shard" in error.what and error.found == "number 1"
    error = refused(begin_shard, folder, record(1, gsd_m=0.3), "again")
    assert error.expected == "gsd_m 0.3"
    fill(tmp_path / "plain", range(1))
    assert "holds no shard" in refused(begin_shard, tmp_path / "plain", record(1), "again").what
    (tmp_path / "file").write_text("")
    assert "cannot be written" in unwritten(begin_shard, tmp_path / "file", record(1), "again").what


def test_what_the_disk_spoils_is_seen(shards, tmp_path):
    def spoil(done, total):
        path = tmp_path / ".out.merging" / "features.bin"
        if done == total and path.stat().st_size:
            with path.open("r+b") as stream:
                stream.write(b"\xff")

    error = refused(merge_shards, shards, tmp_path / "out", progress=spoil)
    assert "not what was written" in error.what and feature(0).window_id in error.found
    assert nothing_at(tmp_path / "out")


def test_shards_that_were_not_merged_are_no_store(tmp_path):
    make_shard(tmp_path / "s", 1, range(2))
    assert f"tilefix tiles merge {tmp_path}/s/shard-*" in refused(reader, tmp_path / "s").do
    assert "tiles encode" in refused(reader, tmp_path / "none").do
