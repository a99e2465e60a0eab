"""MHSAM, the multi-head spatial attention module of AttenGeo (arXiv 2510.27139).

Heads of different kernel sizes s look at different neighbourhoods of the fused map:

    M = sigmoid(sum_s D_s(relu(C_s(O)))),   output M * O

C_s is a convolution with kernel s, stride 1, no padding, to more channels; D_s the transposed
convolution of the same kernel back to the input's shape. Hidden channels and biases are those that
reproduce the paper's cost: 256 -> 512 -> 256.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from edge.errors import UsageError

KERNELS = (1, 3, 5)


class Mhsam(nn.Module):
    """The gate; `channels` and `hidden` as in the equation above."""

    def __init__(
        self, channels: int = 256, hidden: int = 512, kernels: Sequence[int] = KERNELS
    ) -> None:
        super().__init__()
        self.kernels = tuple(kernels)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, hidden, kernel),
                nn.ReLU(),
                nn.ConvTranspose2d(hidden, channels, kernel),
            )
            for kernel in self.kernels
        )

    def gate(self, fused: Tensor) -> Tensor:
        """M of the equation, in (0, 1). fused [N, C, H, W] -> [N, C, H, W].

        Raises:
            UsageError: the map is smaller than the largest kernel.
        """
        if min(fused.shape[2:]) < max(self.kernels):
            raise UsageError(
                "the reference window is too small for MHSAM",
                expected=f"a feature map of at least {max(self.kernels)} cells a side",
                found=f"{fused.shape[3]} x {fused.shape[2]} cells",
                do="use a larger window, or build the model with mhsam=False",
            )
        total = self.heads[0](fused)
        for head in self.heads[1:]:
            total = total + head(fused)
        gate: Tensor = total.sigmoid()
        return gate

    def forward(self, fused: Tensor) -> Tensor:
        """The gated map. fused [N, C, H, W] -> [N, C, H, W]."""
        return self.gate(fused) * fused
