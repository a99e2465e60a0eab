"""Features in INT8 at the executors' boundary and on the host: refusals, and float16 made once."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from edge.bundle import LOCALIZER
from edge.errors import ExecutorError
from edge.executors import int8_features
from edge.executors.base import TensorSpec, check_tensors, open_executor
from edge.executors.int8_features import KEPT_WINDOWS, FloatFeatures, merged
from edge.feature_quantization import dequantized

FEATURES = ("v", "u")
ON_HOST = pytest.mark.parametrize("executor", ["onnxruntime", "reference"])
SPECS = (
    TensorSpec("frame", np.dtype(np.uint8), (4, 4, 3)),
    TensorSpec("affine", np.dtype(np.float32), (2, 3)),
    TensorSpec("half", np.dtype(np.float16), ("N", 3, 2)),
    TensorSpec("v", np.dtype(np.float16), (3, 5, 7)),
)


def assert_equal(found, wanted) -> None:
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


# --- the check ------------------------------------------------------------------------------------


def given() -> dict[str, np.ndarray]:
    return {"v": np.zeros((3, 5, 7), np.int8), "v.scale": np.ones(3, np.float16)}


def test_levels_with_their_scale_are_admitted_where_float16_is():
    check = partial(check_tensors, "onnxruntime", SPECS, complete=False)
    check(given())
    check({"v": np.zeros((3, 5, 7), np.float16)})


@pytest.mark.parametrize(
    ("tensors", "why", "expected", "found"),
    [
        (
            {"v": np.zeros((3, 5, 7), np.int8)},
            "input 'v' is in int8 and has no scale",
            "v float16 [3, 5, 7], or v int8 [3, 5, 7] with v.scale float16 [3]",
            "v",
        ),
        (
            given() | {"v.scale": np.ones(4, np.float16)},
            "the scale 'v.scale' does not fit",
            "v int8 [3, 5, 7] with v.scale float16 [3]",
            "v.scale float16 [4]",
        ),
        (
            given() | {"v.scale": np.ones(3, np.float32)},
            "the scale 'v.scale' does not fit",
            "v int8 [3, 5, 7] with v.scale float16 [3]",
            "v.scale float32 [3]",
        ),
        (
            {"v": np.zeros((3, 5, 7), np.float16), "v.scale": np.ones(3, np.float16)},
            "'v.scale' is the scale of nothing",
            "v int8 [3, 5, 7] with v.scale float16 [3]",
            "v float16 [3, 5, 7]",
        ),
        (
            {"v.scale": np.ones(3, np.float16)},
            "'v.scale' is the scale of nothing",
            "v int8 [3, 5, 7] with v.scale float16 [3]",
            "v.scale",
        ),
        (
            given() | {"v": np.zeros((3, 5, 8), np.int8)},
            "input 'v' does not fit",
            "v float16 [3, 5, 7]",
            "v int8 [3, 5, 8]",
        ),
        (
            given() | {"v": np.zeros((3, 5, 7), np.uint8)},
            "'v.scale' is the scale of nothing",
            "v int8 [3, 5, 7] with v.scale float16 [3]",
            "v uint8 [3, 5, 7]",
        ),
        (
            {"affine": np.zeros((2, 3), np.int8), "affine.scale": np.ones(2, np.float16)},
            "no input 'affine.scale'",
            "one of: frame, affine, half, v",
            "affine.scale",
        ),
        (
            {"affine": np.zeros((2, 3), np.int8)},
            "input 'affine' does not fit",
            "affine float32 [2, 3]",
            "affine int8 [2, 3]",
        ),
        (
            {"half": np.zeros((4, 3, 2), np.int8)},
            "input 'half' does not fit",
            "half float16 [N, 3, 2]",
            "half int8 [4, 3, 2]",
        ),
        (
            given() | {"w.scale": np.ones(3, np.float16)},
            "no input 'w.scale'",
            "one of: frame, affine, half, v",
            "w.scale",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(tensors, why, expected, found):
    with pytest.raises(ExecutorError) as caught:
        check_tensors("onnxruntime", SPECS, tensors, complete=False)
    assert caught.value.what == f"the executor onnxruntime refuses the inputs: {why}"
    assert (caught.value.expected, caught.value.found) == (expected, found)
    assert "belong together" in caught.value.do


def test_a_feature_that_is_given_comes_with_its_own_scale_or_with_none():
    bound = {"v": 1, "v.scale": 2, "u": 3}
    assert merged(bound, {"v": 4, "frame": 5}) == {"v": 4, "u": 3, "frame": 5}
    assert merged(bound, {"v": 4, "v.scale": 6}) == {"v": 4, "v.scale": 6, "u": 3}
    assert merged(bound, {"frame": 5}) == {**bound, "frame": 5}


# --- on the host ----------------------------------------------------------------------------------


@ON_HOST
def test_the_answers_are_those_of_the_float16(tiny_bundle, inputs, stored, executor):
    opened = open_executor(executor, tiny_bundle, LOCALIZER)
    for seed in (1, 2):
        window, asked = stored(seed), inputs(3, seed)
        opened.bind(dequantized(window))
        wanted = opened.run(asked)
        opened.bind(window)
        assert_equal(opened.run(asked), wanted)
        opened.bind({})
        assert_equal(opened.run({**asked, **window}), wanted)


def test_a_bound_window_is_multiplied_once(tiny_bundle, inputs, stored, products):
    opened = open_executor("onnxruntime", tiny_bundle, LOCALIZER)
    windows = [stored(seed) for seed in range(KEPT_WINDOWS)]
    for turn in range(3):
        for window in windows:
            opened.bind(dict(window))  # another mapping of the same arrays
            for _ in range(2):
                opened.run(inputs(2, turn))
    assert len(products) == KEPT_WINDOWS
    opened.bind(stored(KEPT_WINDOWS))  # takes the place of the first
    opened.bind(windows[1])
    assert len(products) == KEPT_WINDOWS + 1
    opened.bind(windows[0])
    assert len(products) == KEPT_WINDOWS + 2


def test_what_is_lent_to_a_run_may_change_and_does_not_stay(tiny_bundle, inputs, stored, feature):
    opened = open_executor("onnxruntime", tiny_bundle, LOCALIZER)
    bound, asked = stored(1), inputs(2)
    opened.bind(bound)
    before = opened.run(asked)
    lent = {name: value.copy() for name, value in stored(2).items()}
    first = opened.run({**asked, **lent})
    assert_equal(first, opened.run({**asked, **dequantized(lent)}))
    lent["v"][:] = -lent["v"]
    second = opened.run({**asked, **lent})
    assert not np.array_equal(first["attention"], second["attention"])
    assert_equal(second, opened.run({**asked, **dequantized(lent)}))
    plain = feature(3)
    found = opened.run({**asked, "v": plain["v"]})  # over levels: without their scale
    assert_equal(found, opened.run({**asked, "v": plain["v"], "u": dequantized(bound)["u"]}))
    assert_equal(opened.run(asked), before)


def test_the_host_makes_contiguous_float16_and_lets_the_oldest_go(stored):
    floats, windows = FloatFeatures(), [stored(seed) for seed in range(KEPT_WINDOWS + 1)]
    turned = {**windows[0], "v": windows[0]["v"][:, ::-1]}
    made = floats.of(turned)
    assert set(made) == set(FEATURES) and made["v"].flags.c_contiguous
    np.testing.assert_array_equal(made["v"], dequantized(windows[0])["v"][:, ::-1])
    assert floats.of(turned)["u"] is made["u"]
    for window in windows:
        floats.of(window)
    assert len(floats._made) == KEPT_WINDOWS == int8_features.KEPT_WINDOWS
    mixed = {"v": windows[0]["v"], "v.scale": windows[0]["v.scale"], "u": made["u"]}
    assert floats.of(mixed)["u"] is made["u"], "what is float16 is held as it is"
