"""The torch operator and the ONNX function body of TileAttention against the numpy reference."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import ExecutorError
from export.plugin.random_cases import VARIANTS, TileCase, random_case
from export.plugin.tile_attention import OUTPUTS
from export.plugin.tile_attention_onnx import (
    DOMAIN,
    INPUTS,
    NAME,
    OPSET,
    add_bodies,
    tile_attention_body,
)
from export.plugin.tile_attention_op import TileAttention, evaluate, tile_attention_op


def tensors(case: TileCase) -> tuple[torch.Tensor, ...]:
    fixed = (case.query, case.v, case.u, *case.head.arrays(), case.prior_xy_px, case.prior_inv_var)
    return tuple(map(torch.from_numpy, fixed))


def by_operator(case: TileCase) -> dict[str, np.ndarray]:
    answers = tile_attention_op(*tensors(case), *asdict(case.settings).values())
    return {name: t.numpy() for name, t in zip(OUTPUTS, answers, strict=True)}


def by_function_body(case: TileCase, dtype: type = np.float32) -> dict[str, np.ndarray]:
    """One node in ONNX Runtime, which has no such operator and inlines the body."""
    arrays = dict(zip(INPUTS, (t.numpy() for t in tensors(case)), strict=True))
    for name in ("query", "v", "u"):
        arrays[name] = arrays[name].astype(dtype)
    kinds = {k: onnx.helper.np_dtype_to_tensor_dtype(x.dtype) for k, x in arrays.items()}
    attributes = {**asdict(case.settings), "attention": 1}
    attributes["min_max"] = int(case.settings.min_max)
    node = onnx.helper.make_node(
        NAME, INPUTS, OUTPUTS, domain=DOMAIN, plugin_version="1", plugin_namespace="", **attributes
    )
    graph = onnx.helper.make_graph(
        [node],
        "one",
        [onnx.helper.make_tensor_value_info(k, kinds[k], x.shape) for k, x in arrays.items()],
        [
            onnx.helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, [None] * rank)
            for k, rank in zip(OUTPUTS, (2, 1, 1, 1, 1, 3), strict=True)
        ],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, 1)]
    model = onnx.helper.make_model(
        graph, functions=[tile_attention_body(True)], opset_imports=opsets, ir_version=10
    )
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return dict(zip(OUTPUTS, session.run(None, arrays), strict=True))


def test_operator_equals_the_reference(case, compare):
    compare(by_operator(case), case)


def test_function_body_equals_the_reference(case, compare):
    compare(by_function_body(case), case)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    variant=st.sampled_from(sorted(VARIANTS)),
    clicks=st.integers(1, 9),
    embedding=st.integers(1, 5),
    hidden=st.integers(1, 4),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    anchors=st.integers(1, 9),
)
def test_any_size(seed, variant, clicks, embedding, hidden, rows, columns, anchors):
    grid_hw = rows, columns
    case = random_case(
        seed, clicks, 8 * embedding, 8 * hidden, grid_hw, anchors, VARIANTS[variant], True
    )
    expected = case.expected()
    for found in (by_operator(case), by_function_body(case)):
        for name in OUTPUTS:
            scale = max(1.0, float(np.abs(expected[name]).max()))
            np.testing.assert_allclose(found[name], expected[name], rtol=2e-4, atol=5e-5 * scale)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("run", [by_operator, by_function_body])
def test_constant_maps_and_ties_take_the_first_cell(run, variant, compare):
    numbers = replace(VARIANTS[variant], gate_offset=0.5, gate_slope=2.0)
    case = random_case(4, 2, 8, 8, (6, 7), settings=numbers)
    # Positive eighths and queries along an axis: every sum is exact in whatever order a matrix
    # product takes it, so that equal cells have equal bits.
    case.query[:], case.v[:, :, :] = 0, np.abs(np.round(8 * case.v[:, :1, :1]) / 8)
    case.query[[0, 1], [2, 5]] = 1
    for array in (case.u, *case.head.arrays()):
        array[:] = np.abs(np.round(8 * array) / 8)
    case.u[:] = case.u[:, :1, :1]
    found = run(case)
    compare(found, case)
    centre = (found["box_xyxy_px"][:, :2] + found["box_xyxy_px"][:, 2:]) / 2
    assert (centre < case.settings.stride_px).all()  # the first of equal cells


@pytest.mark.parametrize("run", [by_operator, by_function_body])
def test_large_values(run, compare):
    case = random_case(5, 3, 16, 8, (5, 5), settings=VARIANTS["detgeo"])
    case.query[0] *= 1000
    case.u[:] *= 6000  # near the end of float16
    compare(run(case), case)


@pytest.mark.parametrize("run", [by_operator, by_function_body])
def test_a_zero_query_gives_numbers(run, compare):
    case = random_case(6, 2, 8, 8, (4, 4), settings=VARIANTS["lite"])
    case.query[0] = 0
    compare(run(case), case)


def test_half_features_are_computed_in_single(case, compare):
    compare(by_function_body(case, np.float16), case)


def test_the_reference_for_gpus_is_the_reference(case):
    """In float64 the torch equations are the numpy ones."""
    answers = evaluate(*tensors(case), case.settings, dtype=torch.float64)
    expected = case.expected()
    for name, values in zip(OUTPUTS, answers, strict=True):
        np.testing.assert_allclose(values.numpy(), expected[name], rtol=1e-9, atol=1e-9)


def test_operator_passes_opcheck():
    case = random_case(7, 2, 8, 8, (4, 5))
    torch.library.opcheck(tile_attention_op, (*tensors(case), *asdict(case.settings).values()))


def test_operator_refuses_shapes():
    case = random_case(8, 2, 8, 8, (4, 5))
    given = list(tensors(case))
    given[0] = given[0][:0]
    with pytest.raises(ExecutorError) as error:
        tile_attention_op(*given, *asdict(case.settings).values())
    assert "query [0, 8]" in error.value.found


@pytest.mark.parametrize("attention", [True, False])
def test_module_exports_to_one_node_that_onnx_runtime_runs(attention, compare, tmp_path):
    case = random_case(9, 3, 16, 8, (6, 5), settings=VARIANTS["lite"], priors=True)
    module = TileAttention(case.head, case.settings, attention).eval()
    inputs = (case.query, case.v, case.u, case.prior_xy_px, case.prior_inv_var)
    given = tuple(map(torch.from_numpy, inputs))
    clicks = torch.export.Dim("clicks", min=1, max=64)
    names = [INPUTS[i] for i in (0, 1, 2, 7, 8)]
    outputs = list(OUTPUTS if attention else OUTPUTS[:-1])
    model = torch.onnx.export(
        module,
        given,
        dynamo=True,
        opset_version=OPSET,
        input_names=names,
        output_names=outputs,
        dynamic_shapes=({0: clicks}, None, None, {0: clicks}, {0: clicks}),
        verbose=False,
    ).model_proto
    assert [node.op_type for node in model.graph.node] == [NAME]
    assert add_bodies(model) == 1
    assert add_bodies(model) == 1 and len(model.functions) == 1
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, dict(zip(names, inputs, strict=True)))
    compare(dict(zip(outputs, found, strict=True)), case)
    answers = module(*given)
    compare({k: t.numpy() for k, t in zip(outputs, answers, strict=True)}, case)


def test_nodes_with_and_without_the_map_are_refused():
    nodes = [
        onnx.helper.make_node(NAME, INPUTS, OUTPUTS[:n], name=f"with_{n}", domain=DOMAIN)
        for n in (5, 6)
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "two", [], []))
    with pytest.raises(ExecutorError) as error:
        add_bodies(model)
    assert error.value.found == "with_5: 5 outputs, with_6: 6 outputs"
