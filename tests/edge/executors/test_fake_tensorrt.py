"""The fakes must catch what they are for: each test breaks the executor in one place.

Every one of these mistakes would go unseen by a fake that only records calls; on a device they are
stale answers, crashes or memory that belongs to another.
"""

from __future__ import annotations

import gc

import numpy as np
import pytest
from fake_gpu import BrokenRuleError
from fake_tensorrt import FORBIDDEN

from edge.bundle import LOCALIZER
from edge.devices.cuda_python import CudaPythonDevice
from edge.errors import ExecutorError
from edge.executors.device_buffers import DeviceBuffers
from edge.executors.loaded_engine import LoadedEngine
from edge.executors.trt_contexts import ClickContexts
from edge.executors.trt_runtime import TensorRt


def agrees(executor, reference, asked, window) -> bool:
    expected = reference.run({**asked, **window})
    found = executor.run(asked)
    return all(np.allclose(found[name], expected[name], atol=1e-5) for name in expected)


@pytest.fixture
def running(rig, inputs, feature, reference):
    """An executor, and whether its next answer is right."""
    executor, window = rig.open(), feature()
    executor.bind(window)
    seeds = iter(range(100, 200))
    yield executor, lambda count=3: agrees(executor, reference, inputs(count, next(seeds)), window)
    executor.close()


def test_unbroken_it_is_right(running):
    _, is_right = running
    assert is_right()
    assert is_right(17)


def test_a_skipped_synchronisation_gives_stale_answers(running, monkeypatch):
    executor, is_right = running
    with monkeypatch.context() as patch:
        patch.setattr(executor._engine, "synchronise", lambda: None)
        assert not is_right()
        assert not is_right()
    assert is_right(), "what was left is waited for"


def test_a_skipped_copy_in_gives_wrong_answers(rig, inputs, feature, reference, monkeypatch):
    window = feature()
    with rig.open(graphs=False) as executor:
        executor.bind(window)
        monkeypatch.setattr(DeviceBuffers, "copy_in", lambda self, bucket: None)
        assert not agrees(executor, reference, inputs(3), window)


def test_a_skipped_upload_gives_wrong_answers(running, feature, monkeypatch, inputs, reference):
    executor, is_right = running
    assert is_right()
    monkeypatch.setattr(DeviceBuffers, "upload", lambda *given: None)
    executor.bind(feature(5))
    assert not agrees(executor, reference, inputs(3), feature(5))


def test_padding_that_claims_a_prior_would_be_seen_by_its_bytes(running):
    """Padded rows never come back, so their content is looked at where it lies."""
    executor, is_right = running
    assert is_right(3)
    place = executor._engine.buffers._twin("prior_inv_var", 4)
    assert place[3] == 0
    clicks = executor._engine.buffers._twin("click_xy_px", 4)
    assert np.array_equal(clicks[3], clicks[2])


def test_a_dropped_buffer(running, rig, inputs):
    executor, _ = running
    address = executor._engine.buffers.addresses["frame"]
    with pytest.raises(BrokenRuleError, match="while a context may use it"):
        rig.gpu.free(address)
    held = rig.gpu.memory.pop(address)  # as if it had been freed all the same
    with pytest.raises(BrokenRuleError, match="lies in no live allocation"):
        executor.run(inputs(1))
    rig.gpu.memory[address] = held
    for stream in rig.gpu.streams.values():
        stream.queue.clear()


def test_a_buffer_that_is_too_small(rig, monkeypatch):
    allocate = CudaPythonDevice.allocate
    monkeypatch.setattr(CudaPythonDevice, "allocate", lambda self, size: allocate(self, size // 2))
    with pytest.raises(BrokenRuleError, match="do not fit its allocation"):
        rig.open()


def test_an_engine_before_its_plugin(rig, monkeypatch):
    from fake_engines import PLUGIN, write_fake_engine

    from edge.engine_manifest import engines_folder

    for folder in engines_folder(rig.bundle).iterdir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    write_fake_engine(rig.bundle, LOCALIZER, plugin=PLUGIN)
    monkeypatch.setattr(TensorRt, "load_plugin", lambda self, folder, manifest, rebuild: None)
    with pytest.raises(ExecutorError, match="refuses the engine") as caught:
        rig.open()
    assert "could not find TileAttention" in caught.value.found


def test_shapes_before_their_profile(rig, monkeypatch):
    from fake_trt_context import IExecutionContext

    monkeypatch.setattr(
        IExecutionContext, "set_optimization_profile_async", lambda self, profile, stream: True
    )
    with pytest.raises(BrokenRuleError, match="before the profile"):
        rig.open()


@pytest.mark.parametrize(
    ("call", "result", "text"),
    [
        ("set_input_shape", True, "without the shape of"),
        ("set_tensor_address", True, "without an address for"),
        ("set_device_memory", None, "of scratch memory"),
    ],
)
def test_a_run_without_its_preparation(rig, monkeypatch, call, result, text):
    from fake_trt_context import IExecutionContext

    monkeypatch.setattr(IExecutionContext, call, lambda self, *arguments: result)
    with pytest.raises(BrokenRuleError, match=text):
        rig.open()


def test_a_capture_without_a_warm_up(rig, monkeypatch):
    monkeypatch.setattr(LoadedEngine, "_warm_up", lambda self, bucket: None)
    with pytest.raises(BrokenRuleError, match="the first run of a context is captured"):
        rig.open()


def test_a_synchronisation_within_a_capture(rig, monkeypatch):
    enqueue = ClickContexts.enqueue

    def waits(self, bucket, stream):
        enqueue(self, bucket, stream)
        if rig.gpu.capturing:
            rig.gpu.synchronise(stream)

    monkeypatch.setattr(ClickContexts, "enqueue", waits)
    with pytest.raises(Exception, match="STREAM_CAPTURE_UNSUPPORTED"):
        rig.open()


def test_an_address_that_changes_after_the_capture(running, rig, inputs):
    executor, is_right = running
    assert is_right()
    context = executor._engine.contexts._contexts[4]
    there = executor._engine.buffers.addresses["frame"]
    context.set_tensor_address("frame", executor._engine.buffers.addresses["v"])
    with pytest.raises(BrokenRuleError, match="after its addresses were changed"):
        executor.run(inputs(3))
    context.set_tensor_address("frame", there)


def test_memory_that_ends_before_its_contexts(rig, monkeypatch):
    executor = rig.open()
    with (
        executor._device.current(),
        pytest.raises(BrokenRuleError, match="while a context may use it"),
    ):
        executor._engine.buffers.free()
    monkeypatch.undo()
    executor._engine.buffers._places.clear()
    executor.close()


def test_an_engine_that_ends_before_its_contexts(rig, monkeypatch):
    monkeypatch.setattr(ClickContexts, "close", lambda self: None)
    executor = rig.open()
    rig.gpu.users.clear()  # let the memory go, to get as far as the engine
    executor.close()
    assert any("ICudaEngine ended while 4 of its own" in each for each in rig.gpu.violations)
    del executor
    gc.collect()
    assert any("IExecutionContext outlived its owner" in each for each in rig.gpu.violations)
    rig.gpu.violations.clear()
    rig.gpu.users.clear()


def test_a_context_of_another_thread_is_not_enough(rig):
    executor = rig.open()
    engine = executor._engine
    with pytest.raises(ExecutorError, match="CUDA_ERROR_INVALID_CONTEXT"):
        engine.enqueue(1)  # the device is current within `bind` and `run` alone
    executor.close()


@pytest.mark.parametrize("name_of_builder", FORBIDDEN)
def test_touching_a_builder(rig, name_of_builder):
    with pytest.raises(BrokenRuleError, match="must never build"):
        getattr(rig.trt, name_of_builder)
    assert not hasattr(rig.trt, "nothing_of_that_name")
