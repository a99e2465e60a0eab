"""k-centre greedy against all choices, and shares against plain counting."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.selection.coverage import (
    balanced_blocks,
    choose,
    covering_radius,
    even_parts,
    shares,
)

ONE = ("all",)


def best_radius(points, count: int) -> float:
    """The least radius of any choice, tried one by one in plain numpy."""
    apart = np.linalg.norm(points[:, None].astype(float) - points[None], axis=2)
    return min(
        apart[list(centres)].min(axis=0).max()
        for centres in itertools.combinations(range(len(points)), count)
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 10), st.integers(1, 4), st.integers(0, 5))
def test_the_radius_is_at_most_twice_the_least_possible(seed, size, count, choice_seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(size, 3)).astype(np.float32) ** 3  # with outliers
    chosen = choose(points, [ONE] * size, count, choice_seed)
    assert len(set(chosen)) == count
    assert covering_radius(points, chosen) <= 2 * best_radius(points, count) + 1e-9


def test_first_n_can_be_far_worse_than_twice():
    """The bound is no triviality: a flight that begins with one long section breaks it."""
    points = np.array([[0.0], [0.1], [0.2], [10], [20]], np.float32)
    assert covering_radius(points, [0, 1, 2]) > 2 * best_radius(points, 3)
    assert covering_radius(points, choose(points, [ONE] * 5, 3, 0)) <= 2 * best_radius(points, 3)


def test_each_step_takes_the_farthest():
    points = np.array([[0.0], [1], [4], [9], [5]], np.float32)
    for seed in range(6):
        chosen = choose(points, [ONE] * 5, 5, seed)
        for n in range(1, 5):
            apart = [min(abs(points[k, 0] - points[c, 0]) for c in chosen[:n]) for k in range(5)]
            assert apart[chosen[n]] == max(apart)


def test_the_seed_decides_and_nothing_else():
    points = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    runs = [choose(points, [ONE] * 50, 5, seed) for seed in (0, 0, 1, 2, 3)]
    assert runs[0] == runs[1]
    assert len({tuple(run) for run in runs}) > 1


def test_a_small_group_gets_its_share():
    """Ten pictures at night among 200 by day, all day pictures far apart from each other."""
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(size=(200, 3)) * 10, rng.normal(size=(10, 3)) * 0.1])
    keys = [("site", "day")] * 200 + [("site", "night")] * 10
    chosen = choose(points.astype(np.float32), keys, 20, 0)
    assert sum(index >= 200 for index in chosen[:10]) == 5  # half of the balanced half
    alone = choose(points.astype(np.float32), [ONE] * 210, 20, 0)
    assert sum(index >= 200 for index in alone) < 5


def test_the_free_half_goes_where_the_distances_are():
    points = np.concatenate([np.arange(20) * 100.0, np.arange(20) * 0.01]).astype(np.float32)
    keys = [("wide",)] * 20 + [("narrow",)] * 20
    chosen = choose(points[:, None], keys, 16, 0)
    assert sum(index >= 20 for index in chosen[:8]) == 4
    assert all(index < 20 for index in chosen[8:])


def test_more_groups_than_places():
    keys = [(f"site {n}",) for n in range(9)]
    points = np.arange(9, dtype=np.float32)[:, None]
    for seed in range(9):
        assert len(choose(points, keys, 4, seed)) == 4


def test_nothing_to_choose_from():
    assert choose(np.zeros((0, 3), np.float32), [], 5, 0) == []
    assert choose(np.zeros((2, 3), np.float32), [ONE] * 2, 0, 0) == []


def test_equal_points_are_all_taken_once():
    assert sorted(choose(np.zeros((4, 2), np.float32), [ONE] * 4, 9, 3)) == [0, 1, 2, 3]


def test_shares_are_even_at_each_level():
    keys = [("a", "dark")] * 50 + [("a", "bright")] * 50 + [("b", None)] * 50
    assert shares(keys, 40) == {("a", "bright"): 10, ("a", "dark"): 10, ("b", None): 20}


def test_what_a_group_cannot_fill_stays_within_its_site_first():
    keys = [("a", "dark")] * 2 + [("a", "bright")] * 50 + [("b", "dark")] * 50
    found = shares(keys, 40)
    assert found == {("a", "bright"): 18, ("a", "dark"): 2, ("b", "dark"): 20}


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 120))
def test_even_parts(sizes, count):
    parts = even_parts(sizes, count)
    assert sum(parts) == min(count, sum(sizes))
    assert all(0 <= part <= size for part, size in zip(parts, sizes, strict=True))
    # nobody has more than another that could still take one, but for the rest of the division
    room = [part for part, size in zip(parts, sizes, strict=True) if part < size]
    assert not room or max(parts) <= min(room) + 1


def test_blocks_count_alike_whatever_their_units():
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(size=(400, 2)) * 1e3, rng.normal(size=(400, 30))], axis=1)
    values = np.concatenate([values, np.full((400, 3), 7.0)], axis=1).astype(np.float32)
    scaled = balanced_blocks(values, (2, 30, 3))
    energy = (scaled**2).mean(axis=0)
    assert energy[:2].sum() == pytest.approx(1, rel=1e-3)
    assert energy[2:32].sum() == pytest.approx(1, rel=1e-3)
    assert energy[32:].sum() == 0  # what is the same everywhere says nothing
