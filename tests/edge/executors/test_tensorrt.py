"""What runs, what is copied, and when: the TensorRT executors on a fake GPU.

Answers are compared with ONNX Runtime on the same graph; tests/edge/test_executors.py holds these
executors to the contract of all. How strict the fakes are is tested in test_fake_tensorrt.py.
"""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import numpy as np
import pytest
from fake_engines import BUCKETS, write_fake_engine

import edge
from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from edge.errors import ClickError, ExecutorError
from edge.executors.base import open_executor
from edge.executors.device_buffers import ON_REQUEST
from edge.executors.tensorrt import TensorRtExecutor

WORK = ("cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "execute_async_v3", "cuGraphLaunch")
everywhere = [
    pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"], indirect=True),
    pytest.mark.parametrize("backend", ["cuda-python", "pycuda"], indirect=True),
    pytest.mark.parametrize("memory_kind", ["discrete", "integrated"], indirect=True),
    pytest.mark.parametrize("graphs", [True, False]),
]


def on_every_device(test):
    for mark in everywhere:
        test = mark(test)
    return test


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)


def work_of(gpu, action):
    """How often each call was made by `action`."""
    before = dict(gpu.counts)
    action()
    return {call: gpu.counts.get(call, 0) - before.get(call, 0) for call in WORK}


@on_every_device
def test_any_number_of_clicks_is_answered_as_onnx_runtime_answers(
    rig, inputs, feature, reference, graphs
):
    window = feature()
    with rig.open(graphs=graphs) as executor:
        executor.bind(window)
        for count in (1, 2, 4, 5, 17, 64, 3):
            asked = inputs(count, count)
            assert_same(executor.run(asked), reference.run({**asked, **window}))
    gc.collect()
    rig.gpu.assert_all_is_given_back()


@on_every_device
def test_the_encoder(rig, graphs, tiny_bundle):
    image = np.random.default_rng(3).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    with rig.open(ENCODER, graphs=graphs) as executor:
        expected = open_executor("onnxruntime", tiny_bundle, ENCODER).run({"image": image})
        assert_same(executor.run({"image": image}), expected)


def test_the_shipped_localizer(rig):
    """At its real sizes, whose names and shapes a tiny bundle cannot vouch for."""
    bundle = Bundle.open(shipped_bundle_path())
    write_fake_engine(bundle, LOCALIZER, click_buckets=(1, 4))
    random, spec = np.random.default_rng(0), bundle.manifest
    asked = {
        "frame": random.integers(0, 256, (spec.frame.height_px, spec.frame.width_px, 3), np.uint8),
        "frame_affine": np.array([[1, 0, 0], [0, 1, 0]], np.float32),
        "click_xy_px": random.uniform(0, 500, (3, 2)).astype(np.float32),
        "prior_xy_px": np.zeros((3, 2), np.float32),
        "prior_inv_var": np.zeros(3, np.float32),
        **{each.name: random.normal(size=each.shape).astype("f2") for each in spec.features},
    }
    rig.gpu.total_bytes = 1 << 32
    with open_executor("tensorrt", bundle, LOCALIZER) as executor:
        assert_same(executor.run(asked), open_executor("onnxruntime", bundle, LOCALIZER).run(asked))


def test_a_run_is_one_launch_and_copies_nothing_beside_it(rig, inputs, feature):
    with rig.open() as executor:
        executor.bind(feature())
        asked = inputs(3)
        numbers = [spec.name for spec in executor.outputs if spec.name not in ON_REQUEST]
        found = work_of(rig.gpu, lambda: executor.run(asked, numbers))
        assert found == dict(zip(WORK, (0, 0, 0, 1), strict=True))
        assert len(rig.gpu.graphs) == len(BUCKETS)
        found = work_of(rig.gpu, lambda: executor.run(asked, ["attention"]))
        assert found == dict(zip(WORK, (0, 1, 0, 1), strict=True))


def test_without_graphs_all_of_it_is_enqueued_anew(rig, inputs, feature):
    with rig.open(graphs=False) as executor:
        executor.bind(feature())
        found = work_of(rig.gpu, lambda: executor.run(inputs(3), ["box_xyxy_px"]))
        assert found == dict(zip(WORK, (5, 5, 1, 0), strict=True))
        assert not rig.gpu.graphs


@pytest.mark.parametrize("memory_kind", ["integrated"], indirect=True)
def test_on_an_integrated_gpu_nothing_but_features_is_copied(rig, inputs, feature):
    with rig.open(graphs=False) as executor:
        found = work_of(rig.gpu, lambda: executor.bind(feature()))
        assert found["cuMemcpyHtoDAsync"] == 2
        found = work_of(rig.gpu, lambda: executor.run(inputs(3), ["box_xyxy_px"]))
        assert found == dict(zip(WORK, (0, 0, 1, 0), strict=True))
        assert all(each.mapped for each in rig.gpu.memory.values() if each.host)


def test_features_are_copied_when_bound_and_only_then(rig, inputs, feature, reference):
    first, second = feature(1), feature(2)
    with rig.open() as executor:
        assert work_of(rig.gpu, lambda: executor.bind(first))["cuMemcpyHtoDAsync"] == 2
        assert not work_of(rig.gpu, lambda: executor.run(inputs(1)))["cuMemcpyHtoDAsync"]
        again = dict(first)  # another mapping of the same arrays
        assert not any(work_of(rig.gpu, lambda: executor.bind(again)).values())
        assert work_of(rig.gpu, lambda: executor.bind(second))["cuMemcpyHtoDAsync"] == 2
        asked = inputs(2)
        assert_same(executor.run(asked), reference.run({**asked, **second}))


def test_a_feature_lent_to_one_run_does_not_replace_the_bound_one(rig, inputs, feature, reference):
    bound, lent, asked = feature(1), feature(2), inputs(2)
    with rig.open() as executor:
        executor.bind(bound)
        assert_same(executor.run({**asked, **lent}), reference.run({**asked, **lent}))
        lent["v"] *= -1  # its owner may write into it
        assert_same(executor.run({**asked, **lent}), reference.run({**asked, **lent}))
        assert_same(executor.run(asked), reference.run({**asked, **bound}))


def test_a_feature_that_is_no_contiguous_array(rig, inputs, feature, reference):
    window, asked = feature(), inputs(2)
    turned = {name: value[:, ::-1] for name, value in window.items()}
    with rig.open() as executor:
        executor.bind(turned)
        assert_same(executor.run(asked), reference.run({**asked, **turned}))


def test_answers_are_not_overwritten_by_the_next_run(rig, inputs, feature):
    with rig.open() as executor:
        executor.bind(feature())
        first = executor.run(inputs(2, 1))
        kept = {name: value.copy() for name, value in first.items()}
        executor.run(inputs(2, 2))
        assert all(np.array_equal(first[name], kept[name]) for name in kept)


def test_a_refused_run_is_an_error_and_never_an_old_answer(rig, inputs, feature, reference):
    window, asked = feature(), inputs(2)
    with rig.open(graphs=False) as executor:
        executor.bind(window)
        executor.run(inputs(2, 9))
        rig.trt.knobs.refuse_enqueue = True
        with pytest.raises(ExecutorError, match=r"tensorrt 10\.3\.0 refuses to run") as caught:
            executor.run(asked)
        assert caught.value.expected == "a run with 4 clicks"
        rig.trt.knobs.refuse_enqueue = False
        assert_same(executor.run(asked), reference.run({**asked, **window}))


@pytest.mark.parametrize("call", ["cuGraphLaunch", "cuStreamSynchronize"])
def test_a_device_that_fails_is_an_error(rig, inputs, feature, call):
    with rig.open() as executor:
        executor.bind(feature())
        rig.gpu.fail[call] = 700
        with pytest.raises(ExecutorError, match=f"{call} failed") as caught:
            executor.run(inputs(1))
        assert "CUDA_ERROR_ILLEGAL_ADDRESS" in caught.value.found
        rig.gpu.fail.clear()
        assert len(executor.run(inputs(1))["box_xyxy_px"]) == 1, "what was left is waited for"


def test_more_clicks_than_the_largest_bucket(rig, inputs, feature):
    with rig.open() as executor:
        executor.bind(feature())
        with pytest.raises(ClickError, match="65 clicks in one frame are more than") as caught:
            executor.run(inputs(65))
        assert caught.value.expected == "at most 64: its click buckets are 1, 4, 16, 64"
        assert "in parts of at most 64" in caught.value.do
        assert "--buckets" in caught.value.do


def test_an_output_that_is_none(rig, inputs, feature):
    with rig.open() as executor:
        executor.bind(feature())
        with pytest.raises(ExecutorError, match="has no output 'boxes'") as caught:
            executor.run(inputs(1), ["boxes"])
        assert "box_xyxy_px" in caught.value.expected


def test_memory_is_accounted(rig):
    with rig.open() as executor:
        memory = executor.device_memory
        assert memory.buffers_bytes + memory.scratch_bytes == rig.gpu.used_bytes
        assert memory.pinned_bytes == sum(
            each.data.size for each in rig.gpu.memory.values() if each.host
        )
        assert memory.scratch_bytes == 64 * 4096, "of the neediest profile, and not the sum"
        assert memory.weights_bytes > 0
        assert memory.total_bytes == rig.gpu.used_bytes + memory.weights_bytes
        before = rig.gpu.used_bytes
    assert rig.gpu.used_bytes == 0 < before


def test_an_executor_that_was_closed(rig, inputs, feature):
    executor = rig.open()
    executor.bind(feature())
    executor.close()
    executor.close()
    gc.collect()
    rig.gpu.assert_all_is_given_back()
    assert rig.gpu.retained == 0
    for use in (lambda: executor.run(inputs(1)), lambda: executor.bind(feature())):
        with pytest.raises(ExecutorError, match="tensorrt cannot be used like this") as caught:
            use()
        assert caught.value.found == "one that was closed"


def test_a_forgotten_executor_gives_all_back(rig, inputs, feature):
    executor = rig.open()
    executor.bind(feature())
    executor.run(inputs(1))
    del executor
    gc.collect()
    rig.gpu.assert_all_is_given_back()


def test_any_thread_may_run_it(rig, inputs, feature, reference):
    window, asked, found = feature(), inputs(3), []
    with rig.open() as executor:
        executor.bind(window)
        thread = threading.Thread(target=lambda: found.append(executor.run(asked)))
        thread.start()
        thread.join()
        assert_same(found[0], reference.run({**asked, **window}))
        assert rig.gpu.depth == 0


def test_nothing_that_runs_on_board_knows_how_to_build():
    assert TensorRtExecutor.toolkit == "tensorrt"
    for path in Path(edge.__file__).parent.rglob("*.py"):
        text = path.read_text()
        assert "OnnxParser" not in text, path
        assert ".Builder(" not in text, path
