"""Which candidates are chosen: k-centre greedy, with a share of the places for every group.

k-centre greedy (Gonzalez 1985) takes, again and again, the candidate that is farthest from all that
are chosen; the largest distance of any candidate to the chosen ones is then at most twice the least
possible. Here the farthest candidate is first looked for in the groups that have a share left.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from edge.types import Float32, Float64

Key = tuple[Hashable, ...]
BALANCED = 0.5  # of the places, shared out evenly; see benchmarks/records/selection.md


def choose(points: Float32, keys: Sequence[Key], count: int, seed: int) -> list[int]:
    """Indices of at most `count` points, in the order of choice.

    The first half of the places is shared out evenly over the groups, the second half is free: full
    balance would cost coverage, and none would leave a rare light or place to luck.

    Args:
        points: [N, D] float32.
        keys: the groups of each point, from the coarsest to the finest; all of one length.
        count: how many are wanted.
        seed: decides the first point.
    """
    if not len(points) or count < 1:
        return []
    balanced = max(1, round(BALANCED * count))
    left = shares(keys, balanced)
    first = int(np.random.default_rng(seed).integers(len(points)))
    if not left[keys[first]]:  # more groups than places, and this one has none
        first = next(n for n, key in enumerate(keys) if left[key])
    chosen: list[int] = []
    nearest = np.full(len(points), np.inf)
    free = np.ones(len(points), np.bool_)
    while len(chosen) < count and free.any():
        open_to = free
        if len(chosen) < balanced:
            open_to = free & np.array([left[key] > 0 for key in keys])
        taken = int(np.argmax(np.where(open_to, nearest, -1.0))) if chosen else first
        chosen.append(taken)
        left[keys[taken]] -= 1
        free[taken] = False
        nearest = np.minimum(nearest, _distances(points, taken))
    return chosen


def shares(keys: Sequence[Key], count: int) -> dict[Key, int]:
    """How many to take of each group: equal parts at each level, as far as there are members.

    What a group cannot fill goes to its neighbours of the same level, then to the others.
    """
    members: dict[Key, int] = {}
    for key in keys:
        members[key] = members.get(key, 0) + 1
    return _share(dict(sorted(members.items(), key=lambda item: _order(item[0]))), count, 0)


def covering_radius(points: Float32, chosen: Sequence[int]) -> float:
    """The covering radius: the largest distance of a point to its nearest chosen one."""
    nearest = np.full(len(points), np.inf)
    for index in chosen:
        nearest = np.minimum(nearest, _distances(points, index))
    return float(nearest.max())


def balanced_blocks(descriptors: Float32, lengths: Sequence[int]) -> Float32:
    """Descriptors whose blocks count alike, whatever their units and lengths.

    Every number is standardised over the candidates, and a block divided by the root of its length;
    a number that is the same everywhere becomes zero. [N, D] -> [N, D] float32.
    """
    wide = descriptors.astype(np.float64)
    spread = wide.std(axis=0)
    scaled = (wide - wide.mean(axis=0)) / np.where(spread > 1e-6, spread, np.inf)
    weight = np.concatenate([np.full(n, 1 / np.sqrt(n)) for n in lengths])
    return np.asarray(scaled * weight, np.float32)


def _share(members: dict[Key, int], count: int, level: int) -> dict[Key, int]:
    if not members or level == len(next(iter(members))):
        return {key: min(count, size) for key, size in members.items()}
    groups: dict[Hashable, dict[Key, int]] = {}
    for key, size in members.items():
        groups.setdefault(key[level], {})[key] = size
    sizes = [sum(group.values()) for group in groups.values()]
    given: dict[Key, int] = {}
    for group, part in zip(groups.values(), even_parts(sizes, count), strict=True):
        given |= _share(group, part, level + 1)
    return given


def even_parts(sizes: Sequence[int], count: int) -> list[int]:
    """`count` shared out evenly over heaps of these sizes; what is left over goes to the first."""
    parts = [0] * len(sizes)
    left = min(count, sum(sizes))
    while left:
        able = [n for n, size in enumerate(sizes) if parts[n] < size]
        each = max(1, left // len(able))
        for n in able:
            add = min(each, sizes[n] - parts[n], left)
            parts[n] += add
            left -= add
    return parts


def _order(key: Key) -> tuple[tuple[str, str], ...]:
    """An order for keys of any values, None among them."""
    return tuple((type(part).__name__, str(part)) for part in key)


def _distances(points: Float32, index: int) -> Float64:
    """Euclidean distances of all points to one, [N] float64."""
    apart = points.astype(np.float64) - points[index].astype(np.float64)
    return np.asarray(np.sqrt(np.square(apart).sum(axis=1)))
