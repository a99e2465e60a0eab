"""A localizer whose graphs have threads apart from the one that asks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.bundle import LOCALIZER, Bundle, shipped_bundle_path
from edge.errors import ClickError, ExecutorError
from edge.executors.base import open_executor
from edge.executors.begun_run import BegunRun
from edge.executors.host_threads import HostThreads
from edge.executors.localizer_parts import LocalizerInParts
from edge.executors.onnxruntime import AFFINITIES, OnnxRuntimeExecutor

APART = HostThreads(spinning=False, apart=True)


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open(shipped_bundle_path())


@pytest.fixture(scope="module")
def alone(shipped) -> LocalizerInParts:
    return LocalizerInParts.open(shipped, LOCALIZER, "fp32", threads=1)


@pytest.fixture(scope="module")
def apart(shipped) -> LocalizerInParts:
    opened = open_executor("onnxruntime", shipped, LOCALIZER, threads=1, host=APART)
    assert isinstance(opened, LocalizerInParts)
    assert opened.apart
    return opened


@pytest.fixture(scope="module")
def window(alone) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    shapes = {spec.name: spec.shape for spec in alone.inputs if spec.name in ("v", "u")}
    made = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    made["v"] /= np.linalg.norm(made["v"], axis=0)
    return {name: value.astype(np.float16) for name, value in made.items()}


def asked(executor, clicks: int, seed: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = next(spec.shape for spec in executor.inputs if spec.name == "frame")
    return {
        "frame": rng.integers(0, 256, shape, np.uint8),
        "frame_affine": np.eye(2, 3, dtype=np.float32),
        "click_xy_px": rng.uniform(0, 500, (clicks, 2)).astype(np.float32),
        "prior_xy_px": rng.uniform(100, 900, (clicks, 2)).astype(np.float32),
        "prior_inv_var": np.full(clicks, 1e-3, np.float32),
    }


@pytest.mark.parametrize("clicks", [1, 3, 8])
def test_it_answers_as_without_them_click_for_click(alone, apart, window, clicks):
    frame = asked(alone, clicks)
    apart.keep_frame(frame["frame"])
    wanted, found = alone.run({**frame, **window}), apart.run({**frame, **window})
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        assert len(found[name]) == clicks, name
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_a_frame_is_begun_when_it_comes_and_read_once(apart, window, monkeypatch):
    begun, run = [], []
    begin, inner = apart._frame.begin, apart._frame.run
    monkeypatch.setattr(apart._frame, "begin", lambda x: begun.append(1) or begin(x))
    monkeypatch.setattr(apart._frame, "run", lambda x: run.append(1) or inner(x))
    first, second = asked(apart, 2, 1), asked(apart, 2, 2)
    apart.keep_frame(first["frame"])
    assert (len(begun), len(run)) == (1, 0), "before anybody asked"
    one = apart.run({**first, **window})
    again = apart.run({**first, **window})
    assert (len(begun), len(run)) == (1, 0)
    np.testing.assert_array_equal(one["box_xyxy_px"], again["box_xyxy_px"])
    apart.run({**second, **window})  # not told of: it may have been written to since
    assert (len(begun), len(run)) == (1, 1)
    apart.keep_frame(second["frame"])
    other = apart.run({**second, **window})
    assert (len(begun), len(run)) == (2, 1)
    assert not np.array_equal(one["query_vector"], other["query_vector"])


def test_a_frame_nobody_asks_about_is_over_before_the_next_begins(apart, window, monkeypatch):
    ended = []
    if apart._begun is not None:  # of another test
        apart._begun.wait()
        apart._begun = None
    wait = BegunRun.wait
    monkeypatch.setattr(BegunRun, "wait", lambda self: (wait(self), ended.append(self))[0])
    frames = [asked(apart, 2, seed) for seed in (1, 2, 3)]
    for frame in frames:
        apart.keep_frame(frame["frame"])
    assert len(ended) == 2
    assert all(each.ended for each in ended)
    found = apart.run({**frames[-1], **window})
    apart.keep_frame(frames[-1]["frame"].copy())
    np.testing.assert_array_equal(
        apart.run({**frames[-1], **window})["box_xyxy_px"], found["box_xyxy_px"]
    )


def test_only_the_time_of_waiting_counts(apart):
    frame = asked(apart, 2, 7)["frame"]
    (spec,) = apart._frame.inputs
    took_ns, waited_ns = [], []
    for _ in range(3):
        start_ns = time.perf_counter_ns()
        apart.keep_frame(frame)
        apart._begun.wait()
        took_ns.append(time.perf_counter_ns() - start_ns)
        before_ns = apart.clock.engine_ns
        apart._of_frame({spec.name: frame})
        waited_ns.append(apart.clock.engine_ns - before_ns)
    assert 0 <= min(waited_ns) < min(took_ns) / 10, "it had ended before anybody asked"


def test_the_thread_that_begins_is_free_meanwhile(apart):
    """It goes on at once, long before the graph has ended."""
    free = []
    for seed in range(5):  # this thread may be put off its core for as long as the graph takes
        frame = asked(apart, 2, seed)["frame"]
        apart.keep_frame(frame)
        free.append(not apart._begun.ended)
    assert any(free)


def test_a_localizer_may_go_amid_a_run(shipped):
    opened = LocalizerInParts.open(shipped, LOCALIZER, "fp32", 1, APART)
    opened.keep_frame(asked(opened, 2)["frame"])
    begun = opened._begun
    del opened
    assert begun.ended, "its session went with a run in its threads"


def test_no_clicks_and_wrong_shapes_are_refused_as_ever(apart, window):
    with pytest.raises(ClickError, match="zero clicks"):
        apart.run({**asked(apart, 0), **window})
    with pytest.raises(ExecutorError, match="'frame' does not fit"):
        apart.keep_frame(np.zeros((5, 5, 3), np.uint8))


def failing_graph(path):
    """y = x reshaped to a size that only some x have; ONNX Runtime finds out when it runs."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [3, 5])
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        "failing",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [shape],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_a_failure_is_told_where_the_answers_are_asked_for(tmp_path):
    executor = OnnxRuntimeExecutor(failing_graph(tmp_path / "f.onnx"), "fp32", 1, APART)
    good = executor.begin({"x": np.arange(15, dtype=np.float32)})
    np.testing.assert_array_equal(executor.end(good)["y"], np.arange(15).reshape(3, 5))
    bad = executor.begin({"x": np.arange(14, dtype=np.float32)})
    with pytest.raises(ExecutorError, match="ONNX Runtime failed in the graph") as caught:
        executor.end(bad)
    assert "outputs y" in str(caught.value.expected)
    assert "Reshape" in str(caught.value.found)


def test_a_session_that_refuses_to_begin_says_so_and_holds_nothing_up(tmp_path):
    executor = OnnxRuntimeExecutor(failing_graph(tmp_path / "f.onnx"), "fp32", threads=1)
    with pytest.raises(ExecutorError, match="ONNX Runtime failed in the graph") as caught:
        executor.begin({"x": np.arange(15, dtype=np.float32)})  # no thread but this one
    assert "RunAsync" in caught.value.found


def test_what_is_read_lives_as_long_as_the_run(apart, window):
    """The picture is given away and forgotten at once; other arrays take its memory."""
    picture = asked(apart, 2, 11)["frame"]
    (spec,) = apart._frame.inputs
    wanted = apart._frame.run({spec.name: picture})
    begun = apart._frame.begin({spec.name: picture.copy()})
    rubbish = [np.full_like(picture, value) for value in range(64)]
    found = apart._frame.end(begun)
    assert len(rubbish) == 64
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("host", "threads", "session_threads", "affinities"),
    [
        (HostThreads(), 2, 2, None),
        (APART, 1, 2, None),
        (HostThreads(apart=True, cores=(1,)), 1, 2, "2"),
        (HostThreads(apart=True, cores=(1, 2)), 2, 3, "2;3"),
        (HostThreads(cores=(1,)), 2, 2, "2"),  # the thread that asks is one of them
        (HostThreads(cores=(1,)), 1, 1, None),
    ],
)
def test_threads_apart_come_on_top_and_stay_on_their_cores(
    tmp_path, host, threads, session_threads, affinities
):
    executor = OnnxRuntimeExecutor(failing_graph(tmp_path / "f.onnx"), "fp32", threads, host)
    options = executor._session.get_session_options()
    assert options.intra_op_num_threads == session_threads
    if affinities is None:
        with pytest.raises(RuntimeError):
            options.get_session_config_entry(AFFINITIES)
    else:
        assert options.get_session_config_entry(AFFINITIES) == affinities


def test_a_graph_that_is_not_cut_runs_with_the_thread_that_asks(tiny_bundle):
    for name in ("onnxruntime", "reference"):
        opened = open_executor(name, tiny_bundle, LOCALIZER, threads=1, host=APART)
        graph = opened if name == "onnxruntime" else opened._graph
        assert graph._session.get_session_options().intra_op_num_threads == 1


SCRIPT = """
import numpy as np
from edge.bundle import shipped_bundle_path
from edge.bundle import LOCALIZER, Bundle
from edge.executors.host_threads import HostThreads
from edge.executors.localizer_parts import LocalizerInParts
bundle = Bundle.open(shipped_bundle_path())
opened = LocalizerInParts.open(bundle, LOCALIZER, "fp32", 1, HostThreads(apart=True))
(spec,) = opened._frame.inputs
for value in range(20):  # this thread may be put off its core for as long as the graph takes
    opened.keep_frame(np.full(spec.shape, value, np.uint8))
    if not opened._begun.ended:
        break
print(opened._begun.ended, flush=True)
"""


def test_a_program_may_end_amid_a_run():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "False\n", "the run was over before the program was"


def test_the_answers_may_be_asked_for_by_another_thread(apart):
    (spec,) = apart._frame.inputs
    begun = apart._frame.begin({spec.name: asked(apart, 2, 12)["frame"]})
    found = []
    other = threading.Thread(target=lambda: found.append(begun.answers()))
    other.start()
    other.join(30.0)
    assert set(found[0]) == {spec.name for spec in apart._frame.outputs}
