"""The CUDA implementation of `tilefix::cross_attention`: the plugin's kernel, on torch's stream."""

from __future__ import annotations

import torch
from torch import Tensor

from export.plugin.cross_attention import check_shapes
from export.plugin.cross_attention_launcher import CrossAttentionLibrary
from export.plugin.cross_attention_op import cross_attention_op


def run_kernel(
    library: CrossAttentionLibrary,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_position: Tensor | None,
    key_position: Tensor | None,
    heads: int,
    scale: float,
    splits: int = 0,
    through_plugin: bool = False,
) -> Tensor:
    """One call on the current stream; arguments as of `cross_attention`, all of the query's type.

    Memory comes from torch's allocator, so that a capture into a CUDA graph keeps it.

    Args:
        splits: parts of the keys that are read side by side; 0 lets the sizes decide.
        through_plugin: by the plugin's own interface.
    """
    positions = [None if p is None else p.shape for p in (query_position, key_position)]
    check_shapes(query.shape, key.shape, value.shape, heads, positions[0], positions[1])
    q, k, v = (t.to(query.dtype).contiguous() for t in (query, key, value))
    at_q, at_k = (
        None if p is None else p.to(query.dtype).contiguous()
        for p in (query_position, key_position)
    )
    batch, queries, width = q.shape
    attended = torch.empty_like(q)
    size = library.workspace_bytes(batch, queries, k.shape[1], heads, width, splits)
    workspace = torch.empty(size, dtype=torch.uint8, device=q.device)
    stream = torch.cuda.current_stream(q.device).cuda_stream if q.is_cuda else 0
    library(q, k, v, at_q, at_k, heads, scale, attended, workspace, stream, splits, through_plugin)
    return attended


def register_cuda(library: CrossAttentionLibrary) -> None:
    """Make the operator work on CUDA tensors, float16 or float32."""

    def run(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        query_position: Tensor | None,
        key_position: Tensor | None,
        heads: int,
        scale: float,
    ) -> Tensor:
        return run_kernel(library, query, key, value, query_position, key_position, heads, scale)

    cross_attention_op.register_kernel("cuda")(run)
