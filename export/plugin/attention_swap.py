"""Puts CrossAttention into a built OCGNet, AttenGeo or TROGeo, with the same weights.

Input and output projections stay linear layers. Where positions are added in front of a projection
(CVCAM), W (x + P) + b = (W x + b) + W P, and W P becomes a constant of the step: so a swapped
CVCAM serves the two grids of its model's options and no other. A swapped model is for inference;
its answers are the model's own to float32 accuracy, its state dict is another.
"""

from __future__ import annotations

from torch import Tensor, nn

from edge.errors import UsageError
from export.plugin.cross_attention_op import CrossAttention
from training.models.attengeo import AttenGeo
from training.models.convnext import STRIDE_PX as CONVNEXT_STRIDE
from training.models.cvcam import (
    CrossAttentionBlock,
    Cvcam,
    LinearAttention,
    Scaling,
    UnscaledAttention,
)
from training.models.cvopm import HEAD_CHANNELS, TokenAttention
from training.models.darknet import STRIDE_PX as DARKNET_STRIDE
from training.models.detgeo_ports import PortedDetGeo
from training.models.ocgnet import QUERY_STRIDE_PX, MultiHeadCrossAttention
from training.models.sine_positions import sine_positions


class SwappedMhca(MultiHeadCrossAttention):
    """OCGNet's attention of query cells to reference tokens."""

    def __init__(self, old: MultiHeadCrossAttention) -> None:
        nn.Module.__init__(self)
        self.heads = old.heads
        for name in ("query", "key", "value", "out"):
            setattr(self, name, getattr(old, name))
        self.attention = CrossAttention(old.heads, old.query.out_features // old.heads)

    def forward(self, features: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `MultiHeadCrossAttention.forward`."""
        query = self.query(features.flatten(2).transpose(1, 2))
        attended = self.out(self.attention(query, key, value))  # [M, h w, C]
        return attended.transpose(1, 2).unflatten(2, features.shape[-2:]) * features


class SwappedTokenAttention(nn.Module):
    """CVOPM's attention, without positions."""

    def __init__(self, old: TokenAttention) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v, self.to_out = old.to_q, old.to_k, old.to_v, old.to_out
        heads = old.to_q.out_features // HEAD_CHANNELS
        self.attention = CrossAttention(heads, HEAD_CHANNELS)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """See `TokenAttention.forward`."""
        mixed = self.attention(self.to_q(x), self.to_k(context), self.to_v(context))
        attended: Tensor = self.to_out(mixed)
        return attended


class PositionedAttention(nn.Module):
    """CVCAM's attention of one block, either form, with projected positions as constants.

    Args:
        old: the attention.
        query_position: P_x [L, C], what the block adds to its query tokens.
        key_position: P_z [S, C].
    """

    query_position: Tensor
    key_position: Tensor

    def __init__(
        self,
        old: nn.Module,
        query_position: Tensor,
        key_position: Tensor,
    ) -> None:
        super().__init__()
        heads, layers = parts_of(old)
        self.query, self.key, self.value, self.out = layers
        self.attention = CrossAttention(heads, self.query.out_features // heads)
        for name, layer, position in (
            ("query_position", self.query, query_position),
            ("key_position", self.key, key_position),
        ):
            wide = layer.weight.detach().double()
            projected = (position.to(wide) @ wide.t()).to(layer.weight.dtype)
            self.register_buffer(name, projected)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Tokens [N, L, C] read [N, S, C], both without positions -> [N, L, C].

        Raises:
            UsageError: the tokens are not of the grids that the positions are of.
        """
        expected = len(self.query_position), len(self.key_position)
        if (x.shape[1], z.shape[1]) != expected:
            raise UsageError(
                "a CVCAM with folded positions was given other grids",
                expected=f"{expected[0]} tokens that read {expected[1]}",
                found=f"{x.shape[1]} that read {z.shape[1]}",
                do="give frames and windows of the sizes in the model's options",
            )
        mixed = self.attention(
            self.query(x), self.key(z), self.value(z), self.query_position, self.key_position
        )
        attended: Tensor = self.out(mixed)
        return attended


class SwappedBlock(CrossAttentionBlock):
    """CVCAM's block around it; what the caller gives as positions is in there already."""

    def __init__(
        self, old: CrossAttentionBlock, query_position: Tensor, key_position: Tensor
    ) -> None:
        nn.Module.__init__(self)
        self.pre_norm = old.pre_norm
        self.attention: nn.Module = PositionedAttention(old.attention, query_position, key_position)
        self.norm1, self.norm2, self.ffn = old.norm1, old.norm2, old.ffn
        self.dropout = old.dropout

    def forward(self, x: Tensor, x_positions: Tensor, z: Tensor, z_positions: Tensor) -> Tensor:
        """See `CrossAttentionBlock.forward`."""
        del x_positions, z_positions
        if self.pre_norm:
            x = x + self.dropout(self.attention(self.norm1(x), z))
            return x + self.dropout(self.ffn(self.norm2(x)))
        x = self.norm1(x + self.dropout(self.attention(x, z)))
        normed: Tensor = self.norm2(x + self.dropout(self.ffn(x)))
        return normed


def parts_of(old: nn.Module) -> tuple[int, tuple[nn.Linear, nn.Linear, nn.Linear, nn.Linear]]:
    """Heads, and the linear layers of query, key, value and output, of either form of attention."""
    if isinstance(old, LinearAttention):
        first = _longer(old.query, old.heads) if old.scaling is Scaling.NONE else old.query
        return old.heads, (first, old.key, old.value, old.out)
    if not isinstance(old, nn.MultiheadAttention):
        raise TypeError(f"an attention of CVCAM, not {type(old).__name__}")
    made = []
    for weight, bias in zip(old.in_proj_weight.chunk(3), old.in_proj_bias.chunk(3), strict=True):
        layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
        layer.weight, layer.bias = (nn.Parameter(t.detach().clone()) for t in (weight, bias))
        made.append(layer)
    query, key, value = made
    if isinstance(old, UnscaledAttention):
        query = _longer(query, old.num_heads)
    return old.num_heads, (query, key, value, old.out_proj)


def _longer(query: nn.Linear, heads: int) -> nn.Linear:
    """The layer of an attention that does not divide by sqrt(d), for one that does."""
    longer = (query.out_features // heads) ** 0.5
    layer = nn.Linear(query.in_features, query.out_features, device="meta")
    layer.weight, layer.bias = (
        nn.Parameter(t.detach() * longer) for t in (query.weight, query.bias)
    )
    return layer


def swap_attention(model: nn.Module) -> int:
    """Replace a model's attentions in place; nothing in a model without any.

    Args:
        model: of `training.models`, in evaluation mode.

    Returns:
        The number of attentions that are CrossAttention now.

    Raises:
        UsageError: the model is in training mode (the operator has no gradient and no dropout), or
            has a CVCAM between grids that are not known here.
    """
    if model.training:
        raise UsageError(
            "the attention of a model in training cannot be swapped",
            expected="a model in evaluation mode",
            found="training mode",
            do="call .eval() on it first",
        )
    swapped = 0
    for module in list(model.modules()):
        if isinstance(module, Cvcam):
            swapped += swap_cvcam(module, *_grids_hw(model))
        for name, child in list(module.named_children()):
            new: nn.Module
            if type(child) is MultiHeadCrossAttention:
                new = SwappedMhca(child)
            elif isinstance(child, TokenAttention):
                new = SwappedTokenAttention(child)
            else:
                continue
            setattr(module, name, new.eval())
            swapped += 1
    return swapped


def swap_cvcam(cvcam: Cvcam, query_hw: tuple[int, int], reference_hw: tuple[int, int]) -> int:
    """Replace the attentions of one CVCAM for these rows and columns of tokens; their number."""
    o = cvcam.options
    at_query, at_reference = (
        sine_positions(hw, o.width, o.positions, o.first_index) for hw in (query_hw, reference_hw)
    )
    sides = ((cvcam.query_side, at_query, at_reference),)
    sides += ((cvcam.reference_side, at_reference, at_query),)
    for blocks, own, read in sides:
        for index, block in enumerate(blocks):
            blocks[index] = SwappedBlock(block, own, read).eval()
    cvcam.fusion = SwappedBlock(cvcam.fusion, at_reference, at_query).eval()
    return len(cvcam.query_side) + len(cvcam.reference_side) + 1


def _grids_hw(model: nn.Module) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns of the query's and the reference's tokens in CVCAM."""
    strides = {AttenGeo: (CONVNEXT_STRIDE, CONVNEXT_STRIDE)}
    strides[PortedDetGeo] = (QUERY_STRIDE_PX, DARKNET_STRIDE)
    if type(model) not in strides:
        raise UsageError(
            "the positions of this model's CVCAM are not known",
            expected="a model of " + ", ".join(kind.name for kind in strides),
            found=type(model).__name__,
            do="add the strides of its two token grids to export/plugin/attention_swap.py",
        )
    query, reference = strides[type(model)]
    (height, width), side = model.options.frame_hw_px, model.options.window_px
    return (height // query, width // query), (side // reference, side // reference)
