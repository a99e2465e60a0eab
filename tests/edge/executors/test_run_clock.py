"""What executors say of where the time of their runs went."""

from __future__ import annotations

import gc

import pytest

from edge.bundle import LOCALIZER
from edge.devices.base import DeviceOptions
from edge.errors import ExecutorError
from edge.executors.base import open_executor
from edge.executors.run_clock import RunClock

ON_BOTH = pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"], indirect=True)


def timed(rig, backend="cuda-python", *, graphs=True):
    options = DeviceOptions(backend, graphs, timed=True)
    return open_executor(rig.name, rig.bundle, LOCALIZER, "fp32", 2, options)


@pytest.mark.parametrize("name_on_cpu", ["onnxruntime", "reference"])
def test_on_the_cpu_only_the_engine_is_known(tiny_bundle, inputs, feature, name_on_cpu):
    executor = open_executor(name_on_cpu, tiny_bundle, LOCALIZER)
    executor.bind(feature())
    assert executor.clock.engine_ns == 0
    executor.run(inputs(2))
    first_ns = executor.clock.engine_ns
    assert first_ns > 0
    executor.run(inputs(2))
    assert executor.clock.engine_ns > first_ns, "runs are summed, so that those in parts count"
    assert (executor.clock.copy_ns, executor.clock.gpu_ns) == (None, None)


@ON_BOTH
@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("memory_kind", ["discrete", "integrated"], indirect=True)
def test_events_tell_engine_and_copies_apart(rig, inputs, feature, graphs, memory_kind):
    with timed(rig, graphs=graphs) as executor:
        executor.bind(feature())
        before = executor.clock.gpu_ns or 0
        executor.run(inputs(4))
        # The fake's clock ticks once for each piece of work: the mark before it, and the engine.
        assert executor.clock.gpu_ns - before == 2_000_000
        copies = sum(place.host is not None for place in executor._engine.buffers._places.values())
        least_ns = 0 if memory_kind == "integrated" else copies * 1_000_000
        assert executor.clock.copy_ns > least_ns
        executor.run(inputs(4))
        assert executor.clock.gpu_ns - before == 4_000_000
    gc.collect()
    rig.gpu.assert_all_is_given_back()


@ON_BOTH
def test_who_does_not_measure_pays_for_no_events(rig, inputs, feature):
    with rig.open() as executor:
        executor.bind(feature())
        executor.run(inputs(4))
        assert not any("Event" in call for call in rig.gpu.counts), rig.gpu.counts
        assert executor.clock.engine_ns > 0
        assert (executor.clock.copy_ns, executor.clock.gpu_ns) == (None, None)


def test_pycuda_tells_what_it_cannot_do(rig):
    with pytest.raises(ExecutorError, match="pycuda cannot set a mark within a CUDA graph"):
        timed(rig, "pycuda")
    gc.collect()
    rig.gpu.assert_all_is_given_back()
    with timed(rig, "pycuda", graphs=False) as executor:
        assert executor.click_limit == 64


def test_a_feature_that_goes_to_the_device_is_a_copy(rig, feature):
    with timed(rig) as executor:
        window = feature()
        executor.bind(window)
        uploaded_ns = executor.clock.copy_ns
        assert uploaded_ns > 0
        executor.bind(window)
        assert executor.clock.copy_ns == uploaded_ns, "it lies there already"


def test_device_copies_are_taken_out_of_the_time_of_the_engine():
    clock = RunClock()
    clock.add_upload(5)
    assert clock.copy_ns is None, "where copies are not told apart, an upload alone says little"
    clock.add_device(engine_ns=100, staging_ns=7, copies_ns=30, gpu_ns=60)
    assert (clock.engine_ns, clock.copy_ns, clock.gpu_ns) == (70, 37, 60)
    clock.add_upload(5)
    clock.add_device(engine_ns=10, staging_ns=1, copies_ns=30, gpu_ns=6)  # events round
    assert (clock.engine_ns, clock.copy_ns, clock.gpu_ns) == (70, 73, 66)
