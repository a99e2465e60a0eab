"""TileAttention in torch: its equations, the operator `tilefix::tile_attention`, and a module.

The operator has a CPU implementation (the equations below, in float32) and shapes for tracing. The
one for CUDA is the plugin's kernel: `export.plugin.cuda_op.register_cuda` gives it its library. In
an ONNX export the module becomes one node, whose function body is in `tile_attention_onnx`.
"""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.decoding import LEAK, PEAK_RADIUS_CELLS, RANGE_FLOOR
from export.plugin.tile_attention import LENGTH_FLOOR, TileHead, TileSettings, check_shapes

OPERATOR = "tilefix::tile_attention"
NODE = "tilefix::TileAttention"
PLUGIN_VERSION = "1"
Answers = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def evaluate(
    query: Tensor,
    v: Tensor,
    u: Tensor,
    channels: Tensor,
    confidence: Tensor,
    boxes: Tensor,
    anchors: Tensor,
    prior_xy_px: Tensor,
    prior_inv_var: Tensor,
    settings: TileSettings,
    dtype: torch.dtype = torch.float32,
) -> Answers:
    """The equations of `tile_attention` on any device; arguments as there.

    Args:
        dtype: of all arithmetic. float64 is a reference for GPUs, float16 a rough rival.

    Returns:
        Tensors in the order of `tile_attention.OUTPUTS`.
    """
    s = settings
    grid_hw = v.shape[1:]
    head = channels, confidence, boxes, anchors
    channels, confidence, boxes, anchors = (t.to(dtype) for t in head)
    prior_xy_px, prior_inv_var = prior_xy_px.to(dtype), prior_inv_var.to(dtype)
    q = functional.normalize(query.to(dtype), dim=1, eps=LENGTH_FLOOR)
    similarity = q @ v.to(dtype).flatten(1)  # [N, cells]
    stretched = similarity
    if s.min_max:
        low, high = similarity.aminmax(dim=1, keepdim=True)
        spread = high - low
        stretched = (similarity - low) / torch.where(spread > RANGE_FLOOR, spread, 1.0)
    gate = s.gate_offset + s.gate_slope * stretched
    scale, shift, bias = channels.unsqueeze(2).unbind(1)  # [C, 1] each
    x = u.to(dtype).flatten(1) * scale + shift  # [C, cells]
    hidden = functional.leaky_relu(gate.unsqueeze(1) * x + bias, LEAK)  # [N, C, cells]
    cell = torch.arange(similarity.shape[1], device=v.device)
    row, column = cell // grid_hw[1], cell % grid_hw[1]
    centre_px = (torch.stack([column, row], 1) + 0.5) * s.stride_px  # [cells, 2]
    square = (centre_px - prior_xy_px.unsqueeze(1)).square().sum(2)  # [N, cells]
    cell_inv_var = prior_inv_var / (1 + prior_inv_var * (s.stride_px**2 / 12))
    logit = confidence @ hidden + anchors[:, :1] + anchors[:, 1:2] * similarity.unsqueeze(1)
    logit = logit - 0.5 * (cell_inv_var.unsqueeze(1) * square).unsqueeze(1)  # [N, A, cells]
    best = logit.flatten(1).argmax(1)
    anchor, won = best // len(cell), best % len(cell)
    clicks = torch.arange(query.shape[0], device=v.device)
    t = (boxes[anchor] @ hidden[clicks, :, won].unsqueeze(2)).squeeze(2) + anchors[anchor, 2:6]
    centre = (t[:, :2].sigmoid() + torch.stack([column[won], row[won]], 1)) * s.stride_px
    size = t[:, 2:].clamp(-s.log_size_limit, s.log_size_limit).exp() * anchors[anchor, 6:]
    area = size[:, 0] * size[:, 1]
    own = prior_inv_var * (s.centre_var * area + s.floor_var_px2)
    trust = own / (1 + prior_inv_var * s.click_var * area + own)  # in the prior
    centre = centre + trust.unsqueeze(1) * (prior_xy_px - centre)
    peak, top = similarity.max(1)
    apart = torch.maximum(
        (row - row[top].unsqueeze(1)).abs(), (column - column[top].unsqueeze(1)).abs()
    )
    second = similarity.masked_fill(apart <= PEAK_RADIUS_CELLS, -1.0).amax(1)
    return (
        torch.cat([centre - size / 2, centre + size / 2], 1),
        logit.flatten(1).gather(1, best.unsqueeze(1)).squeeze(1),
        peak,
        second,
        similarity.gather(1, won.unsqueeze(1)).squeeze(1),
        stretched.reshape(query.shape[0], *grid_hw).clone(),
    )


@torch.library.custom_op(OPERATOR, mutates_args=(), device_types="cpu")
def tile_attention_op(
    query: Tensor,
    v: Tensor,
    u: Tensor,
    channels: Tensor,
    confidence: Tensor,
    boxes: Tensor,
    anchors: Tensor,
    prior_xy_px: Tensor,
    prior_inv_var: Tensor,
    gate_offset: float,
    gate_slope: float,
    min_max: bool,
    stride_px: float,
    log_size_limit: float,
    click_var: float,
    centre_var: float,
    floor_var_px2: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The operator; `TileAttention` calls it.

    Raises:
        ExecutorError: shapes that do not fit together, or no click.
    """
    check_shapes(query.shape, v.shape, u.shape, confidence.shape, prior_xy_px.shape)
    settings = TileSettings(
        gate_offset,
        gate_slope,
        min_max,
        stride_px,
        log_size_limit,
        click_var,
        centre_var,
        floor_var_px2,
    )
    head = channels, confidence, boxes, anchors
    with torch.autocast("cpu", enabled=False):  # float32 is the operator's promise
        return evaluate(query, v, u, *head, prior_xy_px, prior_inv_var, settings)


@tile_attention_op.register_fake
def _shapes(query: Tensor, v: Tensor, *_: Tensor | float) -> Answers:
    return new_answers(query, v)


def new_answers(query: Tensor, v: Tensor) -> Answers:
    """Uninitialised outputs, float32, for N clicks in a window."""
    n = query.shape[0]
    box, *scalars, attention = (
        query.new_empty(shape, dtype=torch.float32)
        for shape in ((n, 4), (n,), (n,), (n,), (n,), (n, *v.shape[1:]))
    )
    return box, scalars[0], scalars[1], scalars[2], scalars[3], attention


class TileAttention(nn.Module):
    """A head's weights and its variant, as a step of a model.

    Args:
        head: weights; they become buffers.
        settings: the variant.
        attention: also answer with the map; without it the plugin does not write one.
    """

    def __init__(self, head: TileHead, settings: TileSettings, attention: bool = True) -> None:
        super().__init__()
        self.settings = settings
        self.attention = attention
        for name in ("channels", "confidence", "boxes", "anchors"):
            self.register_buffer(name, torch.tensor(getattr(head, name), dtype=torch.float32))

    def forward(
        self, query: Tensor, v: Tensor, u: Tensor, prior_xy_px: Tensor, prior_inv_var: Tensor
    ) -> tuple[Tensor, ...]:
        """Outputs in the order of `tile_attention.OUTPUTS`; shapes and errors as there."""
        head = self.channels, self.confidence, self.boxes, self.anchors
        inputs = (query, v, u, *head, prior_xy_px, prior_inv_var)
        wanted = slice(None) if self.attention else slice(5)
        if not torch.onnx.is_in_onnx_export():
            answers: Answers = tile_attention_op(*inputs, *asdict(self.settings).values())
            return answers[wanted]
        shapes = [answer.shape for answer in new_answers(query, v)][wanted]
        settings = {k: int(x) if k == "min_max" else x for k, x in asdict(self.settings).items()}
        return tuple(
            torch.onnx.ops.symbolic_multi_out(
                NODE,
                inputs,
                attrs={
                    **settings,
                    "attention": int(self.attention),
                    "plugin_version": PLUGIN_VERSION,
                    "plugin_namespace": "",
                },
                dtypes=[torch.float32] * len(shapes),
                shapes=shapes,
                version=1,
            )
        )
