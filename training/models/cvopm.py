"""CVOPM, the cross-view object perception module of TROGeo (ICCV 2025).

A transformer block in the manner of latent diffusion, on the tokens of the reference R, reading the
raw tokens Q of the query:

    X = W_in GN(R);   X += A_1(LN(X));   X += A_2(LN(X); Q);   X += FF(LN(X));   O = R + W_out X

    FF(x) = W_2 (a * gelu(b)),  (a, b) = W_1 x          (GEGLU)

W_out starts at zero: an untrained module is the identity. The first line up to A_1 does not see
the query: `before_query` is cached, `with_query` runs per click. Parameter names as published.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

GROUPS = 32
GROUP_NORM_EPS = 1e-6
HEAD_CHANNELS = 64


class TokenAttention(nn.Module):
    """Multi-head attention; q, k and v without bias, the output with one."""

    def __init__(self, channels: int, context_channels: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_channels, channels, bias=False)
        self.to_v = nn.Linear(context_channels, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Tokens [N, L, C] read context [N, S, C'] -> [N, L, C]."""
        split = (-1, HEAD_CHANNELS)
        q = self.to_q(x).unflatten(2, split).transpose(1, 2)  # [N, heads, L, 64]
        k = self.to_k(context).unflatten(2, split).transpose(1, 2)
        v = self.to_v(context).unflatten(2, split).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        attended: Tensor = self.to_out(mixed.transpose(1, 2).flatten(2))
        return attended


class GatedLinear(nn.Module):
    """GEGLU (Shazeer 2020): half of a linear layer's output gates the other half."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        """[..., channels] -> [..., hidden]."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * functional.gelu(gate)


class FeedForward(nn.Module):
    """GEGLU to four times the channels, dropout (0 as published), and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = 4 * channels
        self.net = nn.Sequential(
            GatedLinear(channels, hidden), nn.Dropout(0.0), nn.Linear(hidden, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[..., channels] -> the same shape."""
        mixed: Tensor = self.net(x)
        return mixed


class PerceptionBlock(nn.Module):
    """The three residual steps of the module's text."""

    def __init__(self, channels: int, context_channels: int) -> None:
        super().__init__()
        self.attn1 = TokenAttention(channels, channels)
        self.attn2 = TokenAttention(channels, context_channels)
        self.ff = FeedForward(channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)

    def before_query(self, x: Tensor) -> Tensor:
        """The step that does not see the query. [B, L, C] -> [B, L, C]."""
        normed = self.norm1(x)
        return x + self.attn1(normed, normed)

    def with_query(self, x: Tensor, query: Tensor) -> Tensor:
        """The two other steps. [N, L, C], query tokens [N, S, C'] -> [N, L, C]."""
        x = x + self.attn2(self.norm2(x), query)
        return x + self.ff(self.norm3(x))


class Cvopm(nn.Module):
    """The whole module; `channels` of the reference, `context_channels` of the query."""

    def __init__(self, channels: int = 768, context_channels: int = 768) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=GROUP_NORM_EPS)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([PerceptionBlock(channels, context_channels)])
        self.proj_out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    @property
    def block(self) -> PerceptionBlock:
        """The only block of the published module."""
        only = self.transformer_blocks[0]
        if not isinstance(only, PerceptionBlock):
            raise TypeError(f"a PerceptionBlock, not {type(only).__name__}")
        return only

    def before_query(self, reference: Tensor) -> Tensor:
        """What can be cached beside the reference: [B, C, H, W] -> tokens [B, H W, C]."""
        tokens = self.proj_in(self.norm(reference)).flatten(2).transpose(1, 2)
        return self.block.before_query(tokens)

    def with_query(self, reference: Tensor, tokens: Tensor, query: Tensor) -> Tensor:
        """The rest.

        Args:
            reference: [N, C, H, W].
            tokens: [N, H W, C] of `before_query`.
            query: [N, C', h, w].

        Returns:
            [N, C, H, W].
        """
        read = self.block.with_query(tokens, query.flatten(2).transpose(1, 2))
        grid = read.transpose(1, 2).reshape(reference.shape)
        projected: Tensor = self.proj_out(grid)
        return reference + projected

    def forward(self, reference: Tensor, query: Tensor) -> Tensor:
        """Reference [N, C, H, W], query [N, C', h, w] -> [N, C, H, W]."""
        return self.with_query(reference, self.before_query(reference), query)
