"""A batch of windows against each window alone, as the acceptance compares them, on the host."""

from __future__ import annotations

import pytest

from benchmarks.gpu.tile_attention_trial import check_batch
from export.plugin import cuda_op

# 20 shares of a window: 16 windows between cosines and ranks, 26 between these and answers
MIXED = (16, 16, (32, 40)), 45


def test_a_batch_of_many_windows_answers_as_each_alone(host_kernels):
    given = {"turns": 1, "device": "cpu", "variants": ["detgeo"]}
    values, requirements = check_batch(host_kernels, *MIXED, **given)
    assert values == {"windows": 45} and requirements == []


def test_a_window_that_takes_anothers_place_is_noticed(host_kernels, monkeypatch):
    right = cuda_op.run_kernel

    def confused(library, inputs, settings):
        answers = right(library, inputs, settings)
        if inputs[0].dim() == 2:
            return answers
        return tuple(answer.roll(1, 0) for answer in answers)

    monkeypatch.setattr(cuda_op, "run_kernel", confused)
    with pytest.raises(RuntimeError, match="window 0 answers otherwise in a batch"):
        check_batch(host_kernels, (16, 16, (4, 4)), 3, turns=1, device="cpu")
