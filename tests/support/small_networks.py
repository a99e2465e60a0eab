"""Small convolutional graphs with all that the Q/DQ policy has to tell apart."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

CHANNELS, SIZE = 16, 12


def small_network(seed: int = 0, half: bool = False) -> onnx.ModelProto:
    """A backbone as a localizer has it, and a head behind the features `v` of a window.

    frame -> scaled -> expand, Clip -> depthwise, Clip -> project -> (+ skip) -> LeakyRelu
    -> a side branch that is concatenated -> 1x1 map, and a head that reads `v`. With `half` all
    floats are float16 and named as export names them.
    """
    rng = np.random.default_rng(seed)
    kind = np.float16 if half else np.float32
    suffix = "_float16" if half else ""
    constants: list[TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value.astype(kind), name + suffix))
        return name + suffix

    def conv(source: str, made: str, name: str, shape: tuple[int, ...], **attributes) -> str:
        scale = 1.5 / np.sqrt(np.prod(shape[1:]))
        given = [
            source,
            constant(f"model.{name}.weight", rng.normal(0, scale, shape)),
            constant(f"model.{name}.bias", rng.normal(0, 0.2, shape[0])),
        ]
        nodes.append(helper.make_node("Conv", given, [made], name=f"conv_{made}", **attributes))
        return made

    def clip(source: str, made: str) -> str:
        nodes.append(helper.make_node("Clip", [source, low, high], [made], name=made))
        return made

    low, high = constant("low", np.array(0.0)), constant("high", np.array(6.0))
    wide = 2 * CHANNELS
    frame = "frame"
    if half:
        nodes.append(helper.make_node("Cast", [frame], ["frame_float16"], to=TensorProto.FLOAT16))
        frame = "frame_float16"
    nodes.append(helper.make_node("Mul", [frame, constant("gain", np.array(0.5))], ["scaled"]))
    stem = clip(conv("scaled", "expanded", "stem", (wide, 3, 3, 3), pads=[1, 1, 1, 1]), "relu6")
    deep = clip(
        conv(stem, "deep", "blocks.0.depthwise", (wide, 1, 3, 3), pads=[1, 1, 1, 1], group=wide),
        "relu6_1",
    )
    conv(deep, "narrow", "blocks.0.project", (wide, wide, 1, 1))
    nodes.append(helper.make_node("Add", ["narrow", stem], ["sum"], name="residual"))
    nodes.append(helper.make_node("LeakyRelu", ["sum"], ["leaky"], alpha=0.1, name="leaky"))
    conv("leaky", "side", "blocks.1.side", (CHANNELS, wide, 1, 1))
    nodes.append(helper.make_node("Concat", ["side", "leaky"], ["joined"], axis=1, name="joined"))
    conv("joined", "map", "embedding", (CHANNELS, wide + CHANNELS, 1, 1))
    nodes.append(helper.make_node("Mul", ["map", "v"], ["gated"], name="gate"))
    conv("gated", "head", "head", (5, CHANNELS, 1, 1))
    answers = [("map", CHANNELS), ("head", 5)]
    if half:
        for index, (name, _) in enumerate(answers):
            nodes.append(helper.make_node("Cast", [name], [f"out_{name}"], to=TensorProto.FLOAT))
            answers[index] = (f"out_{name}", answers[index][1])
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("frame", TensorProto.FLOAT, [1, 3, SIZE, SIZE]),
            helper.make_tensor_value_info(
                "v", TensorProto.FLOAT16 if half else TensorProto.FLOAT, [1, CHANNELS, SIZE, SIZE]
            ),
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, SIZE, SIZE])
            for name, channels in answers
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


def small_inputs(seed: int = 1, half: bool = False) -> dict[str, np.ndarray]:
    """What `small_network` takes."""
    rng = np.random.default_rng(seed)
    v = rng.normal(0, 1, (1, CHANNELS, SIZE, SIZE))
    return {
        "frame": rng.uniform(-2, 2, (1, 3, SIZE, SIZE)).astype(np.float32),
        "v": v.astype(np.float16 if half else np.float32),
    }


def observed_amax() -> dict[str, float]:
    """Largest magnitude of every value of `small_network` on four inputs."""
    model = small_network()
    names = [name for node in model.graph.node for name in node.output]
    run = ReferenceEvaluator(model)
    found = [run.run(names, small_inputs(seed)) for seed in range(1, 5)]
    return {
        name: max(float(np.abs(values[index]).max()) for values in found)
        for index, name in enumerate(names)
    }
