"""DetGeo: cross-view object geo-localization (Sun et al., IEEE TGRS 2023).

The click is drawn into the drone or ground image as a squared-distance map, a ResNet-18 turns the
four channels into one query vector, and the cosine of that vector with every cell of the satellite
map gates the map before an anchor head. With full Darknet: 73,795,164 parameters, and names that
load the authors' checkpoints after `module.` is stripped.

The click enters before the backbone, so each click runs the query encoder: N clicks are one batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from training.models.cosine_localizer import (
    EMBEDDING,
    CosineLocalizer,
    CosineLocalizerOptions,
)
from training.models.resnet import ResNet18


@dataclass(frozen=True, slots=True)
class DetGeoOptions(CosineLocalizerOptions):
    """What shapes a DetGeo; stored in every checkpoint."""


class DetGeo(CosineLocalizer):
    """The whole model; see the module's text."""

    name: ClassVar[str] = "detgeo"
    options: DetGeoOptions

    def __init__(self, options: DetGeoOptions | None = None) -> None:
        super().__init__(options or DetGeoOptions())
        self.combine_clickptns_conv = self.block(4, 3)
        self.query_resnet = ResNet18()
        self.query_mapping_visu = self.block(self.query_resnet.channels, EMBEDDING)

    def query_vectors(
        self, frame: Tensor, click_xy_px: Tensor, features: dict[str, Tensor]
    ) -> Tensor:
        """Spatial mean of the mapped query features; see `CosineLocalizer.query_vectors`."""
        drawn = self.click_map(click_xy_px, frame.shape[-2:])
        x = self.combine_clickptns_conv(torch.cat([self.scale(frame), drawn], 1))
        mapped: Tensor = self.query_mapping_visu(self.query_resnet(x)[1])  # [M, 512, h/32, w/32]
        return mapped.mean((2, 3))
