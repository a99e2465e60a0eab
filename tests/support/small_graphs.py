"""A bundle of two small graphs in the shape of the real ones: convolutions, one TileAttention.

The frame is cast and convolved down to a map, the cell of each click is gathered from it, and the
plugin's node answers. Images enter as the exporter has them: transposed first, then cast.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import Bundle, write_bundle
from edge.manifest import FeatureSpec, Manifest
from export.plugin.tile_attention_onnx import DOMAIN, NAME, OPSET, tile_attention_body

FRAME_PX, GRID, DEPTH, HIDDEN, ANCHORS = 64, 8, 16, 16, 2
SETTINGS = {
    "gate_offset": 0.0,
    "gate_slope": 1.0,
    "stride_px": 16.0,
    "log_size_limit": 4.0,
    "click_var": 0.0,
    "centre_var": 0.0,
    "floor_var_px2": 0.0,
    "min_max": 0,
    "attention": 1,
    "plugin_version": "1",
    "plugin_namespace": "",
}
NUMBERS = ("confidence_logit", "peak_similarity", "second_peak_similarity", "cell_similarity")


class Drawing:
    """Nodes and weights of a graph in the making."""

    def __init__(self, half: bool, seed: int) -> None:
        self.kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: str = "float32") -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def drawn(self, *shape: int, typed: bool = True) -> str:
        half = typed and self.kind == TensorProto.FLOAT16
        values = self.random.normal(0, 0.2, shape)
        return self.constant(values, "float16" if half else "float32")

    def __call__(self, op: str, *inputs: str, **settings: object) -> str:
        name = str(settings.pop("to_name", f"{op.lower()}_{len(self.nodes)}"))
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"node_{name}", **settings))
        return name

    def image(self, name: str) -> str:
        """uint8 [H, W, 3] -> [1, 3, H, W] of the graph's type."""
        turned = self("Transpose", name, perm=[2, 0, 1])
        planes = self("Unsqueeze", turned, self.constant([0], "int64"))
        return self("Cast", planes, to=self.kind)

    def model(self, inputs: dict, outputs: dict, functions: list[onnx.FunctionProto]) -> bytes:
        sides = [
            [helper.make_tensor_value_info(name, *spec) for name, spec in each.items()]
            for each in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, "small", *sides, self.weights)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
            functions=functions,
            ir_version=10,
        )
        onnx.checker.check_model(model)
        return model.SerializeToString()


def small_encoder(half: bool) -> bytes:
    """image uint8 [128, 128, 3] -> v, u float16."""
    draw = Drawing(half, 1)
    x = draw.image("image")
    x = draw("Conv", x, draw.drawn(16, 3, 4, 4), strides=[4, 4])
    x = draw("Conv", draw("Relu", x), draw.drawn(16, 16, 4, 4), strides=[4, 4])
    for name, count in (("v", DEPTH), ("u", HIDDEN)):
        maps = draw("Conv", x, draw.drawn(count, 16, 1, 1))
        flat = draw("Squeeze", maps, draw.constant([0], "int64"))
        draw("Cast", flat, to=TensorProto.FLOAT16, to_name=name)
    side = FRAME_PX * 2
    half_map = (TensorProto.FLOAT16, [DEPTH, GRID, GRID])
    image = {"image": (TensorProto.UINT8, [side, side, 3])}
    return draw.model(image, {"v": half_map, "u": half_map}, [])


def small_localizer(half: bool, *, body: bool = True, name: str = NAME) -> bytes:
    """The localizer's inputs and outputs around one TileAttention, or a node of another name."""
    draw = Drawing(half, 2)
    single = TensorProto.FLOAT
    x = draw.image("frame")
    x = draw("Conv", x, draw.drawn(16, 3, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2])
    x = draw("Conv", draw("Relu", x), draw.drawn(DEPTH, 16, 3, 3), pads=[1] * 4, strides=[4, 4])
    cells = draw("Transpose", draw("Reshape", x, draw.constant([DEPTH, -1], "int64")), perm=[1, 0])
    cell = draw("Floor", draw("Mul", "click_xy_px", draw.constant(1 / 8)))
    flat = draw("MatMul", cell, draw.constant([[1.0], [GRID]]))
    index = draw("Cast", draw("Squeeze", flat, draw.constant([1], "int64")), to=TensorProto.INT64)
    query = draw("Gather", cells, index, axis=0)
    maps = ["v", "u"] if half else [draw("Cast", each, to=single) for each in ("v", "u")]
    shapes = ((HIDDEN, 3), (ANCHORS, HIDDEN), (ANCHORS, 4, HIDDEN))
    head = [draw.drawn(*shape, typed=False) for shape in shapes]
    anchor = [0.1, 0.2, 0, 0, 0, 0, 30, 20]  # c, tau, the four of the bias, width, height
    head.append(draw.constant([anchor] * ANCHORS))
    outputs = {"box_xyxy_px": (single, ["N", 4])}
    outputs |= dict.fromkeys(NUMBERS, (single, ["N"]))
    outputs["attention"] = (single, ["N", GRID, GRID])
    given = [query, *maps, *head, "prior_xy_px", "prior_inv_var"]
    draw.nodes.append(
        helper.make_node(name, given, list(outputs), name="attend", domain=DOMAIN, **SETTINGS)
    )
    inputs = {
        "frame": (TensorProto.UINT8, [FRAME_PX, FRAME_PX, 3]),
        "click_xy_px": (single, ["N", 2]),
        "v": (TensorProto.FLOAT16, [DEPTH, GRID, GRID]),
        "u": (TensorProto.FLOAT16, [HIDDEN, GRID, GRID]),
        "prior_xy_px": (single, ["N", 2]),
        "prior_inv_var": (single, ["N"]),
    }
    return draw.model(inputs, outputs, [tile_attention_body(True)] if body else [])


def small_bundle(
    folder: Path, manifest: Manifest, graphs: dict[str, bytes] | None = None
) -> Bundle:
    """Write the bundle `small` with fp32 and fp16 graphs.

    Args:
        folder: where.
        manifest: to take the rest from.
        graphs: other content by name, "fp16/localizer".
    """
    made = {
        f"{precision}/{kind}": make(precision == "fp16")
        for precision in ("fp32", "fp16")
        for kind, make in (("reference_encoder", small_encoder), ("localizer", small_localizer))
    }
    made |= graphs or {}
    features = tuple(
        FeatureSpec(name=name, shape=(DEPTH, GRID, GRID), dtype="float16", layout="DHW")
        for name in ("v", "u")
    )
    manifest = msgspec.structs.replace(manifest, name="small", features=features)
    return write_bundle(folder, manifest, {f"graphs/{k}.onnx": v for k, v in made.items()})
