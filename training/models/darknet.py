"""YOLOv3's body and neck, the reference encoder of DetGeo, OCGNet and MOGeo.

Architecture: Redmon and Farhadi, "YOLOv3" (arXiv 1804.02767): Darknet-53 is layers 0..74, then a
top-down neck with three detection branches. The published models use one map of it, the output of
layer 90: 512 channels at stride 16. Layers 80..82 and 91..106 feed nothing else, so they are left
out by default: bit-identical output, 14 % less work, 7.5 million fewer parameters. With
`dead_layers` they are built and run, as the published models do.

Layer numbers and parameter names (`module_list.12.conv_12.weight`) are those of yolov3.cfg and of
the published checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn

from training.models.conv_block import NEGATIVE_SLOPE

OUTPUT_LAYER = 90
OUTPUT_CHANNELS = 512
STRIDE_PX = 16
DEAD_LAYERS = frozenset((80, 81, 82, *range(91, 107)))


class Kind(str, Enum):
    """What a layer does."""

    CONV = "conv"  # convolution, batch norm, leaky ReLU
    LINEAR = "linear"  # convolution with bias alone
    ADD = "add"  # the layer before plus the one three back
    ROUTE = "route"  # concatenation of its sources
    UPSAMPLE = "upsample"  # nearest, x 2
    YOLO = "yolo"  # YOLOv3's own decoding: not part of this network


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of yolov3.cfg."""

    index: int
    kind: Kind
    c_in: int
    c_out: int
    kernel: int = 1
    stride: int = 1
    sources: tuple[int, ...] = ()  # earlier layers read, beyond the one before


class _Lines:
    """Collects layers, counting channels as it goes."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def _add(self, kind: Kind, c_out: int, sources: tuple[int, ...] = (), **shape: int) -> None:
        c_in = self.layers[-1].c_out if self.layers else 3
        if kind is Kind.ROUTE:
            c_in = c_out = sum(self.layers[s].c_out for s in sources)
        self.layers.append(Layer(len(self.layers), kind, c_in, c_out, **shape, sources=sources))

    def conv(self, c_out: int, kernel: int, stride: int = 1) -> None:
        self._add(Kind.CONV, c_out, kernel=kernel, stride=stride)

    def stage(self, width: int, units: int) -> None:
        """A 3x3 of stride 2, then residual units: 1x1 of half the width, 3x3, add."""
        self.conv(width, 3, stride=2)
        for _ in range(units):
            self.conv(width // 2, 1)
            self.conv(width, 3)
            self._add(Kind.ADD, width, (len(self.layers) - 3,))

    def detection(self, width: int) -> None:
        """Three pairs of 1x1 and 3x3, then what YOLOv3 predicts: 3 anchors x (5 + 80 classes)."""
        for _ in range(3):
            self.conv(width, 1)
            self.conv(2 * width, 3)
        self._add(Kind.LINEAR, 255)
        self._add(Kind.YOLO, 255)

    def top_down(self, width: int, source: int, lateral: int) -> None:
        """Route a source through a 1x1, double it, put it beside a lateral layer of the body."""
        self._add(Kind.ROUTE, 0, (source,))
        self.conv(width, 1)
        self._add(Kind.UPSAMPLE, width)
        self._add(Kind.ROUTE, 0, (len(self.layers) - 1, lateral))


def _yolov3() -> tuple[Layer, ...]:
    lines = _Lines()
    lines.conv(32, 3)
    for width, units in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        lines.stage(width, units)
    lines.detection(512)  # layers 75 .. 82
    lines.top_down(256, 79, 61)
    lines.detection(256)  # layers 87 .. 94
    lines.top_down(128, 91, 36)
    lines.detection(128)  # layers 99 .. 106
    return tuple(lines.layers)


LAYERS = _yolov3()


def _module(layer: Layer) -> nn.Sequential:
    module = nn.Sequential()
    if layer.kind in (Kind.CONV, Kind.LINEAR):
        conv = nn.Conv2d(
            layer.c_in,
            layer.c_out,
            layer.kernel,
            layer.stride,
            (layer.kernel - 1) // 2,
            bias=layer.kind is Kind.LINEAR,
        )
        module.add_module(f"conv_{layer.index}", conv)
    if layer.kind is Kind.CONV:
        module.add_module(f"batch_norm_{layer.index}", nn.BatchNorm2d(layer.c_out))
        module.add_module(f"leaky_{layer.index}", nn.LeakyReLU(NEGATIVE_SLOPE))
    elif layer.kind is Kind.UPSAMPLE:
        module.add_module(f"upsample_{layer.index}", nn.Upsample(scale_factor=2, mode="nearest"))
    return module


class Darknet(nn.Module):
    """YOLOv3 up to the map at stride 16.

    Args:
        dead_layers: also build and run the layers that do not reach the output.
    """

    def __init__(self, dead_layers: bool = False) -> None:
        super().__init__()
        self.layers = tuple(x for x in LAYERS if dead_layers or x.index not in DEAD_LAYERS)
        self.module_list = nn.ModuleDict({str(x.index): _module(x) for x in self.layers})
        # layer -> the last one that reads it: its output is dropped after that
        self._last_use = {s: x.index for x in self.layers for s in x.sources}

    def forward(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] float, ImageNet scale, sides multiples of 32 -> [B, 512, H/16, W/16]."""
        x = image
        output = image
        kept: dict[int, Tensor] = {}
        for layer in self.layers:
            if layer.kind is Kind.ADD:
                x = x + kept[layer.sources[0]]
            elif layer.kind is Kind.ROUTE:
                x = torch.cat([kept[s] for s in layer.sources], 1)
            else:
                x = self.module_list[str(layer.index)](x)
            if layer.index == OUTPUT_LAYER:
                output = x
            for source in layer.sources:
                if self._last_use[source] == layer.index:
                    del kept[source]
            if layer.index in self._last_use:
                kept[layer.index] = x
        return output
