"""Pairs of descriptors that agree, and the robust transforms behind them.

The frame is brought near the window's rotation and scale before its features are found, so a right
match has about the same displacement as its neighbours. That is what makes few matches enough: vote
on the displacement first, fit a similarity (two matches) among the voters, and only then a
homography. Everything is deterministic: the same matches give the same transform.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.types import Array, Bool, Float32, Float64

VOTE_CELL_PX = 96
VOTE_PLACES = 3  # places of the vote that are tried
PAIRS = 400  # pairs of matches tried per place
MOST_TURN_DEG = 35.0  # of a similarity away from the hypothesis
MOST_ZOOM = 1.8  # likewise, either way
SIMILARITY_REACH_PX = 8.0  # perspective and relief that a similarity leaves
HOMOGRAPHY_REACH_PX = 3.0
_USAC_ITERATIONS = 4000
_POLISHES = 3


@dataclass(frozen=True, slots=True)
class Similarity:
    """A rotation, zoom and shift found by vote, with the matches that follow it."""

    matrix: Float64  # [3, 3]
    follows: Bool  # [N]

    @property
    def support(self) -> int:
        """Matches that follow the similarity."""
        return int(self.follows.sum())


@dataclass(frozen=True, slots=True)
class Homography:
    """A plane-to-plane transform, with the matches that follow it."""

    matrix: Float64  # [3, 3], last element 1
    follows: Bool  # [N]

    @property
    def support(self) -> int:
        """Matches that follow the homography."""
        return int(self.follows.sum())


def project(matrix: Float64, xy: Float64) -> Float64:
    """Points through a homography. matrix [3, 3], xy [N, 2] -> [N, 2]."""
    xyw: Float64 = np.column_stack([xy, np.ones(len(xy))]) @ matrix.T
    return np.asarray(xyw[:, :2] / xyw[:, 2:], np.float64)


def mutual_matches(
    left: Float32, right: Float32, *, ratio: float = 1.0
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs that are each other's nearest descriptor.

    Args:
        left: [N, 64] descriptors of unit length.
        right: [M, 64] likewise.
        ratio: the nearest must be closer than this times the second nearest (Lowe's test on the
            Euclidean distance); 1 switches the test off.

    Returns:
        Rows of `left` and rows of `right`, [K] each.
    """
    if len(left) == 0 or len(right) == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    cosine = left @ right.T  # [N, M]
    rows = np.arange(len(left))
    nearest = cosine.argmax(axis=1)
    best = cosine[rows, nearest]
    # Whether a match is mutual is asked of the matched columns alone: [N, N] instead of [N, M].
    keep = cosine[:, nearest].max(axis=0) <= best
    if ratio < 1.0:
        cosine[rows, nearest] = -1.0
        second = cosine.max(axis=1)
        keep &= (1.0 - best) < ratio**2 * (1.0 - second)
    return rows[keep], nearest[keep]


def vote_similarity(source: Float64, target: Float64) -> Similarity | None:
    """The similarity near the identity turn and zoom that most matches follow, or None.

    Args:
        source: [N, 2] points, brought near the target's rotation and scale.
        target: [N, 2] their matches.
    """
    if len(source) < 4:
        return None
    centre = source.mean(axis=0)
    here = (source - centre) @ np.array([1.0, 1j])  # complex numbers turn and zoom by one product
    there = target @ np.array([1.0, 1j])
    best: NDArray[np.bool_] | None = None
    for members in _places(target - source):
        follows = _similarity_of(here, there, members)
        if follows is not None and (best is None or follows.sum() > best.sum()):
            best = follows
    if best is None:
        return None
    turn, shift = 1.0 + 0j, 0j
    for _ in range(3):  # least squares on the followers, who then are asked again
        turn, shift = _least_squares(here[best], there[best])
        again = np.abs(turn * here + shift - there) < SIMILARITY_REACH_PX
        if again.sum() < 4 or bool((again == best).all()):
            break
        best = again
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = np.array([shift.real, shift.imag]) - linear @ centre
    return Similarity(matrix, best)


def _places(displacement: Float64) -> list[NDArray[np.intp]]:
    """Matches of similar displacement: the fullest 2 x 2 blocks of a coarse histogram.

    Only blocks with a match are looked at: displacements may lie any distance apart.
    """
    cell = np.floor(displacement / VOTE_CELL_PX).astype(np.int64)
    cell -= cell.min(axis=0) - 1
    columns = int(cell[:, 0].max()) + 2
    flat = cell[:, 1] * columns + cell[:, 0]  # a block is named by its first cell, row by row
    corners = np.concatenate([flat - columns - 1, flat - columns, flat - 1, flat])
    blocks, votes = np.unique(corners, return_counts=True)
    places = []
    for block in blocks[np.argsort(-votes, kind="stable")[:VOTE_PLACES]]:
        row, column = divmod(int(block), columns)
        inside = (cell[:, 1] - row) * (cell[:, 1] - row - 1) == 0
        inside &= (cell[:, 0] - column) * (cell[:, 0] - column - 1) == 0
        places.append(np.flatnonzero(inside))
    return places


def _similarity_of(
    here: NDArray[np.complex128], there: NDArray[np.complex128], members: NDArray[np.intp]
) -> NDArray[np.bool_] | None:
    """Who of all matches follows the best similarity through two of the members."""
    if len(members) < 4:
        return None
    rng = np.random.default_rng(len(members))
    first = members[rng.integers(0, len(members), PAIRS)]
    second = members[rng.integers(0, len(members), PAIRS)]
    span = here[second] - here[first]
    wide = np.abs(span) > 4.0 * SIMILARITY_REACH_PX
    first, second, span = first[wide], second[wide], span[wide]
    turn = (there[second] - there[first]) / span
    zoom = np.abs(turn)
    sane = (zoom < MOST_ZOOM) & (zoom > 1.0 / MOST_ZOOM)
    sane &= np.abs(np.angle(turn, deg=True)) < MOST_TURN_DEG
    turn, first = turn[sane], first[sane]
    if len(turn) == 0:
        return None
    shift = there[first] - turn * here[first]
    miss = np.abs(turn[:, None] * here[members] + shift[:, None] - there[members])  # [T, members]
    k = int((miss < SIMILARITY_REACH_PX).sum(axis=1).argmax())
    follows = np.asarray(np.abs(turn[k] * here + shift[k] - there) < SIMILARITY_REACH_PX)
    return follows if follows.sum() >= 4 else None


def _least_squares(
    here: NDArray[np.complex128], there: NDArray[np.complex128]
) -> tuple[complex, complex]:
    """The similarity `there = turn * here + shift` of least squared error."""
    mid_here, mid_there = here.mean(), there.mean()
    spread = here - mid_here
    power = float((np.abs(spread) ** 2).sum())
    turn = complex((np.conj(spread) * (there - mid_there)).sum() / max(power, 1e-9))
    return turn, complex(mid_there - turn * mid_here)


def fit_homography(source: Float64, target: Float64) -> Homography | None:
    """The homography that most matches follow (MAGSAC++ of OpenCV, deterministic), or None.

    Args:
        source: [N, 2] points.
        target: [N, 2] their matches, in pixels in which `HOMOGRAPHY_REACH_PX` makes sense.
    """
    if len(source) < 6:
        return None
    matrix, _ = cv2.findHomography(
        source,
        target,
        cv2.USAC_MAGSAC,
        HOMOGRAPHY_REACH_PX,
        maxIters=_USAC_ITERATIONS,
        confidence=0.9999,
    )
    found = _counted(matrix, source, target)
    for _ in range(_POLISHES):
        if found is None or found.support < 6:
            return found
        # MAGSAC weighs; least squares on its inliers is the better fit where there are many.
        matrix, _ = cv2.findHomography(source[found.follows], target[found.follows], 0)
        polished = _counted(matrix, source, target)
        if polished is None or polished.support < 0.9 * found.support:
            return found
        found = polished
    return found


def _counted(matrix: Array | None, source: Float64, target: Float64) -> Homography | None:
    """The homography with the matches that follow it; None where it cannot be one."""
    if matrix is None or not np.isfinite(matrix).all() or abs(matrix[2, 2]) < 1e-12:
        return None
    scaled = np.asarray(matrix / matrix[2, 2], np.float64)
    miss = np.linalg.norm(project(scaled, source) - target, axis=1)
    return Homography(scaled, miss < HOMOGRAPHY_REACH_PX)
