"""A convolution that computes with what INT8 leaves of its input and its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from calibration.quantization.weights import LEVELS, scale_up
from training.quantization.scales import fake_activations, fake_weights


@dataclass
class View:
    """Which graph is being computed: both views share a backbone, and have ranges of their own."""

    kind: str = ""  # "reference_encoder" or "localizer"; "": neither, which nothing quantised runs
    observing: bool = False  # take ranges down, and quantise nothing

    @contextmanager
    def of(self, kind: str) -> Iterator[None]:
        """What runs inside belongs to that graph."""
        before, self.kind = self.kind, kind
        try:
            yield
        finally:
            self.kind = before


@dataclass
class InputRange:
    """Largest magnitude of a convolution's input in each graph, and the scale that it gives."""

    amax: dict[str, float] = field(default_factory=dict)
    scale: dict[str, float] = field(default_factory=dict)

    def set(self, kind: str, amax: float) -> None:
        """The range in one graph.

        Raises:
            OverflowError: no number of float16 is its scale.
        """
        self.amax[kind] = amax
        self.scale[kind] = float(scale_up(np.array(amax / LEVELS)))


class FakeQuantConv(nn.Conv2d):
    """Stands in for a convolution and holds its parameters, under the same names.

    It has no parameter, buffer or module of its own, so that a state dict does not show it. In a
    graph for which it has no range it is the float convolution.

    Args:
        convolution: any with zero padding; `same_pad` of `SameConv` is kept.
        view: of the whole model.
    """

    def __init__(self, convolution: nn.Conv2d, view: View) -> None:
        super().__init__(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,
            convolution.stride,
            convolution.padding,
            convolution.dilation,
            convolution.groups,
            bias=convolution.bias is not None,
            device="meta",  # nothing is drawn: the parameters are taken over
        )
        self.weight = convolution.weight
        self.bias = convolution.bias
        self.same_pad = getattr(convolution, "same_pad", None)
        self.view = view
        self.range = InputRange()

    def fake_input(self, x: Tensor) -> Tensor:
        """What this convolution reads of x. A residual beside it reads the same."""
        kind = self.view.kind
        if self.view.observing:
            largest = float(x.detach().abs().amax())
            self.range.amax[kind] = max(largest, self.range.amax.get(kind, 0.0))
            return x
        scale = self.range.scale.get(kind)
        return x if scale is None else fake_activations(x, scale)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C_in, H, W] -> [B, C_out, H', W']."""
        x = self.fake_input(x)
        quantised = not self.view.observing and self.view.kind in self.range.scale
        weight = fake_weights(self.weight) if quantised else self.weight
        if self.same_pad is not None:
            x = nn.functional.pad(x, self.same_pad)  # zero is a level of its own
        return self._conv_forward(x, weight, self.bias)
