"""Layers of `lite` for inference on a GPU, arranged so that torch's own kernels are few.

Eager torch runs a convolution, its bias and its ReLU6 as three kernels, and cuDNN converts layouts
around a float16 convolution of NCHW tensors. Here, with the same answers but for rounding:

    every batch norm is folded (`training.models.folded_norms`);
    activations are [B, H, W, C], and a 1x1 convolution is a product of matrices, which takes its
        bias or adds to its residual in the same kernel;
    relu6(z + b) = clamp(z, -b, 6 - b) + b, and the constant b of a channel waits for the next 1x1
        convolution, which commutes with it: its bias is W b larger;
    zeros around a map stay in a buffer, of which a ReLU6 writes the inside: padding is no kernel.

What a layer leaves waiting is its `waiting`, [C]. Each folds in the type of the model it is made
of; make it narrower afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

RELU6 = 6.0
CHANNELS_READ_TOGETHER = 8  # tensor cores read float16 channels by eights


class Pointwise(nn.Module):
    """A 1x1 convolution over channels with constants that wait in front of it.

    Args:
        convolution: with a bias or without.
        waiting: [C_in].
        later: leave the bias waiting behind it, for the next one.
    """

    weight: Tensor
    bias: Tensor
    waiting: Tensor

    def __init__(self, convolution: nn.Conv2d, waiting: Tensor, later: bool = False) -> None:
        super().__init__()
        weight = convolution.weight[:, :, 0, 0]  # [C_out, C_in]
        bias = weight @ waiting + bias_of(convolution)
        self.later = later
        self.register_buffer("weight", weight.t().contiguous())
        self.register_buffer("bias", bias)
        self.register_buffer("waiting", bias if later else torch.zeros_like(bias))

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """[B, H, W, C_in] -> [B, H, W, C_out]; a residual is added to, in place."""
        rows = x.reshape(-1, x.shape[-1])
        if residual is not None:
            residual.view(-1, residual.shape[-1]).addmm_(rows, self.weight)
            return residual
        y = rows @ self.weight if self.later else torch.addmm(self.bias, rows, self.weight)
        return y.view(*x.shape[:-1], -1)


class Bordered(nn.Module):
    """Maps inside zeros that were written once.

    Args:
        before: rows above and columns on the left.
        after: rows below and columns on the right.
        ones: a channel that is one in there, zeros around it included; None: none is.
    """

    def __init__(self, before: int, after: int, ones: int | None = None) -> None:
        super().__init__()
        self.before, self.after, self.ones = before, after, ones
        self._buffers_by_kind: dict[tuple[object, ...], Tensor] = {}

    def inside(self, shape: torch.Size, like: Tensor) -> tuple[Tensor, Tensor]:
        """The whole buffer [B, H + before + after, ..., C] and its inside, [B, H, W, C]."""
        batch, height, width, channels = shape
        kind = (*shape, like.dtype, like.device)
        if kind not in self._buffers_by_kind:
            around = self.before + self.after
            whole = like.new_zeros(batch, height + around, width + around, channels)
            if self.ones is not None:
                whole[..., self.ones] = 1
            self._buffers_by_kind[kind] = whole
        whole = self._buffers_by_kind[kind]
        rows, columns = (slice(self.before, self.before + n) for n in (height, width))
        return whole, whole[:, rows, columns]

    def relu6(self, x: Tensor) -> Tensor:
        """ReLU6 of x [B, H, W, C] within the zeros."""
        whole, inside = self.inside(x.shape, x)
        torch.clamp(x, 0, RELU6, out=inside)
        return whole


class Depthwise(nn.Module):
    """A depthwise convolution and its ReLU6; its bias waits."""

    weight: Tensor
    low: Tensor
    high: Tensor
    waiting: Tensor

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        bias = bias_of(convolution)
        self.stride, self.padding = convolution.stride, convolution.padding
        weight = convolution.weight.detach().to(memory_format=torch.channels_last)
        self.register_buffer("weight", weight)
        for name, value in (("low", -bias), ("high", RELU6 - bias), ("waiting", bias)):
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, H', W', C], less what waits."""
        nchw = x.permute(0, 3, 1, 2)
        channels = nchw.shape[1]
        y = functional.conv2d(nchw, self.weight, None, self.stride, self.padding, 1, channels)
        y = y.permute(0, 2, 3, 1)
        return torch.clamp(y, self.low, self.high, out=y)


class Inverted(nn.Module):
    """Expand, depthwise, project; added to its input in place where `adds`.

    Args:
        expand: 1x1, or None.
        depthwise: with zeros around its input by `border` (before, after), or by its own padding.
        project: 1x1.
        waiting: [C_in] of its input.
        adds: its input.
        border: of a step of two; None elsewhere.
    """

    waiting: Tensor

    def __init__(
        self,
        expand: nn.Conv2d | None,
        depthwise: nn.Conv2d,
        project: nn.Conv2d,
        waiting: Tensor,
        adds: bool,
        border: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if expand is None and (border is not None or bool(waiting.any())):
            raise ValueError("zeros around a map want the map itself, without what waits")
        self.expand = None if expand is None else Pointwise(expand, waiting)
        self.border = None if border is None else Bordered(*border)
        self.depthwise = Depthwise(depthwise)
        self.project = Pointwise(project, self.depthwise.waiting, later=True)
        self.adds = adds
        after = self.project.waiting + waiting if adds else self.project.waiting
        self.register_buffer("waiting", after)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C_in] -> [B, H', W', C_out], either less what waits."""
        y = x
        if self.expand is not None:
            y = self.expand(y)
            y = functional.relu6(y, inplace=True) if self.border is None else self.border.relu6(y)
        projected: Tensor = self.project(self.depthwise(y), x if self.adds else None)
        return projected


class Stem(nn.Module):
    """Scaling, the first convolution (3 -> C, a step of two) and its ReLU6.

    The image lies in a buffer of eight channels: its three, one of ones, of which one tap makes the
    bias, and zeros.

    Args:
        convolution: its own padding apart.
        border: zeros (before, after) around its input.
    """

    weight: Tensor
    shift: Tensor

    def __init__(self, convolution: nn.Conv2d, border: tuple[int, int]) -> None:
        super().__init__()
        self.stride = convolution.stride
        self.border = Bordered(*border, ones=3)
        old = convolution.weight
        weight = old.new_zeros(old.shape[0], CHANNELS_READ_TOGETHER, *old.shape[2:])
        weight[:, :3] = old
        weight[:, 3, 0, 0] = bias_of(convolution)
        self.register_buffer("weight", weight.to(memory_format=torch.channels_last))
        self.register_buffer("shift", old.new_tensor(-127 / 128))

    def forward(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] RGB 0..255 -> [B, H / 2, W / 2, C]."""
        batch, _, height, width = image.shape
        shape = torch.Size((batch, height, width, CHANNELS_READ_TOGETHER))
        whole, inside = self.border.inside(shape, image)
        torch.add(self.shift, image.permute(0, 2, 3, 1), alpha=1 / 128, out=inside[..., :3])
        y = functional.conv2d(whole.permute(0, 3, 1, 2), self.weight, None, self.stride)
        return functional.relu6(y, inplace=True).permute(0, 2, 3, 1)


def bias_of(convolution: nn.Conv2d) -> Tensor:
    """[C_out]; zeros where there is none."""
    if convolution.bias is not None:
        return convolution.bias.detach()
    return convolution.weight.new_zeros(convolution.out_channels)
