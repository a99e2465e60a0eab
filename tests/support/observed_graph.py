"""A small graph for the observer, as ONNX Runtime runs it: a map, and vectors for any N clicks."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from calibration.ranges.observing import Feed, observe
from calibration.ranges.work_folder import ObserveOptions

SIDE = 24
TENSORS = ("scaled", "conv", "relu", "per_click")
OPTIONS = ObserveOptions(selection_sha256="a" * 64, preprocessing="as drawn", threads=1)


def draw(path: Path, *, widen: int = 0, half: bool = False) -> Path:
    """image [24, 24, 3] uint8 -> scaled, conv, relu; with clicks [N, 2] -> per_click [N, 2, ...].

    Args:
        path: where the graph is written.
        widen: channels more of the convolution, to make its output larger than a sample.
        half: a tensor `halved` of type float16 behind the relu.
    """
    random = np.random.default_rng(3)
    weight = random.normal(0, 0.4, (4 + widen, 3, 3, 3)).astype(np.float32)
    weights = {
        "weight": weight,
        "scale": np.array(1 / 64, np.float32),
        "offset": np.array(128, np.float32),
        "axis": np.array([0], np.int64),
        "axes": np.array([2, 3], np.int64),
        "unused": np.zeros((50, 50), np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["cast"], ["planes"], perm=[2, 0, 1]),
        helper.make_node("Unsqueeze", ["planes", "axis"], ["batch"]),
        helper.make_node("Sub", ["batch", "offset"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "weight"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("Unsqueeze", ["click", "axes"], ["click_map"]),
        helper.make_node("ReduceMean", ["relu"], ["mean"], keepdims=1),
        helper.make_node("Unsqueeze", ["planes", "axis"], ["tiles"]),
        helper.make_node("Slice", ["tiles", "axis", "one", "one"], ["plane"]),
        helper.make_node("Mul", ["click_map", "plane"], ["shifted"]),
        helper.make_node("Add", ["shifted", "mean"], ["per_click"]),
        helper.make_node("Log", ["conv"], ["log"]),  # of negative values, which has no value
        helper.make_node("Shape", ["conv"], ["shape"]),
        helper.make_node("Cast", ["relu"], ["halved"], to=TensorProto.FLOAT16),
    ]
    weights["one"] = np.array([1], np.int64)
    if not half:
        nodes.pop()
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("image", TensorProto.UINT8, [SIDE, SIDE, 3]),
            helper.make_tensor_value_info("click", TensorProto.FLOAT, ["N", 2]),
        ],
        [
            helper.make_tensor_value_info("relu", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("per_click", TensorProto.FLOAT, None),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def image_of(index: int) -> dict[str, np.ndarray]:
    """An image, brighter from one to the next, and one to three clicks."""
    random = np.random.default_rng(index)
    top = 20 + index * 235 // 40
    image = random.integers(0, top, (SIDE, SIDE, 3)).astype(np.uint8)
    return {"image": image, "click": random.normal(size=(1 + index % 3, 2)).astype(np.float32)}


def feeds(count: int, pause_s: float = 0.0) -> list[Feed]:
    """So many images, each a feed."""

    def feed(index: int) -> Feed:
        def read() -> dict[str, np.ndarray]:
            time.sleep(pause_s)
            return image_of(index)

        return Feed(f"{index:03}.png", hashlib.sha256(bytes([index])).hexdigest(), read)

    return [feed(index) for index in range(count)]


if __name__ == "__main__":  # run by a test that kills it
    graph, work, number = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    observe(
        graph,
        TENSORS,
        feeds(number, 0.02),
        work,
        OPTIONS,
        lambda done, _: print(done, flush=True),
    )
