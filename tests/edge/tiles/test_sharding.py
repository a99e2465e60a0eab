"""Shares of a lattice: every window in exactly one, nearly equal, the same whoever asks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.tiles.lattice import STEP_PX, WindowPlace
from edge.tiles.sharding import Shard, own_gpu, parse_shard


def place(column: int, row: int) -> WindowPlace:
    return WindowPlace(column * STEP_PX, row * STEP_PX)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(1, 40))
def test_every_window_is_in_exactly_one_share(column, row, of):
    holders = [number for number in range(1, of + 1) if Shard(number, of).holds(place(column, row))]
    assert len(holders) == 1


@pytest.mark.parametrize(("columns", "rows"), [(64, 64), (7, 7), (200, 3), (3, 200)])
@pytest.mark.parametrize("of", [2, 3])
def test_shares_are_nearly_equal(columns, rows, of):
    counts = Counter(
        number
        for column in range(100, 100 + columns)
        for row in range(37, 37 + rows)
        for number in range(1, of + 1)
        if Shard(number, of).holds(place(column, row))
    )
    assert len(counts) == of
    assert max(counts.values()) - min(counts.values()) <= 2 * max(columns // 8, 8)


def test_a_strip_stays_together():
    shard = Shard(2, 5)
    for row in range(12):
        held = [shard.holds(place(column, row)) for column in range(40)]
        assert all(len(set(held[start : start + 8])) == 1 for start in range(0, 40, 8))


@pytest.mark.parametrize(("text", "number", "of"), [("1/1", 1, 1), ("2/2", 2, 2), ("03/16", 3, 16)])
def test_an_option_becomes_a_share(text, number, of):
    assert parse_shard(text, {}) == Shard(number, of)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1/0", "1", "a/b", "1/2/3", "-1/2", "", "1 /2"])
def test_no_share(text):
    with pytest.raises(UsageError, match="--shard names no share") as caught:
        parse_shard(text, {"RANK": "0", "WORLD_SIZE": "2"})
    assert caught.value.found == repr(text) and "from 1 to N" in caught.value.expected


def test_torchrun_counts_from_zero():
    assert parse_shard("env", {"RANK": "0", "WORLD_SIZE": "2"}) == Shard(1, 2)
    assert parse_shard("env", {"RANK": "1", "WORLD_SIZE": "2"}) == Shard(2, 2)


@pytest.mark.parametrize("environment", [{}, {"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "0"}])
def test_without_torchrun(environment):
    with pytest.raises(UsageError, match="from the environment") as caught:
        parse_shard("env", environment)
    assert "torchrun" in caught.value.do and "--shard I/N" in caught.value.do


def test_folders_sort_by_number():
    names = [Shard(number, 12).folder(Path("s")).name for number in (1, 2, 11)]
    assert names == ["shard-01-of-12", "shard-02-of-12", "shard-11-of-12"]


@pytest.mark.parametrize(
    ("environment", "gpu"),
    [
        ({}, None),
        ({"LOCAL_RANK": "3"}, "3"),
        ({"LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "4,7"}, "7"),
        ({"LOCAL_RANK": "3", "CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}, "GPU-b"),
        ({"LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "0"}, "0"),
    ],
)
def test_a_gpu_for_each_process(environment, gpu):
    assert own_gpu(environment) == gpu
