"""The block that the published models share: convolution, batch norm, leaky ReLU."""

from __future__ import annotations

from enum import Enum

from torch import Tensor, nn

# As published. PyTorch's momentum is the weight of the new batch, so running statistics are all but
# those of the last training batch: nothing for a loaded checkpoint, much for a training run.
PUBLISHED_BN_MOMENTUM = 0.999
NEGATIVE_SLOPE = 0.1


class BlockActivation(str, Enum):
    """The function at the end of a block."""

    LEAKY_RELU = "leaky-relu"  # slope 0.1 below zero, as all of DetGeo's blocks
    RELU = "relu"


class ConvBlock(nn.Module):
    """leaky ReLU 0.1 of batch norm of a convolution without bias ("CBL" of the DetGeo code).

    Parameter names are the published ones: `conv.weight`, `bn.*`.

    Args:
        c_in: channels in.
        c_out: channels out.
        kernel: side of the kernel in cells.
        stride: step in cells.
        padding: cells on each side; None keeps the size for odd kernels.
        bn_momentum: of the running statistics, see `PUBLISHED_BN_MOMENTUM`.
        activation: what follows the norm.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 1,
        stride: int = 1,
        padding: int | None = None,
        bn_momentum: float = PUBLISHED_BN_MOMENTUM,
        activation: BlockActivation = BlockActivation.LEAKY_RELU,
    ) -> None:
        super().__init__()
        pad = (kernel - 1) // 2 if padding is None else padding
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, pad, bias=False)
        self.bn = nn.BatchNorm2d(c_out, momentum=bn_momentum)
        self.activation = activation

    def activate(self, x: Tensor) -> Tensor:
        """All that follows the convolution: [B, c_out, H, W] -> the same."""
        normed: Tensor = self.bn(x)
        if self.activation is BlockActivation.RELU:
            return normed.relu()
        return nn.functional.leaky_relu(normed, NEGATIVE_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """[B, c_in, H, W] -> [B, c_out, H / stride, W / stride]."""
        return self.activate(self.conv(x))
