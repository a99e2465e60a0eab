"""Features in INT8 at the TensorRT executors: copied as they are, float16 by the kernel."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from edge.bundle import ENCODER
from edge.errors import ExecutorError
from edge.feature_quantization import dequantized

FEATURES = ("v", "u")


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"], indirect=True)
@pytest.mark.parametrize("backend", ["cuda-python", "pycuda"], indirect=True)
@pytest.mark.parametrize("memory_kind", ["discrete", "integrated"], indirect=True)
@pytest.mark.parametrize("graphs", [True, False])
def test_the_device_has_the_float16_of_the_host(rig, inputs, feature, stored, reference, graphs):
    with rig.open(graphs=graphs) as executor:
        for seed, window in ((1, stored(1)), (2, feature(2)), (3, stored(3))):
            executor.bind(window)
            for name, wanted in dequantized(window).items():
                place = executor._engine.buffers._places[name]
                found = rig.gpu.view(place.address, wanted.nbytes)
                assert np.array_equal(found, wanted.view(np.uint8).ravel()), name
            asked = inputs(seed, seed)
            for name, value in reference.run({**asked, **dequantized(window)}).items():
                np.testing.assert_allclose(executor.run(asked)[name], value, atol=1e-5)
        assert rig.gpu.kernels.launches == 4
    gc.collect()
    rig.gpu.assert_all_is_given_back()


def test_half_the_bytes_are_copied_and_nothing_is_multiplied_here(rig, stored, products):
    window = stored(1)
    with rig.open() as executor:
        copied: list[int] = []
        copy = rig.gpu.copy_in
        rig.gpu.copy_in = lambda to, p, size, stream: (
            copied.append(size) or copy(to, p, size, stream)
        )
        executor.bind(window)
        assert sorted(copied) == sorted(value.nbytes for value in window.values())
        copied.clear()
        executor.bind(dict(window))
        assert not copied and rig.gpu.kernels.launches == 2, "it lies there already"
        executor.bind({**window, "v.scale": window["v.scale"].copy()})
        assert rig.gpu.kernels.launches == 3, "another scale makes another feature"
    assert not products


def test_memory_is_taken_once_and_only_for_int8(rig, inputs, feature, stored):
    with rig.open() as executor:
        executor.bind(feature(1))
        executor.run(inputs(2))
        before = executor.device_memory
        assert not rig.gpu.kernels.modules and "cuModuleLoadData" not in rig.gpu.counts
        executor.bind(stored(1))
        memory, calls = executor.device_memory, dict(rig.gpu.counts)
        levels = max(stored(1)[name].size for name in FEATURES)
        room = memory.buffers_bytes - before.buffers_bytes
        assert levels < room < 1.1 * levels + 256
        assert memory.buffers_bytes + memory.scratch_bytes == rig.gpu.used_bytes
        for seed in range(2, 6):
            executor.bind(stored(seed))
            executor.run(inputs(3))
        for call in ("cuMemAlloc", "cuMemHostAlloc", "cuModuleLoadData", "cuModuleGetFunction"):
            assert rig.gpu.counts.get(call) == calls.get(call), call
        assert executor.device_memory == memory


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"], indirect=True)
@pytest.mark.parametrize("backend", ["cuda-python", "pycuda"], indirect=True)
@pytest.mark.parametrize("graphs", [True, False])
def test_what_expects_int8_takes_all_at_opening(rig, inputs, stored, reference, graphs):
    with rig.open(graphs=graphs, int8=True) as executor:
        memory, calls = executor.device_memory, dict(rig.gpu.counts)
        assert memory.buffers_bytes + memory.scratch_bytes == rig.gpu.used_bytes
        assert rig.gpu.kernels.launches == 2, "a driver may load a kernel with its first launch"
        for seed in (1, 2):
            window, asked = stored(seed), inputs(seed, seed)
            executor.bind(window)
            for name, value in reference.run({**asked, **dequantized(window)}).items():
                np.testing.assert_allclose(executor.run(asked)[name], value, atol=1e-5)
        for call in ("cuMemAlloc", "cuMemHostAlloc", "cuModuleLoadData", "cuModuleGetFunction"):
            assert rig.gpu.counts.get(call) == calls.get(call), call
        assert executor.device_memory == memory
        assert rig.gpu.kernels.launches == 6
    gc.collect()
    rig.gpu.assert_all_is_given_back()


@pytest.mark.parametrize("backend", ["cuda-python", "pycuda"], indirect=True)
@pytest.mark.parametrize("call", ["cuModuleLoadData", "cuLaunchKernel"])
def test_a_kernel_that_is_refused_at_opening_leaves_nothing(rig, call):
    rig.gpu.fail[call] = 222
    with pytest.raises(ExecutorError, match=f"{call} failed") as caught:
        rig.open(int8=True)
    assert "--features float16" in caught.value.do
    del caught
    gc.collect()
    rig.gpu.assert_all_is_given_back()


def test_an_encoder_reads_no_store(rig):
    with rig.open(ENCODER, int8=True):
        assert not rig.gpu.kernels.modules


def test_levels_lent_to_one_run_do_not_replace_the_bound_ones(rig, inputs, stored, reference):
    bound, asked = stored(1), inputs(2)
    lent = {name: value.copy() for name, value in stored(2).items()}
    with rig.open() as executor:
        executor.bind(bound)
        for change in (1, -1):
            lent["v"][:] = change * lent["v"]  # its owner may write into it
            found = executor.run({**asked, **lent})
            for name, value in reference.run({**asked, **dequantized(lent)}).items():
                np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
        found = executor.run(asked)
        for name, value in reference.run({**asked, **dequantized(bound)}).items():
            np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("call", ["cuModuleLoadData", "cuMemAlloc", "cuLaunchKernel"])
def test_a_device_that_refuses_the_kernel_is_an_error_and_no_old_answer(
    rig, inputs, feature, stored, reference, call
):
    window, asked = stored(2), inputs(2)
    with rig.open() as executor:
        executor.bind(feature(1))
        rig.gpu.fail[call] = 700
        with pytest.raises(ExecutorError, match=f"{call} failed"):
            executor.bind(window)
        with pytest.raises(ExecutorError, match=f"{call} failed"):
            executor.run(asked)
        rig.gpu.fail.clear()
        found = executor.run(asked)
        for name, value in reference.run({**asked, **dequantized(window)}).items():
            np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
