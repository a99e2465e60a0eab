"""The localizer in parts: once per window, once per frame, once per question."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest

from edge.bundle import FRAME_PART, LOCALIZER, Bundle, write_bundle
from edge.errors import BundleError, ClickError, ExecutorError
from edge.executors.base import open_executor
from edge.executors.localizer_parts import KEPT_WINDOWS, QUERY, READY_WINDOWS, LocalizerInParts
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.feature_quantization import SCALE, dequantized, quantized
from export.localizer_parts import localizer_parts

FEATURES = ("v", "u")


@pytest.fixture(scope="module")
def bundle(tiny_bundle, tmp_path_factory) -> Bundle:
    """The tiny bundle, its localizer in parts as well."""
    files = {name: tiny_bundle.file(name) for name in tiny_bundle.manifest.files}
    files |= localizer_parts(tiny_bundle.graph(LOCALIZER).read_bytes(), "fp32")
    return write_bundle(tmp_path_factory.mktemp("parts") / "tiny", tiny_bundle.manifest, files)


@pytest.fixture
def executor(bundle) -> LocalizerInParts:
    opened = open_executor("onnxruntime", bundle, LOCALIZER, threads=1)
    assert isinstance(opened, LocalizerInParts)
    return opened


@pytest.fixture
def window_runs(executor, monkeypatch) -> list[int]:
    """One entry for each time that the head made its maps of a window."""
    runs: list[int] = []
    inner = executor._head.of_window
    monkeypatch.setattr(executor._head, "of_window", lambda *x: runs.append(1) or inner(*x))
    return runs


def window_of(executor, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {spec.name: spec.shape for spec in executor.inputs if spec.name in FEATURES}
    made = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    made["v"] /= np.linalg.norm(made["v"], axis=0)
    return {name: value.astype(np.float16) for name, value in made.items()}


def frame_of(executor, clicks: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(99)
    shape = next(spec.shape for spec in executor.inputs if spec.name == "frame")
    return {
        "frame": rng.integers(0, 256, shape, np.uint8),
        "frame_affine": np.eye(2, 3, dtype=np.float32),
        "click_xy_px": rng.uniform(0, 60, (clicks, 2)).astype(np.float32),
        "prior_xy_px": np.full((clicks, 2), 50, np.float32),
        "prior_inv_var": np.zeros(clicks, np.float32),
    }


def test_it_answers_as_the_whole_graph_for_every_window(bundle, executor):
    whole = OnnxRuntimeExecutor(bundle.graph(LOCALIZER), "fp32", threads=1)
    frame = frame_of(executor)
    for window in (window_of(executor, seed) for seed in (1, 2, 1)):
        whole.bind(window)
        executor.bind(window)
        wanted, found = whole.run(frame), executor.run(frame)
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


def test_features_count_whether_bound_or_given(executor):
    window, frame = window_of(executor, 1), frame_of(executor)
    bare = executor.run({**frame, **window})
    executor.bind({"v": window["v"]})
    half = executor.run({**frame, "u": window["u"]})
    for name, value in bare.items():
        np.testing.assert_array_equal(half[name], value)


def test_a_window_is_worked_on_once_however_many_frames_look_into_it(executor, window_runs):
    windows = [window_of(executor, seed) for seed in range(KEPT_WINDOWS)]
    for _ in range(3):
        for window in windows:
            executor.bind(window)
            executor.run(frame_of(executor))
    assert len(window_runs) == KEPT_WINDOWS


def test_the_window_that_was_not_looked_into_for_longest_is_forgotten(executor, window_runs):
    frame = frame_of(executor)
    windows = [window_of(executor, seed) for seed in range(KEPT_WINDOWS + 1)]
    for window in windows:  # the last one takes the place of the first
        executor.run({**frame, **window})
    executor.run({**frame, **windows[1]})
    assert len(window_runs) == KEPT_WINDOWS + 1
    executor.run({**frame, **windows[0]})
    assert len(window_runs) == KEPT_WINDOWS + 2
    assert len(executor._windows) == KEPT_WINDOWS


@pytest.mark.parametrize("int8", [False, True])
def test_a_window_that_was_prepared_beside_costs_the_first_look_nothing(
    executor, window_runs, int8
):
    windows = [window_of(executor, seed) for seed in range(READY_WINDOWS)]
    given = [quantized(each, FEATURES) if int8 else each for each in windows]
    frame = frame_of(executor)
    wanted = [executor.run({**frame, **each}) for each in given]
    again = [{name: array.copy() for name, array in each.items()} for each in given]
    del window_runs[:]

    def beside() -> None:
        for each in (*again, *again):
            executor.prepare(each)

    with ThreadPoolExecutor(1) as other:
        other.submit(beside).result()
    spent_ns = executor.clock.engine_ns
    assert len(executor._ready) == len(window_runs) == READY_WINDOWS
    del window_runs[:]
    for each, answers in zip(again, wanted, strict=True):
        executor.bind(each)
        for name, value in executor.run(frame).items():
            np.testing.assert_allclose(value, answers[name], rtol=1e-5, atol=1e-5, err_msg=name)
    assert window_runs == [] and not executor._ready
    assert executor.clock.engine_ns > spent_ns, "and the look itself counts"


def test_what_is_prepared_in_vain_is_forgotten_and_counts_nowhere(executor, window_runs):
    spent_ns = executor.clock.engine_ns
    windows = [window_of(executor, seed) for seed in range(READY_WINDOWS + 1)]
    for each in windows:
        executor.prepare(each)
    assert len(executor._ready) == READY_WINDOWS and not executor._windows
    assert executor.clock.engine_ns == spent_ns
    del window_runs[:]
    executor.run({**frame_of(executor), **windows[0]})
    assert len(window_runs) == 1
    ready = list(executor._ready)
    executor.prepare(windows[0])
    assert list(executor._ready) == ready, "a window that is kept is not prepared"
    executor.prepare(windows[1])
    assert list(executor._ready) == [*ready[1:], ready[0]], "one that is asked for again stays"
    with pytest.raises(ExecutorError, match="q"):
        executor.prepare({"q": windows[0]["v"]})


def test_a_window_in_int8_is_multiplied_once_and_only_when_it_is_worked_on(
    executor, window_runs, monkeypatch
):
    made: list[int] = []
    inner = dequantized

    def counted(tensors):
        made.append(1) if "v" + SCALE in tensors else None
        return inner(tensors)

    monkeypatch.setattr("edge.executors.localizer_parts.dequantized", counted)
    frame, windows = frame_of(executor), [window_of(executor, seed) for seed in (1, 2)]
    stored = [quantized(window, FEATURES) for window in windows]
    for _ in range(3):
        for window in stored:
            executor.bind(window)
            found = executor.run(frame)
            assert executor.run({**frame, **window}).keys() == found.keys()
    assert len(window_runs) == len(made) == 2
    executor.bind(inner(stored[1]))
    for name, value in executor.run(frame).items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert len(window_runs) == 3
    held = [array.dtype for arrays, _ in executor._windows.values() for array in arrays]
    assert held.count(np.int8) == 4, "no float16 is kept for them"


def test_other_arrays_are_another_window_even_where_memory_is_used_again(executor):
    """Arrays are told apart by identity: one that is gone must not lend its own to a new one."""
    frame, answers = frame_of(executor), []
    for seed in range(12):
        window = window_of(executor, seed % 3)
        answers.append(executor.run({**frame, **window})["attention"])
        del window
    for first, second in zip(answers, answers[3:], strict=False):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(answers[0], answers[1])


def test_a_frame_is_read_once_only_where_it_was_said_that_it_comes_again(executor, monkeypatch):
    runs: list[int] = []
    inner = executor._frame.run
    monkeypatch.setattr(executor._frame, "run", lambda x: runs.append(1) or inner(x))
    frame, windows = frame_of(executor), [window_of(executor, seed) for seed in (1, 2)]
    first = [executor.run({**frame, **window}) for window in windows]
    assert len(runs) == 2, "an array may have been written to since"
    executor.keep_frame(frame["frame"])
    again = [executor.run({**frame, **window}) for window in windows]
    assert len(runs) == 3
    for one, other in zip(first, again, strict=True):
        for name, value in one.items():
            np.testing.assert_array_equal(other[name], value)
    other = {**frame, "frame": 255 - frame["frame"]}
    assert not np.array_equal(executor.run({**other, **windows[0]})[QUERY], first[0][QUERY])
    executor.keep_frame(other["frame"])
    executor.run({**frame, **windows[0]})
    assert len(runs) == 5, "the one that was kept before is forgotten"


def test_a_localizer_reads_a_frame_once_for_all_its_windows_and_each_new_one(bundle):
    """The same `Frame` is not read again; another with the same picture is."""
    from dataclasses import replace

    from edge.localizer import Localizer
    from edge.types import Click, Frame, ReferenceWindow

    localizer = Localizer.open(bundle, threads=1)
    before = [0]
    part = localizer._executor._frame
    inner = part.run
    part.run = lambda x: before.__setitem__(0, before[0] + 1) or inner(x)
    size = bundle.manifest.window
    rng = np.random.default_rng(3)
    features = [
        localizer.encode(
            ReferenceWindow(
                rng.integers(0, 256, (size.height_px, size.width_px, 3), np.uint8),
                np.ones((size.height_px, size.width_px), bool), None, name, "map",
            )
        )
        for name in ("a", "b")
    ]  # fmt: skip
    frame = Frame(rng.integers(0, 256, (64, 64, 3), np.uint8), 0, 0.0, "made here")
    clicks = [Click("one", 20.0, 30.0), Click("two", 40.0, 10.0)]
    for feature in features:
        localizer.localize(frame, clicks, feature)
    assert before[0] == 1
    same = localizer.localize(frame, clicks, features[0])
    fresh = localizer.localize(replace(frame), clicks, features[0])
    assert before[0] == 2
    assert [fix.box_xyxy_px for fix in same] == [fix.box_xyxy_px for fix in fresh]
    localizer.locate(frame.image, np.array([[20, 30]], np.float32), features[0])
    assert before[0] == 3, "an array may have been written to since"


def test_time_spent_on_a_window_counts_in_the_frame_that_waits_for_it(executor, monkeypatch):
    assert executor._frame.clock is executor._queries.clock is executor.clock
    inner = executor._head.of_window
    monkeypatch.setattr(executor._head, "of_window", lambda *x: time.sleep(0.2) or inner(*x))
    executor.run({**frame_of(executor), **window_of(executor, 1)})
    assert executor.clock.engine_ns > 200e6


def test_what_it_refuses_is_named_as_by_the_whole(executor):
    window, frame = window_of(executor, 1), frame_of(executor)
    with pytest.raises(ExecutorError, match="no input 'w'"):
        executor.bind({"w": window["v"]})
    with pytest.raises(ExecutorError, match="input 'v' does not fit"):
        executor.bind({"v": window["v"].astype(np.float32)})
    with pytest.raises(ExecutorError, match="input 'v' is missing"):
        executor.run({**frame, "u": window["u"]})
    executor.bind(window)
    with pytest.raises(ClickError, match="zero clicks"):
        executor.run(frame_of(executor, clicks=0))


def test_features_that_do_not_fit_the_head_are_refused(bundle, tmp_path):
    """The parts alone do not take them, so nothing else would tell."""
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    v, u = bundle.manifest.features
    narrow = msgspec.structs.replace(u, shape=(u.shape[0] - 1, *u.shape[1:]))
    manifest = msgspec.structs.replace(bundle.manifest, features=(v, narrow))
    other = write_bundle(tmp_path / "other", manifest, files)
    with pytest.raises(BundleError, match="do not fit its localizer in parts") as caught:
        open_executor("onnxruntime", other, LOCALIZER)
    assert f"u [{u.shape[0]}, rows, columns]" in caught.value.expected
    assert f"u float16 [{u.shape[0] - 1}, " in caught.value.found


def test_parts_of_another_localizer_are_refused(bundle, tiny, tmp_path):
    other = tiny.write_tiny_bundle(tmp_path / "other", seed=5)
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    files[f"graphs/fp32/{LOCALIZER}.onnx"] = other.graph(LOCALIZER)
    mixed = write_bundle(tmp_path / "mixed", bundle.manifest, files)
    with pytest.raises(BundleError, match="is of another localizer") as caught:
        open_executor("onnxruntime", mixed, LOCALIZER)
    assert mixed.manifest.files[f"graphs/fp32/{LOCALIZER}.onnx"] in caught.value.expected
    assert bundle.manifest.files[f"graphs/fp32/{LOCALIZER}.onnx"] in caught.value.found
    assert FRAME_PART in caught.value.what


def test_a_localizer_that_lacks_a_part_is_refused(bundle, tmp_path):
    files = {name: bundle.file(name) for name in bundle.manifest.files if FRAME_PART not in name}
    half = write_bundle(tmp_path / "half", bundle.manifest, files)
    with pytest.raises(BundleError, match=f"no file graphs/fp32/{FRAME_PART}"):
        open_executor("onnxruntime", half, LOCALIZER)
