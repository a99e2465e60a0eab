"""The checks of features in INT8, on a fake GPU that runs the committed kernel."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from fake_engines import install
from fake_gpu import FakeGpu

from benchmarks.acceptance_record import Skip
from benchmarks.gpu import dequantise_trial
from benchmarks.gpu.dequantise_trial import SCALES, SIZES, case, check, time_features
from edge.executors import dequantiser

SMALL = ((9, 7, 11), (8, 1, 1), (1, 1, 1025))


@pytest.fixture
def gpu(monkeypatch):
    made = FakeGpu()
    install(monkeypatch, made)
    monkeypatch.setattr(dequantise_trial, "SIZES", SMALL)
    monkeypatch.setattr(dequantise_trial, "LITE", ((4, 16, 16), (2, 16, 16)))
    yield made
    made.assert_all_is_given_back()
    assert made.retained == 0


def test_the_kernel_is_right(gpu):
    values, (differing,) = check(2)
    assert values == {"values": 2 * sum(int(np.prod(shape)) for shape in SMALL)}
    assert differing.met and differing.value == 0
    assert gpu.kernels.launches == 2 * len(SMALL)


@pytest.mark.parametrize(
    ("right", "wrong"), [("ld.global.s8", "ld.global.u8"), ("mul.f32", "add.f32")]
)
def test_a_wrong_kernel_is_noticed(gpu, monkeypatch, tmp_path, right, wrong):
    text = dequantiser.KERNEL_FILE.read_text()
    assert right in text
    (tmp_path / "wrong.ptx").write_text(text.replace(right, wrong))
    monkeypatch.setattr(dequantiser, "KERNEL_FILE", tmp_path / "wrong.ptx")
    _, (differing,) = check(1)
    assert not differing.met and differing.value > 100


def test_times_are_those_of_all_that_is_enqueued(gpu):
    """By the fake's clock, which ticks once for each piece of work and each mark."""
    values, (share,) = time_features()
    assert values == {"float16, us": 3000.0, "int8, us": 7000.0, "kernel alone, us": 3000.0}
    assert share.value == pytest.approx(7 / 3) and not share.met


def test_levels_and_scales_reach_what_is_hard():
    levels, scale = case(SIZES[0], 0)
    assert levels.dtype == np.int8 and levels.min() == -128 and levels.max() == 127
    assert scale[: len(SCALES)].tolist() == np.float16(SCALES).tolist()
    assert 0 < scale[1] < np.finfo(np.float16).tiny and scale[len(SCALES) - 1] == 65504
    assert case((2, 1, 1), 0)[1].shape == (2,)


def test_without_a_driver_it_is_skipped(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    with pytest.raises(Skip, match="the device backend cuda-python is not available"):
        check(1)


def test_it_needs_little():
    code = (
        "import sys, edge.devices.cuda_python, edge.executors.dequantiser\n"
        "import edge.feature_quantization, benchmarks.gpu.dequantise_trial\n"
        "heavy = {'cv2', 'msgspec', 'onnx', 'onnxruntime', 'rich', 'click', 'torch'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
