"""Products in pieces: the same numbers, and no thread of BLAS beside the one that asks."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from edge.cores import BLAS_VARIABLE
from edge.machine import usable_cores
from edge.small_products import MOST_MULTIPLICATIONS, MOST_ROWS, product


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 9, 17, 64])
@pytest.mark.parametrize(("depth", "columns"), [(128, 16_384), (64, 128), (7, 1), (1, 5000)])
def test_it_is_the_product(rows, depth, columns):
    rng = np.random.default_rng(rows)
    left, right = (rng.normal(size=x).astype(np.float32) for x in ((rows, depth), (depth, columns)))
    found = product(left, right)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, left.astype(np.float64) @ right, rtol=1e-4, atol=1e-4)


def test_no_piece_is_a_vector_or_large(monkeypatch):
    asked = []
    inner = np.matmul
    monkeypatch.setattr(
        np, "matmul", lambda a, b, out: asked.append((a, b)) or inner(a, b, out=out)
    )
    for rows in range(1, 40):
        product(np.ones((rows, 128), np.float32), np.ones((128, 3000), np.float32))
    assert {len(a) for a, _ in asked} <= set(range(2, MOST_ROWS + 1))
    assert max(a.size * b.shape[1] for a, b in asked) <= MOST_MULTIPLICATIONS


SCRIPT = """
import time
import numpy as np
from edge.small_products import product
rng = np.random.default_rng(0)
v = rng.normal(size=(128, 16384)).astype(np.float32)
asked = [rng.normal(size=(n, 128)).astype(np.float32) for n in (1, 8, 16)]
[product(q, v) for q in asked]
wall, own = time.perf_counter(), time.process_time()
for _ in range(100):
    [product(q, v) for q in asked]
print((time.process_time() - own) / (time.perf_counter() - wall))
"""


@pytest.mark.skipif(usable_cores() < 2, reason="BLAS has one thread there anyway")
def test_one_thread_does_it_whatever_blas_may_use():
    free = {k: v for k, v in os.environ.items() if k not in (BLAS_VARIABLE, "OMP_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=free, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 1.4, "processor time over wall time; two threads would have 2"
