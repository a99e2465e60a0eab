"""Matrix products in pieces so small that BLAS neither shares them out nor lays them out anew.

OpenBLAS, which numpy brings, shares a product of 2^19 multiplications and more out among threads of
its own, and of a matrix with a vector nearly every one. After it they wait in circles for the next,
on the cores of ONNX Runtime's: 8 clicks of a frame took 60 ms for 30. And a large matrix it lays
out anew for every product with it; a small one it takes as it lies, in 60 % of the time.
"""

from __future__ import annotations

import numpy as np

from edge.types import Float32

MOST_MULTIPLICATIONS = 15 << 15  # of a piece
MOST_ROWS = 8  # of the left matrix in a piece
LEAST_ROWS = 2  # one alone would be a vector


def product(left: Float32, right: Float32) -> Float32:
    """left right, of [M, K] and [K, N], by the thread that asks. [M, N]"""
    rows, depth = left.shape
    if rows < LEAST_ROWS:
        return product(np.concatenate([left, left]), right)[:rows]
    made = np.empty((rows, right.shape[1]), np.float32)
    wide = max(1, MOST_MULTIPLICATIONS // (min(rows, MOST_ROWS) * depth))
    # As even as can be: a last group of one row would be a vector.
    groups = np.array_split(np.arange(rows), -(-rows // MOST_ROWS))
    for start in range(0, right.shape[1], wide):
        columns = slice(start, start + wide)
        for group in groups:
            some = slice(int(group[0]), int(group[-1]) + 1)
            np.matmul(left[some], right[:, columns], out=made[some, columns])
    return made
