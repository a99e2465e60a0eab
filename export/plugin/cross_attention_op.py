"""CrossAttention in torch: an operator, and a module that exports as one ONNX node.

The operator's CPU implementation is its equations in float32; the one for CUDA is the plugin's
kernel (`export.plugin.cross_attention_cuda.register_cuda`). In an export the module becomes a node
`tilefix::CrossAttention`; `cross_attention_onnx.add_bodies` puts its body beside it.
"""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn

from export.plugin.cross_attention import check_shapes

OPERATOR = "tilefix::cross_attention"
NODE = "tilefix::CrossAttention"
PLUGIN_VERSION = "1"
MaybeTensor = Optional[Tensor]  # noqa: UP045 - torch reads the annotation


def evaluate(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_position: Tensor | None,
    key_position: Tensor | None,
    heads: int,
    scale: float,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The equations of `cross_attention` on any device; arguments as there.

    Args:
        dtype: of all arithmetic, and of the answer. float64 is a reference for GPUs.
    """
    q, k, v = query.to(dtype), key.to(dtype), value.to(dtype)
    if query_position is not None:
        q = q + query_position.to(dtype)
    if key_position is not None:
        k = k + key_position.to(dtype)
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    weight = (scale * (q @ k.transpose(2, 3))).softmax(3)  # [B, heads, L, S]
    return (weight @ v).transpose(1, 2).flatten(2)


@torch.library.custom_op(OPERATOR, mutates_args=(), device_types="cpu")
def cross_attention_op(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_position: MaybeTensor,
    key_position: MaybeTensor,
    heads: int,
    scale: float,
) -> Tensor:
    """The operator; `CrossAttention` calls it.

    Raises:
        ExecutorError: shapes that do not fit together.
    """
    positions = [None if p is None else p.shape for p in (query_position, key_position)]
    check_shapes(query.shape, key.shape, value.shape, heads, positions[0], positions[1])
    wide = evaluate(query, key, value, query_position, key_position, heads, scale)
    return wide.to(query.dtype)


@cross_attention_op.register_fake
def _shape(query: Tensor, *_: object) -> Tensor:
    return torch.empty_like(query)


class CrossAttention(nn.Module):
    """The operator as a step of a model.

    Args:
        heads: of the attention.
        width: channels of one head; scale is 1 / sqrt(width).
    """

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = width**-0.5

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        query_position: Tensor | None = None,
        key_position: Tensor | None = None,
    ) -> Tensor:
        """Shapes and errors as of `cross_attention`; a node has both positions or none."""
        if not torch.onnx.is_in_onnx_export():
            answer: Tensor = cross_attention_op(
                query, key, value, query_position, key_position, self.heads, self.scale
            )
            return answer
        inputs = [query, key, value]
        if query_position is not None or key_position is not None:
            none = query.new_zeros(1, query.shape[2])  # one row of all tokens
            inputs += [none if p is None else p for p in (query_position, key_position)]
        return torch.onnx.ops.symbolic(
            NODE,
            inputs,
            attrs={
                "heads": self.heads,
                "scale": self.scale,
                "positions": int(len(inputs) > 3),
                "plugin_version": PLUGIN_VERSION,
                "plugin_namespace": "",
            },
            dtype=query.dtype,
            shape=query.shape,
            version=1,
        )
