"""CVCAM, the cross-view cross-attention module of AttenGeo (arXiv 2510.27139).

k iterations of two cross-attention blocks, then one that fuses:

    Q_{i+1} = CAB(Q_i; R_i)    query side, reads the reference
    R_{i+1} = CAB(R_i; Q_i)    reference side, reads the query
    O = CAB(R_k; Q_k)          [C, H, W], on the grid of the reference

A block is attention and a feed-forward net, each with a residual and a LayerNorm:

    Y = LN(X + A(X + P_x, Z + P_z, Z)),  CAB(X; Z) = LN(Y + W_2 relu(W_1 Y))

with sine positions P on query and key. No two blocks share weights. All that the paper leaves open
is a field of `CvcamOptions`; the defaults reproduce its published cost, and where cost decides
nothing they are those of TransT (CVPR 2021), whose fusion network this is without self-attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.models.bounds import check_not_negative, check_positive, check_rate
from training.models.sine_positions import SineLayout, sine_positions


class Attention(str, Enum):
    """How the four projections of an attention are held and initialised; both compute the same."""

    MHA = "mha"  # nn.MultiheadAttention: one joint Xavier matrix for q, k and v, zero biases
    LINEAR = "linear"  # four nn.Linear with their own default initialisation


class Scaling(str, Enum):
    """What the products of queries and keys are divided by in front of the softmax."""

    SQRT_D = "sqrt-d"  # sqrt(C / heads): equation 1 of the paper, and nn.MultiheadAttention
    NONE = "none"  # 1: equation 4


class Reads(str, Enum):
    """What the reference-side block of an iteration reads."""

    PARALLEL = "parallel"  # Q_i, as TransT
    SEQUENTIAL = "sequential"  # Q_{i+1}


class NormOrder(str, Enum):
    """Where the two LayerNorms of a block are."""

    POST = "post"  # after each residual sum, as TransT
    PRE = "pre"  # on the input of attention and feed-forward net; the residual path stays bare


class Activation(str, Enum):
    """The function between the two layers of the feed-forward net."""

    RELU = "relu"
    GELU = "gelu"


@dataclass(frozen=True, slots=True)
class CvcamOptions:
    """The choices inside CVCAM; only the first three change the number of parameters.

    Raises:
        ValueError: a number that shapes nothing, or a width that heads or positions do not divide.
    """

    width: int = 256  # C
    ffn: int = 1024  # hidden units of the feed-forward net
    iterations: int = 4  # k of the paper
    heads: int = 8
    attention: Attention = Attention.MHA
    reads: Reads = Reads.PARALLEL
    norm: NormOrder = NormOrder.POST
    activation: Activation = Activation.RELU
    dropout: float = 0.1
    positions: SineLayout = SineLayout.INTERLEAVED
    first_index: int = 0  # of the positions
    scaling: Scaling = Scaling.SQRT_D

    def __post_init__(self) -> None:
        check_positive(self, "width", "ffn", "iterations", "heads")
        check_rate(self, "dropout")
        check_not_negative(self, "first_index")
        if self.width % self.heads or self.width % 4:
            raise ValueError(
                "width is a multiple of 4, for the sine positions, and of heads, got "
                f"width {self.width} and heads {self.heads}"
            )


class LinearAttention(nn.Module):
    """Dot-product attention with four plain Linear layers."""

    def __init__(
        self, width: int, heads: int, dropout: float, scaling: Scaling = Scaling.SQRT_D
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.scaling = scaling
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query [N, L, C], key and value [N, S, C] -> [N, L, C]."""
        split = (self.heads, -1)
        q = self.query(query).unflatten(2, split).transpose(1, 2)  # [N, heads, L, C / heads]
        k = self.key(key).unflatten(2, split).transpose(1, 2)
        v = self.value(value).unflatten(2, split).transpose(1, 2)
        dropout = self.dropout if self.training else 0.0
        scale = 1.0 if self.scaling is Scaling.NONE else None  # None: 1 / sqrt(C / heads)
        mixed = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scale)
        attended: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return attended


class UnscaledAttention(nn.MultiheadAttention):
    """nn.MultiheadAttention whose products are not divided: its query is sqrt(C / heads) longer."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query [N, L, C], key and value [N, S, C] -> [N, L, C]."""
        longer = (self.embed_dim // self.num_heads) ** 0.5
        one = torch.ones_like(self.in_proj_bias[: self.embed_dim])
        factor = torch.cat([longer * one, one, one])  # [3 C]: of q, k and v
        attended, _ = functional.multi_head_attention_forward(
            query.transpose(0, 1),
            key.transpose(0, 1),
            value.transpose(0, 1),
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight * factor.unsqueeze(1),
            self.in_proj_bias * factor,
            None,
            None,
            False,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            need_weights=False,
        )
        return attended.transpose(0, 1)


class CrossAttentionBlock(nn.Module):
    """CAB: attention of one view to the other, then a feed-forward net."""

    def __init__(self, o: CvcamOptions) -> None:
        super().__init__()
        self.pre_norm = o.norm == NormOrder.PRE
        self.attention: nn.Module
        if o.attention == Attention.MHA:
            kind = UnscaledAttention if o.scaling == Scaling.NONE else nn.MultiheadAttention
            self.attention = kind(o.width, o.heads, dropout=o.dropout, batch_first=True)
        else:
            self.attention = LinearAttention(o.width, o.heads, o.dropout, o.scaling)
        self.norm1 = nn.LayerNorm(o.width)
        self.norm2 = nn.LayerNorm(o.width)
        self.ffn = nn.Sequential(
            nn.Linear(o.width, o.ffn),
            nn.ReLU() if o.activation == Activation.RELU else nn.GELU(),
            nn.Dropout(o.dropout),
            nn.Linear(o.ffn, o.width),
        )
        self.dropout = nn.Dropout(o.dropout)

    def forward(self, x: Tensor, x_positions: Tensor, z: Tensor, z_positions: Tensor) -> Tensor:
        """Tokens `x` [N, L, C] read `z` [N, S, C]; positions [L, C] and [S, C] -> [N, L, C]."""
        keys = z + z_positions
        if self.pre_norm:
            x = x + self.dropout(self.attend(self.norm1(x) + x_positions, keys, z))
            return x + self.dropout(self.ffn(self.norm2(x)))
        x = self.norm1(x + self.dropout(self.attend(x + x_positions, keys, z)))
        normed: Tensor = self.norm2(x + self.dropout(self.ffn(x)))
        return normed

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query [N, L, C], key and value [N, S, C] -> [N, L, C]."""
        attended: Tensor
        if isinstance(self.attention, UnscaledAttention):
            attended = self.attention.attend(query, key, value)
        elif isinstance(self.attention, nn.MultiheadAttention):
            attended, _ = self.attention(query, key, value, need_weights=False)
        else:
            attended = self.attention(query, key, value)
        return attended


class Cvcam(nn.Module):
    """The whole module: 2 k + 1 blocks."""

    def __init__(self, options: CvcamOptions | None = None) -> None:
        super().__init__()
        self.options = o = options or CvcamOptions()
        self.query_side = nn.ModuleList(CrossAttentionBlock(o) for _ in range(o.iterations))
        self.reference_side = nn.ModuleList(CrossAttentionBlock(o) for _ in range(o.iterations))
        self.fusion = CrossAttentionBlock(o)

    def forward(self, query: Tensor, reference: Tensor) -> Tensor:
        """Fuse both views.

        Args:
            query: [N, C, h, w].
            reference: [N, C, H, W].

        Returns:
            [N, C, H, W].
        """
        o = self.options
        height, width = reference.shape[2:]
        q, r = query.flatten(2).transpose(1, 2), reference.flatten(2).transpose(1, 2)
        at_q = sine_positions(tuple(query.shape[2:]), o.width, o.positions, o.first_index, like=q)
        at_r = sine_positions((height, width), o.width, o.positions, o.first_index, like=r)
        for query_block, reference_block in zip(self.query_side, self.reference_side, strict=True):
            before = q
            q = query_block(q, at_q, r, at_r)
            r = reference_block(r, at_r, before if o.reads == Reads.PARALLEL else q, at_q)
        fused: Tensor = self.fusion(r, at_r, q, at_q)
        return fused.transpose(1, 2).unflatten(2, (height, width))
