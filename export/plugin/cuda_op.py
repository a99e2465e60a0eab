"""The CUDA implementation of `tilefix::tile_attention`: the plugin's kernel, on torch's stream."""

from __future__ import annotations

import torch
from torch import Tensor

from export.plugin.launcher import KernelLibrary
from export.plugin.tile_attention import TileSettings, check_shapes
from export.plugin.tile_attention_op import Answers, tile_attention_op


def run_kernel(
    library: KernelLibrary,
    inputs: tuple[Tensor, ...],
    settings: TileSettings,
    through_plugin: bool = False,
) -> Answers:
    """One call on the current stream, for one window or a batch of them.

    Memory comes from torch's allocator, so that a capture into a CUDA graph keeps it.

    Args:
        library: with the kernel.
        inputs: the operator's nine; query, v, u and the priors with a window dimension or without.
        settings: the variant.
        through_plugin: by the plugin's own interface, which takes one window.
    """
    query, v, u, *head, xy_px, inv_var = (t.contiguous() for t in inputs)
    batch = query.shape[:-2]
    clicks, cells = query.shape[-2], v.shape[-2] * v.shape[-1]
    shapes = ((4,), (), (), (), (), tuple(v.shape[-2:]))
    outputs = tuple(
        query.new_empty((*batch, clicks, *shape), dtype=torch.float32) for shape in shapes
    )
    windows = batch[0] if batch else 1
    size = library.workspace_bytes(windows, clicks, cells)
    workspace = torch.empty(size, dtype=torch.uint8, device=query.device)
    stream = torch.cuda.current_stream(query.device).cuda_stream if query.is_cuda else 0
    library(
        query, v, u, (head[0], head[1], head[2], head[3]), xy_px, inv_var,
        settings, outputs, workspace, stream, through_plugin,
    )  # fmt: skip
    return outputs  # type: ignore[return-value]


def register_cuda(library: KernelLibrary) -> None:
    """Make the operator work on CUDA tensors; query, v and u are of one type, the rest float32."""

    def run(*given: Tensor | float) -> Answers:
        inputs, numbers = given[:9], given[9:]
        query, v, u, _, confidence, _, _, prior_xy_px, _ = inputs
        check_shapes(query.shape, v.shape, u.shape, confidence.shape, prior_xy_px.shape)
        same = (query.to(v.dtype), v, u.to(v.dtype), *(t.float() for t in inputs[3:]))
        return run_kernel(library, same, TileSettings(*numbers))

    tile_attention_op.register_kernel("cuda")(run)
