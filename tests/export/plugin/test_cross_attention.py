"""CrossAttention's reference, operator and ONNX body against each other and torch's attention."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from edge.errors import ExecutorError
from export.plugin.cross_attention import cross_attention
from export.plugin.cross_attention_cases import CrossCase, CrossSize, random_cross_case
from export.plugin.cross_attention_onnx import (
    ATTRIBUTES,
    DOMAIN,
    INPUTS,
    NAME,
    OPSET,
    OUTPUT,
    add_bodies,
    cross_attention_body,
)
from export.plugin.cross_attention_op import CrossAttention, cross_attention_op, evaluate

SIZES = {
    "one token each": CrossSize(1, 1, 1, 1, 8),
    "one query": CrossSize(2, 1, 9, 2, 8),
    "one key": CrossSize(3, 5, 1, 4, 4),
    "odd": CrossSize(2, 7, 11, 3, 5),
    "as attengeo's": CrossSize(2, 6, 25, 8, 32),
}
POSITIONS = ("none", "both", "one row")
CASES = [(size, positions) for size in SIZES for positions in POSITIONS]


@pytest.fixture(params=CASES, ids=", ".join)
def case(request: pytest.FixtureRequest) -> CrossCase:
    size, positions = request.param
    return random_cross_case(0, SIZES[size], positions)


def tensors(case: CrossCase, dtype: torch.dtype = torch.float32) -> list[torch.Tensor | None]:
    return [None if x is None else torch.from_numpy(x).to(dtype) for x in case.tensors()]


def by_operator(case: CrossCase) -> np.ndarray:
    return cross_attention_op(*tensors(case), case.heads, case.scale).numpy()


def by_function_body(case: CrossCase, dtype: type = np.float32) -> np.ndarray:
    """One node in ONNX Runtime, which has no such operator and inlines the body."""
    given = [x.astype(dtype) for x in case.tensors() if x is not None]
    arrays = dict(zip(INPUTS, given, strict=False))
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    attributes = {"heads": case.heads, "scale": case.scale, "positions": int(len(given) > 3)}
    attributes |= {"plugin_version": "1", "plugin_namespace": ""}
    assert set(attributes) == set(ATTRIBUTES)
    node = onnx.helper.make_node(NAME, list(arrays), [OUTPUT], domain=DOMAIN, **attributes)
    values = [onnx.helper.make_tensor_value_info(k, kind, x.shape) for k, x in arrays.items()]
    answer = onnx.helper.make_tensor_value_info(OUTPUT, kind, case.query.shape)
    opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, 1)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "one", values, [answer]),
        functions=[cross_attention_body(len(given) > 3)],
        opset_imports=opsets,
        ir_version=10,
    )
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, arrays)[0]


def test_reference_equals_torchs_attention(case):
    q, k, v, at_q, at_k = tensors(case, torch.float64)
    q, k = q if at_q is None else q + at_q, k if at_k is None else k + at_k
    split = (t.unflatten(2, (case.heads, -1)).transpose(1, 2) for t in (q, k, v))
    wanted = functional.scaled_dot_product_attention(*split, scale=case.scale)
    np.testing.assert_allclose(case.expected(), wanted.transpose(1, 2).flatten(2), rtol=1e-10)


def test_operator_and_body_equal_the_reference(case):
    expected = case.expected()
    for found in (by_operator(case), by_function_body(case)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_float16_is_stored_and_float32_is_computed(case):
    expected = case.expected()
    answer = cross_attention_op(*tensors(case, torch.float16), case.heads, case.scale)
    assert answer.dtype == torch.float16
    np.testing.assert_allclose(answer.numpy(), expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(by_function_body(case, np.float16), expected, rtol=1e-2, atol=1e-2)


def test_the_reference_for_gpus_is_the_reference(case):
    found = evaluate(*tensors(case), case.heads, case.scale, dtype=torch.float64)
    np.testing.assert_allclose(found, case.expected(), rtol=1e-10, atol=1e-12)


@settings(max_examples=20, deadline=None)
@example(seed=3, batch=3, queries=2, keys=2, heads=3, head_width=12, positions="none", sharpness=30)
@given(
    seed=st.integers(0, 10**6),
    batch=st.integers(1, 3),
    queries=st.integers(1, 9),
    keys=st.integers(1, 9),
    heads=st.integers(1, 4),
    head_width=st.integers(1, 12),
    positions=st.sampled_from(POSITIONS),
    sharpness=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_any_size(seed, batch, queries, keys, heads, head_width, positions, sharpness):
    size = CrossSize(batch, queries, keys, heads, head_width)
    case = random_cross_case(seed, size, positions, sharpness)
    expected = case.expected()
    for found in (by_operator(case), by_function_body(case)):
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
    values = case.value.astype(np.float64)  # in float32 the 1e-9 below would be rounded away
    low, high = (getattr(values, name)(1, keepdims=True) for name in ("min", "max"))
    assert ((expected >= low - 1e-9) & (expected <= high + 1e-9)).all(), "a mean of the values"


@pytest.mark.parametrize("run", [by_operator, by_function_body])
def test_large_logits_do_not_overflow(run):
    case = random_cross_case(1, CrossSize(1, 3, 8, 2, 16), "none", sharpness=1e4)
    found = run(case)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, case.expected(), rtol=1e-3, atol=1e-3)


def test_equal_keys_give_the_mean_of_the_values():
    case = random_cross_case(2, CrossSize(1, 4, 12, 2, 8), "none")
    case.key[:] = case.key[:, :1]
    mean = np.broadcast_to(case.value.astype(float).mean(1, keepdims=True), case.query.shape)
    np.testing.assert_allclose(case.expected(), mean, atol=1e-12)
    np.testing.assert_allclose(by_operator(case), mean, atol=1e-6)


def test_operator_passes_opcheck(case):
    torch.library.opcheck(cross_attention_op, (*tensors(case), case.heads, case.scale))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"heads": 3}, "heads 3, query [2, 4, 16]"),
        ({"value": np.zeros((2, 4, 16))}, "value [2, 4, 16]"),
        ({"key": np.zeros((1, 5, 16)), "value": np.zeros((1, 5, 16))}, "key [1, 5, 16]"),
        ({"query": np.zeros((2, 0, 16))}, "query [2, 0, 16]"),
        ({"query_position": np.zeros((3, 16))}, "query_position [3, 16]"),
        ({"key_position": np.zeros((4, 16))}, "query_position none, key_position [4, 16]"),
    ],
)
def test_shapes_that_do_not_fit(change, said):
    arguments = {"query": np.zeros((2, 4, 16)), "key": np.zeros((2, 5, 16)), "heads": 2}
    arguments |= {"value": np.zeros((2, 5, 16)), "scale": 1.0} | change
    with pytest.raises(ExecutorError) as error:
        cross_attention(**arguments)
    assert error.value.what == "the tensors of a cross attention do not fit together"
    assert said in error.value.found


def test_heads_that_are_too_wide():
    wide = torch.zeros(1, 2, 136)
    with pytest.raises(ExecutorError, match="at most 128 to a head"):
        cross_attention_op(wide, wide, wide, None, None, 1, 1.0)


@pytest.mark.parametrize("positions", ["none", "both", "query"])
def test_module_exports_to_one_node_that_onnx_runtime_runs(positions):
    case = random_cross_case(3, CrossSize(2, 5, 7, 4, 8), positions)
    module = CrossAttention(case.heads, 8).eval()
    q, k, v, at_q, at_k = tensors(case)
    batch = torch.export.Dim("batch", min=1, max=64)
    names = [n for n, t in zip(INPUTS, (q, k, v, at_q, at_k), strict=True) if t is not None]
    positions_given = [t for t in (at_q, at_k) if t is not None]
    model = torch.onnx.export(
        module,
        (q, k, v, *positions_given),
        dynamo=True,
        opset_version=OPSET,
        input_names=names,
        dynamic_shapes=({0: batch},) * 3 + (None,) * len(positions_given),
        verbose=False,
    ).model_proto
    nodes = [node for node in model.graph.node if node.op_type == NAME]
    assert len(nodes) == 1 and len(nodes[0].input) == (3 if positions == "none" else 5)
    assert add_bodies(model) == 1
    assert add_bodies(model) == 1 and len(model.functions) == 1
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    given = dict(zip(names, (x for x in case.tensors() if x is not None), strict=True))
    (found,) = session.run(None, given)
    np.testing.assert_allclose(found, case.expected(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(module(q, k, v, at_q, at_k), case.expected(), rtol=1e-4, atol=1e-5)


def test_nodes_with_and_without_positions_are_refused():
    nodes = [
        onnx.helper.make_node(NAME, INPUTS[:n], [f"o{n}"], name=f"of_{n}", domain=DOMAIN)
        for n in (3, 5)
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "two", [], []))
    with pytest.raises(ExecutorError) as error:
        add_bodies(model)
    assert error.value.found == "of_3: 3 inputs, of_5: 5 inputs"
