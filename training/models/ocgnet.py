"""OCGNet: object-level cross-view geo-localization (JSTARS 2025, arXiv 2505.17911).

DetGeo, with three changes that its ablation removes one by one:

* Gaussian Kernel Transfer (GKT): the click map is a Gaussian; `click_encoding="squared-distance"`
  puts DetGeo's back. Sigma is an option, so each checkpoint carries its own: the released drone
  weights use 0.1 and 0.075, the paper says 0.075 (drone) and 0.15 (ground).
* Location Enhancement (LE): channel mean of ResNet's layer1 beside the click map pooled by 4, an
  8 x 8 convolution of stride 8, a leaky ReLU: one unbounded gate per query cell.
* Multi-head cross attention (MHCA): query cells attend to the reference max-pooled by 8; the result
  multiplies the query features. No residual, norm or position.

    q = mean over cells of LE * (out(softmax(Q K^T / 8) V) * F)        F the mapped query features

K and V depend on the window and on the query's grid alone, so they are cached. With full Darknet:
74,845,918 parameters, and names that load the authors' checkpoints. `query_backbone` chooses the
README's ConvNeXt-Tiny instead of ResNet-18.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.models.click_maps import ClickEncoding
from training.models.convnext_tiny import ConvNeXtTinyQuery
from training.models.cosine_localizer import (
    EMBEDDING,
    CosineLocalizer,
    CosineLocalizerOptions,
)
from training.models.darknet import STRIDE_PX
from training.models.resnet import EARLY_STRIDE, ResNet18

QUERY_STRIDE_PX = 32  # frame pixels per query cell
POOL = 8  # reference cells per token side, and early cells per LE gate side
HEADS = 8


@dataclass(frozen=True, slots=True)
class OCGNetOptions(CosineLocalizerOptions):
    """What shapes an OCGNet; stored in every checkpoint.

    Raises:
        ValueError: see the classes that it extends, or a window too small to be pooled for MHCA.
    """

    click_encoding: str = ClickEncoding.GAUSSIAN.value  # GKT
    location_enhancement: bool = True  # LE
    cross_attention: bool = True  # MHCA
    query_backbone: str = "resnet18"  # or convnext-tiny

    def __post_init__(self) -> None:
        CosineLocalizerOptions.__post_init__(self)
        if self.cross_attention and self.window_px < POOL * STRIDE_PX:
            raise ValueError(
                f"window_px is at least {POOL * STRIDE_PX} where cross_attention pools the "
                f"reference by {POOL}, got {self.window_px}"
            )


class MultiHeadCrossAttention(nn.Module):
    """Attention of query cells over reference tokens, times the query features (MHCA)."""

    def __init__(self, width: int = EMBEDDING, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def keys_values(self, reference: Tensor, grid_hw: tuple[int, int]) -> dict[str, Tensor]:
        """What depends on the window only.

        Args:
            reference: [B, C, Hg, Wg] mapped, not normalised.
            grid_hw: rows and columns of the query grid, which the pooled map is resized to.

        Returns:
            key and value, [B, T, C] each, T the cells of the query grid.
        """
        pooled = nn.functional.max_pool2d(reference, POOL)
        if pooled.shape[-2:] != grid_hw:
            pooled = nn.functional.interpolate(
                pooled, grid_hw, mode="bilinear", align_corners=False
            )
        tokens = pooled.flatten(2).transpose(1, 2)  # [B, T, C]
        return {"key": self.key(tokens), "value": self.value(tokens)}

    def forward(self, features: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend.

        Args:
            features: [M, C, h, w] of the query.
            key: [M, T, C].
            value: like key.

        Returns:
            [M, C, h, w].
        """
        query = self.query(features.flatten(2).transpose(1, 2))
        by_heads = (self._split(tokens) for tokens in (query, key, value))
        mixed = nn.functional.scaled_dot_product_attention(*by_heads)
        attended = self.out(mixed.transpose(1, 2).flatten(2))  # [M, h w, C]
        return attended.transpose(1, 2).unflatten(2, features.shape[-2:]) * features

    def _split(self, tokens: Tensor) -> Tensor:
        """[B, T, C] -> [B, heads, T, C / heads]."""
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)


def _query_backbone(name: str) -> ResNet18 | ConvNeXtTinyQuery:
    backbones = {"resnet18": ResNet18, "convnext-tiny": ConvNeXtTinyQuery}
    if name not in backbones:
        raise ValueError(f"unknown query_backbone {name!r}; known: {', '.join(backbones)}")
    backbone: ResNet18 | ConvNeXtTinyQuery = backbones[name]()
    return backbone


class OCGNet(CosineLocalizer):
    """The whole model; see the module's text."""

    name: ClassVar[str] = "ocgnet"
    options: OCGNetOptions

    def __init__(self, options: OCGNetOptions | None = None) -> None:
        super().__init__(options or OCGNetOptions())
        self.combine_clickptns_conv1 = self.block(4, 3)
        self.query_resnet = _query_backbone(self.options.query_backbone)
        self.query_mapping_visu = self.block(self.query_resnet.channels, EMBEDDING)
        if self.options.location_enhancement:
            self.combine_clickptns_conv2 = self.block(2, 1, POOL, POOL)
        if self.options.cross_attention:
            self.queryreferencefusion = MultiHeadCrossAttention()

    def query_features(self, reference: Tensor) -> dict[str, Tensor]:
        """key and value of MHCA, [B, T, 512] each; nothing without it."""
        if not self.options.cross_attention:
            return {}
        height, width = self.options.frame_hw_px
        grid_hw = (height // QUERY_STRIDE_PX, width // QUERY_STRIDE_PX)
        return self.queryreferencefusion.keys_values(reference, grid_hw)

    def query_vectors(
        self, frame: Tensor, click_xy_px: Tensor, features: dict[str, Tensor]
    ) -> Tensor:
        """q of the equations; see `CosineLocalizer.query_vectors`.

        Raises:
            ValueError: the frames do not have the size of the options.
        """
        if frame.shape[-2:] != self.options.frame_hw_px:
            raise ValueError(
                f"ocgnet was built for frames of {self.options.frame_hw_px} px (height, width), "
                f"got {tuple(frame.shape[-2:])}: its keys are resized to the grid of the frame"
            )
        drawn = self.click_map(click_xy_px, self.options.frame_hw_px)
        x = self.combine_clickptns_conv1(torch.cat([self.scale(frame), drawn], 1))
        early, late = self.query_resnet(x)
        mapped: Tensor = self.query_mapping_visu(late)  # [M, 512, h/32, w/32]
        if self.options.cross_attention:
            mapped = self.queryreferencefusion(mapped, features["key"], features["value"])
        if self.options.location_enhancement:
            pooled = nn.functional.avg_pool2d(drawn, EARLY_STRIDE)
            gate = self.combine_clickptns_conv2(torch.cat([early.mean(1, keepdim=True), pooled], 1))
            mapped = mapped * gate
        return mapped.mean((2, 3))
