"""The head on the CPU, for all clicks of a frame at once, in float32.

What it means stands in `edge.decoding`, one click at a time; the way there is that of the graph
(`training.models.gated_head`): a secant per cell and anchor, made once for a window, ranks the
cells, and the best few are evaluated exactly. A graph walks for that through maps of [clicks,
anchors, rows, columns], 5 MB each for 8 clicks, five times over. Here a prior, where there is one,
leaves of each map a square around it, beyond which no cell can be among the best (`_reach_cells`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.decoding import LEAK, LOG_SIZE_LIMIT, Head
from edge.own_memory import in_own_memory
from edge.peaks import largest, peaks
from edge.small_products import product
from edge.types import Array, Float32, Float64

SECANT = (0.2, 0.8)  # cosines that the secants go through
SHORTLIST_CELLS = 16
MOST_LENGTH = 1.001  # of a query vector: 1 but for rounding
BLOCK_CELLS = 1024  # worked on at once, so that a block of hidden values stays in a core's cache
# From any point of a grid of at least 4 x 4 cells, as many as the shortlist holds are this near.
SHORTLIST_RADIUS_CELLS = 4 * math.sqrt(2)
LEAST_SIDE_CELLS = 4
Slices = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True, slots=True)
class WindowMaps:
    """What the head works with of a window, whatever the clicks: in memory of its own."""

    v: Float32  # [D, Hg * Wg], reference vectors
    u: Array  # [C, Hg * Wg], their folded convolution, as it was stored
    base: Float32  # [A, Hg, Wg], the secants: logit = base + rate x similarity
    rate: Float32  # [A, Hg, Wg]
    spread: float  # that the best logits of two cells can differ by at most, priors apart

    @property
    def grid(self) -> tuple[int, int]:
        """Rows, columns."""
        _, rows, columns = self.base.shape
        return rows, columns


class HostHead:
    """The weights of a head in float32; any number of threads."""

    def __init__(self, head: Head) -> None:
        self._alpha, self._beta = np.float32(head.alpha), np.float32(head.beta)
        self._w_a, self._b = _single(head.w_a), _single(head.b)  # [C]
        self._w_conf = _single(head.w_conf)  # [A, C]
        self._c_conf, self._tau = _single(head.c_conf)[:, None], _single(head.tau)[:, None]
        self._w_box, self._b_box = _single(head.w_box), _single(head.b_box)
        self._anchors_wh_px = _single(head.anchors_wh_px)  # [A, 2]
        self._stride_px = np.float32(head.stride_px)
        self._click_var = np.float32(head.click_var)
        self._centre_var = np.float32(head.centre_var)
        self._floor_var_px2 = np.float32(head.floor_var_px2)

    def of_window(self, v: Array, u: Array) -> WindowMaps:
        """What a window costs once: v [D, Hg, Wg] and u [C, Hg, Wg], float16 or float32."""
        depth, rows, columns = v.shape
        cells = rows * columns
        anchors = len(self._w_conf)
        base, rate = (np.empty((anchors, cells), np.float32) for _ in range(2))
        stored = in_own_memory(u.reshape(len(u), cells))
        vectors = in_own_memory(v.reshape(depth, cells), np.float32)
        longest = np.float32(0)  # of the vectors: 1, but for the rounding of how they are stored
        for start in range(0, cells, BLOCK_CELLS):
            block = slice(start, start + BLOCK_CELLS)
            some = stored[:, block].astype(np.float32)  # [C, block]
            low, high = (self._logits(some, np.float32(s)) for s in SECANT)
            rate[:, block] = (high - low) / np.float32(SECANT[1] - SECANT[0])
            base[:, block] = low - np.float32(SECANT[0]) * rate[:, block]
            longest = np.maximum(longest, np.square(vectors[:, block]).sum(0).max())
        swing = np.float32(MOST_LENGTH) * np.sqrt(longest) * np.abs(rate)
        most, least = (base + swing).max(0), (base - swing).max(0)  # [Hg * Wg]
        return WindowMaps(
            vectors,
            stored,
            in_own_memory(base.reshape(anchors, rows, columns)),
            in_own_memory(rate.reshape(anchors, rows, columns)),
            float(most.max() - least.min()),
        )

    def answers(
        self, q: Float32, window: WindowMaps, prior_xy_px: Float32, prior_inv_var: Float32
    ) -> dict[str, Float32]:
        """See `edge.decoding.decode`, whose outputs these are, in float32.

        Args:
            q: query vectors [N, D], L2-normalised.
            window: of `of_window`.
            prior_xy_px: [N, 2], pixels of the window.
            prior_inv_var: [N], per square pixel; 0 is no prior.
        """
        similarity = product(q, window.v)  # [N, Hg * Wg]
        maps = similarity.reshape(len(q), *window.grid)
        peak, second = peaks(maps)
        # The variance of a cell, stride^2 / 12, adds to that of a prior.
        inv_var = prior_inv_var / (1 + prior_inv_var * (self._stride_px**2 / 12))
        of_rows, of_columns = self._log_prior(window.grid, prior_xy_px, inv_var)
        squares = [
            self._square(window, x_px, y_px, i)
            for (x_px, y_px), i in zip(prior_xy_px.tolist(), inv_var.tolist(), strict=True)
        ]
        count = min(SHORTLIST_CELLS, similarity.shape[1])
        cells = np.stack(
            [
                _shortlist(of_click, window, square, priors, count)
                for of_click, square, *priors in zip(
                    maps, squares, of_rows, of_columns, strict=True
                )
            ]
        )
        cells.sort(1)  # [N, K]
        at_cells = np.take_along_axis(similarity, cells, 1)
        hidden = self._hidden(window.u[:, cells].astype(np.float32), at_cells)  # [C, N, K]
        row, column = np.divmod(cells, window.grid[1])
        prior = np.take_along_axis(of_rows, row, 1) + np.take_along_axis(of_columns, column, 1)
        flat = self._confidence(hidden.reshape(len(hidden), -1), at_cells.ravel())  # [A, N K]
        logit = flat.reshape(-1, *cells.shape).transpose(1, 0, 2) + prior[:, None]  # [N, A, K]
        best = logit.reshape(len(q), -1).argmax(1)
        anchor, chosen = np.divmod(best, cells.shape[1])
        n = np.arange(len(q))
        box = self._box(hidden[:, n, chosen].T, anchor, row[n, chosen], column[n, chosen])
        return {
            "box_xyxy_px": self._blended(*box, prior_xy_px, prior_inv_var),
            "confidence_logit": logit[n, anchor, chosen],
            "peak_similarity": peak,
            "second_peak_similarity": second,
            "cell_similarity": at_cells[n, chosen],
            "attention": maps,
        }

    def _hidden(self, u: Float32, similarity: Float32 | np.float32) -> Float32:
        """u [C, *cells], similarity [*cells] or one for all -> [C, *cells]."""
        gate = self._alpha + self._beta * similarity
        tail = (len(u), *(1,) * (u.ndim - 1))
        mixed = u + self._w_a.reshape(tail)
        mixed *= gate
        mixed += self._b.reshape(tail)
        np.maximum(mixed, np.float32(LEAK) * mixed, out=mixed)
        return mixed

    def _confidence(self, hidden: Float32, similarity: Float32 | np.float32) -> Float32:
        """Logits less the prior: hidden [C, cells] -> [A, cells]."""
        mapped = product(self._w_conf, hidden)
        mapped += self._c_conf + self._tau * similarity
        return mapped

    def _logits(self, u: Float32, similarity: np.float32) -> Float32:
        return self._confidence(self._hidden(u, similarity), similarity)

    def _log_prior(
        self, grid: tuple[int, int], xy_px: Float32, inv_var: Float32
    ) -> tuple[Float32, Float32]:
        """-0.5 inv_var |cell centre - prior|^2 in two terms: of each row [N, Hg], column [N, Wg].

        0 without a prior, wherever it lies.
        """
        half = np.float32(0.5)
        terms = []
        for count, at_px in zip(grid, (xy_px[:, 1], xy_px[:, 0]), strict=True):
            centre = (np.arange(count, dtype=np.float32) + half) * self._stride_px
            away = np.where(inv_var[:, None] > 0, centre - at_px[:, None], 0)
            terms.append(np.asarray(-half * inv_var[:, None] * away * away, np.float32))
        return terms[0], terms[1]

    def _square(self, window: WindowMaps, x_px: float, y_px: float, inv_var: float) -> Slices:
        """The part of the grid that holds the shortlist: around a prior in it, else all."""
        rows, columns = window.grid
        whole = slice(0, rows), slice(0, columns)
        column, row = (each / float(self._stride_px) for each in (x_px, y_px))
        inside = 0 <= row <= rows and 0 <= column <= columns
        small = min(rows, columns) < LEAST_SIDE_CELLS
        if not inv_var > 0 or not inside or small or not math.isfinite(window.spread):
            return whole
        reach = _reach_cells(window.spread, inv_var * float(self._stride_px) ** 2)
        return (
            slice(max(0, math.floor(row) - reach), min(rows, math.floor(row) + 1 + reach)),
            slice(max(0, math.floor(column) - reach), min(columns, math.floor(column) + 1 + reach)),
        )

    def _box(
        self, hidden: Float32, anchor: Array, row: Array, column: Array
    ) -> tuple[Float32, Float32]:
        """Centre and sides of each box, [N, 2] pixels: hidden [N, C] of its cell."""
        t = (self._w_box[anchor] @ hidden[:, :, None])[..., 0] + self._b_box[anchor]  # [N, 4]
        within = np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * t[:, :2]))  # sigmoid
        centre = (within + np.stack([column, row], 1).astype(np.float32)) * self._stride_px
        limit = np.float32(LOG_SIZE_LIMIT)
        return centre, np.exp(np.clip(t[:, 2:], -limit, limit)) * self._anchors_wh_px[anchor]

    def _blended(
        self, centre: Float32, sides: Float32, prior_xy_px: Float32, inv_var: Float32
    ) -> Float32:
        """Boxes whose centres are means of the head's and the prior's: see `decode`.

        In one fraction, so that a prior of inv_var 0 needs no division by it.
        """
        area = sides[:, 0] * sides[:, 1]
        own = inv_var * (self._centre_var * area + self._floor_var_px2)
        trust = own / (1 + inv_var * self._click_var * area + own)  # in the prior
        moved = centre + trust[:, None] * (prior_xy_px - centre)
        boxes: Float32 = np.concatenate([moved - sides / 2, moved + sides / 2], 1)
        return boxes


def _single(weights: Float64) -> Float32:
    return np.asarray(weights, np.float32)


def _shortlist(
    similarity: Float32,
    window: WindowMaps,
    square: Slices,
    log_prior: Sequence[Float32],
    count: int,
) -> NDArray[np.intp]:
    """The best cells of a square by their secants and the prior; [count] flat indices.

    Args:
        similarity: [Hg, Wg].
        window: of the clicks.
        square: which part of it.
        log_prior: of each row [Hg] and column [Wg].
        count: at most as many as the square has.
    """
    rows, columns = square
    secants = window.rate[:, rows, columns] * similarity[square]
    secants += window.base[:, rows, columns]
    score = secants.max(0)
    score += log_prior[0][rows, None]
    score += log_prior[1][columns]
    row, column = np.divmod(largest(score.ravel(), count), score.shape[1])
    found: NDArray[np.intp] = (row + rows.start) * similarity.shape[1] + column + columns.start
    return found


def _reach_cells(spread: float, inv_var: float) -> int:
    """Cells on each side of a prior's own that its shortlist lies within.

    A cell at distance d has a logit of at most its best secant less d^2 inv_var / 2, and the best
    secants of two cells differ by `spread` at most. As many cells as the shortlist holds lie within
    r = `SHORTLIST_RADIUS_CELLS`. So none is in it with (d^2 - r^2) inv_var / 2 > spread.

    Args:
        spread: of a window.
        inv_var: of the prior, per square cell.
    """
    return math.ceil(math.sqrt(2 * spread / inv_var + SHORTLIST_RADIUS_CELLS**2))
