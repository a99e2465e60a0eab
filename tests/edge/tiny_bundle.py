"""A complete bundle in milliseconds: 128 px windows, 64 px frames, stride 16, 8 channels.

The "backbone" is one 16x16 convolution without mean, shared by frame and window, so a frame that
was cut from the window on the grid of 16 px has cosine 1 at its own cell: the truth is known. All
that follows is the whole mathematics of `lite` as ONNX nodes, so all behind it can be tested.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import Bundle, write_bundle
from edge.manifest import (
    AcceptanceSpec,
    ClickSpec,
    FeatureSpec,
    FrameSpec,
    HeadSpec,
    Manifest,
    WindowSpec,
)

STRIDE_PX = 16
DEPTH = 24  # D, length of a descriptor
HIDDEN = 8  # C
ANCHORS_WH_PX = ((20.0, 14.0), (32.0, 40.0))
FEATURES = ("peak_similarity", "margin", "cell_similarity", "confidence_logit")
FEATURES += ("aligned", "log1p_inliers", "agreement")


def tiny_head(seed: int = 0) -> dict[str, Any]:
    """Weights of the head, in the names of head.npz; the similarity decides, the rest is noise."""
    random = np.random.default_rng(seed)
    count = len(ANCHORS_WH_PX)

    def noise(*shape: int) -> Any:
        return random.normal(0, 0.05, shape).astype(np.float32)

    return {
        "alpha": np.float32(0.5),
        "beta": np.float32(2.0),
        "w_a": noise(HIDDEN),
        "b": noise(HIDDEN),
        "w_conf": noise(count, HIDDEN),
        "c_conf": np.array([-4.0, -4.5], np.float32),
        "tau": np.array([8.0, 7.0], np.float32),
        "w_box": noise(count, 4, HIDDEN),
        "b_box": noise(count, 4),
        "anchors_wh_px": np.array(ANCHORS_WH_PX, np.float32),
        "stride_px": np.float32(STRIDE_PX),
        "click_var": np.float32(0.02),
        "centre_var": np.float32(0.03),
        "floor_var_px2": np.float32(4.0),
    }


def tiny_manifest(
    window_wh_px: tuple[int, int] = (128, 128), frame_wh_px: tuple[int, int] = (64, 64)
) -> Manifest:
    """What the tiny bundle says of itself; accepts from a similarity of about 0.8 upwards."""
    columns, rows = window_wh_px[0] // STRIDE_PX, window_wh_px[1] // STRIDE_PX
    return Manifest(
        schema="tilefix-bundle/1",
        name="tiny",
        model="lite",
        version="0",
        licence="Apache-2.0",
        origin="random weights of the test suite",
        frame=FrameSpec(width_px=frame_wh_px[0], height_px=frame_wh_px[1]),
        window=WindowSpec(width_px=window_wh_px[0], height_px=window_wh_px[1], gsd_m=0.3),
        click=ClickSpec(encoding="gather", sigma_px=2.0),
        head=HeadSpec(stride_px=STRIDE_PX, anchors_wh_px=ANCHORS_WH_PX),
        features=(
            FeatureSpec(name="v", shape=(DEPTH, rows, columns), dtype="float16", layout="DHW"),
            FeatureSpec(name="u", shape=(HIDDEN, rows, columns), dtype="float16", layout="CHW"),
        ),
        acceptance=AcceptanceSpec(
            features=FEATURES,
            weights=(10.0, 10.0, 0.0, 0.0, 0.0, 0.0, 1.0),
            bias=-10.0,
            threshold=0.5,
            threshold_unaligned=0.5,
            fitted_on="nothing: set by hand for tests",
        ),
        scores={"acc@0.25": 0.5, "command": "none"},
    )


def write_tiny_bundle(
    folder: Path,
    *,
    window_wh_px: tuple[int, int] = (128, 128),
    frame_wh_px: tuple[int, int] = (64, 64),
    seed: int = 0,
    extra_files: dict[str, bytes] | None = None,
    replace: bool = False,
) -> Bundle:
    """Write the tiny bundle into `folder` and open it."""
    head = tiny_head(seed)
    stored = io.BytesIO()
    np.savez(stored, **head)
    files: dict[str, bytes | Path] = {
        "graphs/fp32/reference_encoder.onnx": _encoder(window_wh_px, head, seed),
        "graphs/fp32/localizer.onnx": _localizer(window_wh_px, frame_wh_px, head, seed),
        "graphs/fp32/head.npz": stored.getvalue(),
        **(extra_files or {}),
    }
    manifest = tiny_manifest(window_wh_px, frame_wh_px)
    return write_bundle(folder, manifest, files, replace=replace)


class _Graph:
    """Nodes and weights, added in the order of the computation."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, value: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def model(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> bytes:
        values = [
            [helper.make_tensor_value_info(name, *spec) for name, spec in side.items()]
            for side in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, "tiny", *values, initializer=self.weights)
        opset = [helper.make_opsetid("", 17)]
        model: bytes = helper.make_model(
            graph, opset_imports=opset, ir_version=8
        ).SerializeToString()
        return model

    def backbone(self, image: str, seed: int) -> str:
        """uint8 [H, W, 3] -> descriptors [1, D, H/16, W/16], L2-normalised."""
        kernel = np.random.default_rng(seed).normal(0, 1, (DEPTH, 3, STRIDE_PX, STRIDE_PX))
        kernel = (kernel - kernel.mean((1, 2, 3), keepdims=True)) / 256
        chw = self.add("Transpose", [self.add("Cast", [image], to=1)], perm=[2, 0, 1])
        batch = self.add("Unsqueeze", [chw, self.weight(np.array([0], np.int64))])
        inputs = [batch, self.weight(kernel.astype(np.float32))]
        strides = [STRIDE_PX, STRIDE_PX]
        return self.add("LpNormalization", [self.add("Conv", inputs, strides=strides)], axis=1, p=2)


def _encoder(window_wh_px: tuple[int, int], head: dict[str, Any], seed: int) -> bytes:
    width, height = window_wh_px
    rows, columns = height // STRIDE_PX, width // STRIDE_PX
    g = _Graph()
    descriptors = g.backbone("image", seed)
    fold = np.random.default_rng(seed + 1).normal(0, 1, (HIDDEN, DEPTH, 1, 1)).astype(np.float32)
    folded = g.add("Conv", [descriptors, g.weight(fold)])
    axes = g.weight(np.array([0], np.int64))
    for name, source in (("v", descriptors), ("u", folded)):
        g.add("Cast", [g.add("Squeeze", [source, axes])], name, to=TensorProto.FLOAT16)
    return g.model(
        {"image": (TensorProto.UINT8, [height, width, 3])},
        {
            "v": (TensorProto.FLOAT16, [DEPTH, rows, columns]),
            "u": (TensorProto.FLOAT16, [HIDDEN, rows, columns]),
        },
    )


def _localizer(
    window_wh_px: tuple[int, int], frame_wh_px: tuple[int, int], head: dict[str, Any], seed: int
) -> bytes:
    width, height = window_wh_px
    rows, columns = height // STRIDE_PX, width // STRIDE_PX
    frame_rows, frame_columns = frame_wh_px[1] // STRIDE_PX, frame_wh_px[0] // STRIDE_PX
    count, cells = len(ANCHORS_WH_PX), rows * columns
    g = _Graph()

    def number(value: Any, dtype: Any = np.float32) -> str:
        return g.weight(np.asarray(value, dtype))

    def part(source: str, start: int, end: int, axis: int) -> str:
        bounds = [g.weight(np.array([k], np.int64)) for k in (start, end, axis)]
        return g.add("Slice", [source, *bounds])

    def shaped(source: str, *shape: int) -> str:
        return g.add("Reshape", [source, g.weight(np.array(shape, np.int64))])

    # query vector: the descriptor of the cell that the letterboxed click lies in
    descriptors = g.backbone("frame", seed)  # [1, D, hf, wf]
    turned = g.add("Transpose", [part("frame_affine", 0, 2, 1)], perm=[1, 0])
    shift = shaped(part("frame_affine", 2, 3, 1), 1, 2)
    letterboxed = g.add("Add", [g.add("MatMul", ["click_xy_px", turned]), shift])  # [N, 2]
    cell = g.add("Floor", [g.add("Div", [letterboxed, number(STRIDE_PX)])])
    last = number([frame_columns - 1, frame_rows - 1])
    cell = g.add("Min", [g.add("Max", [cell, number(0)]), last])
    index = g.add("MatMul", [cell, number([[1.0], [frame_columns]])])  # [N, 1]
    index = shaped(g.add("Cast", [index], to=TensorProto.INT64), -1)
    flat = g.add("Transpose", [shaped(descriptors, DEPTH, frame_rows * frame_columns)], perm=[1, 0])
    q = g.add("Gather", [flat, index], "query_vector", axis=0)  # [N, D]

    # fusion and head
    wide_v = shaped(g.add("Cast", ["v"], to=1), DEPTH, cells)
    wide_u = shaped(g.add("Cast", ["u"], to=1), 1, HIDDEN, cells)
    similarity = g.add("MatMul", [q, wide_v])  # [N, cells]
    g.add("Reshape", [similarity, number([-1, rows, columns], np.int64)], "attention")
    one = g.add("Unsqueeze", [similarity, number([1], np.int64)])  # [N, 1, cells]
    gate = g.add("Add", [g.add("Mul", [one, number(head["beta"])]), number(head["alpha"])])
    fused = g.add("Add", [wide_u, number(head["w_a"].reshape(1, HIDDEN, 1))])
    fused = g.add("Add", [g.add("Mul", [gate, fused]), number(head["b"].reshape(1, HIDDEN, 1))])
    hidden = g.add("LeakyRelu", [fused], alpha=0.1)  # [N, C, cells]
    row_index, column_index = np.divmod(np.arange(cells), columns)
    centres = (np.stack([column_index, row_index], 1) + 0.5) * STRIDE_PX  # [cells, 2]
    prior = g.add("Unsqueeze", ["prior_xy_px", number([1], np.int64)])
    apart = g.add("Sub", [number(centres[None]), prior])
    apart = g.add("ReduceSum", [g.add("Mul", [apart, apart]), number([2], np.int64)], keepdims=0)
    known = g.add("Unsqueeze", ["prior_inv_var", number([1], np.int64)])  # [N, 1]
    wider = g.add("Add", [g.add("Mul", [known, number(STRIDE_PX**2 / 12)]), number(1)])
    weight = g.add("Div", [known, wider])
    log_prior = g.add("Mul", [g.add("Mul", [apart, weight]), number(-0.5)])  # [N, cells]
    logit = g.add("MatMul", [number(head["w_conf"]), hidden])  # [N, A, cells]
    logit = g.add("Add", [logit, number(head["c_conf"].reshape(1, count, 1))])
    logit = g.add("Add", [logit, g.add("Mul", [one, number(head["tau"].reshape(1, count, 1))])])
    logit = g.add("Add", [logit, g.add("Unsqueeze", [log_prior, number([1], np.int64)])])

    # the winner, and its box
    flat_logit = shaped(logit, -1, count * cells)
    winner = g.add("ArgMax", [flat_logit], axis=1, keepdims=1)  # [N, 1] int64
    top = g.add("GatherElements", [flat_logit, winner], axis=1)
    g.add("Reshape", [top, number([-1], np.int64)], "confidence_logit")
    anchor = shaped(g.add("Div", [winner, number(cells, np.int64)]), -1)  # [N]
    place = g.add("Mod", [winner, number(cells, np.int64)])  # [N, 1]
    own = g.add("GatherElements", [similarity, place], axis=1)
    g.add("Reshape", [own, number([-1], np.int64)], "cell_similarity")
    by_cell = g.add("Transpose", [hidden], perm=[0, 2, 1])  # [N, cells, C]
    at_cell = g.add("GatherND", [by_cell, place], batch_dims=1)  # [N, C]
    w_box = g.add("Gather", [number(head["w_box"]), anchor], axis=0)  # [N, 4, C]
    b_box = g.add("Gather", [number(head["b_box"]), anchor], axis=0)  # [N, 4]
    column_vector = g.add("Unsqueeze", [at_cell, number([2], np.int64)])
    t = g.add("Add", [shaped(g.add("MatMul", [w_box, column_vector]), -1, 4), b_box])
    row = g.add("Div", [place, number(columns, np.int64)])
    column = g.add("Mod", [place, number(columns, np.int64)])
    corner = g.add("Cast", [g.add("Concat", [column, row], axis=1)], to=1)  # [N, 2]
    centre = g.add("Add", [g.add("Sigmoid", [part(t, 0, 2, 1)]), corner])
    centre = g.add("Mul", [centre, number(STRIDE_PX)])
    log_size = g.add("Clip", [part(t, 2, 4, 1), number(-4), number(4)])
    anchors = g.add("Gather", [number(head["anchors_wh_px"] / 2), anchor], axis=0)
    half = g.add("Mul", [g.add("Exp", [log_size]), anchors])
    area = g.add("Mul", [part(half, 0, 1, 1), g.add("Mul", [part(half, 1, 2, 1), number(4)])])
    of_click = g.add("Mul", [area, number(head["click_var"])])
    own = g.add("Mul", [area, number(head["centre_var"])])
    own = g.add("Mul", [g.add("Add", [own, number(head["floor_var_px2"])]), known])
    both = g.add("Add", [g.add("Add", [own, number(1)]), g.add("Mul", [of_click, known])])
    pull = g.add("Mul", [g.add("Div", [own, both]), g.add("Sub", ["prior_xy_px", centre])])
    centre = g.add("Add", [centre, pull])
    edges = [g.add("Sub", [centre, half]), g.add("Add", [centre, half])]
    g.add("Concat", edges, "box_xyxy_px", axis=1)

    # first and second peak of the similarity
    peak = g.add("ArgMax", [similarity], axis=1, keepdims=1)  # [N, 1]
    first = g.add("GatherElements", [similarity, peak], axis=1)
    g.add("Reshape", [first, number([-1], np.int64)], "peak_similarity")
    apart_cells = np.maximum(
        abs(row_index[:, None] - row_index), abs(column_index[:, None] - column_index)
    )
    blocked = g.weight(np.where(apart_cells <= 2, -1e4, 0).astype(np.float32))
    mask = g.add("Gather", [blocked, shaped(peak, -1)], axis=0)  # [N, cells]
    second = g.add("ReduceMax", [g.add("Add", [similarity, mask])], axes=[1], keepdims=0)
    g.add("Max", [second, number(-1)], "second_peak_similarity")

    f32 = TensorProto.FLOAT
    numbers = ("confidence_logit", "peak_similarity", "second_peak_similarity", "cell_similarity")
    return g.model(
        {
            "frame": (TensorProto.UINT8, [frame_wh_px[1], frame_wh_px[0], 3]),
            "frame_affine": (f32, [2, 3]),
            "click_xy_px": (f32, ["N", 2]),
            "v": (TensorProto.FLOAT16, [DEPTH, rows, columns]),
            "u": (TensorProto.FLOAT16, [HIDDEN, rows, columns]),
            "prior_xy_px": (f32, ["N", 2]),
            "prior_inv_var": (f32, ["N"]),
        },
        {
            "box_xyxy_px": (f32, ["N", 4]),
            **{name: (f32, ["N"]) for name in numbers},
            "attention": (f32, ["N", rows, columns]),
            "query_vector": (f32, ["N", DEPTH]),
        },
    )
