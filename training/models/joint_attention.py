"""Models whose window attends to the query cell by cell: AttenGeo, TROGeo, ported CVCAM.

Fusion sees both views at once, so there is no head to fold and no cosine map. What can be cached is
the reference up to the first layer that reads the query. The evidence for "not in this window" is
taken from the confidence logits, their maximum over anchors: first and second peak of that map.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from training.models.anchor_head import decode_maps
from training.models.contract import Clicks, CrossViewModel, HeadMaps, Localizations
from training.models.peaks import peaks

# Below every confidence logit, and still a number in FP16.
LOWEST_LOGIT = -1.0e4


class JointAttentionModel(CrossViewModel):
    """`forward` and `localize` from the three parts that a model of this kind has.

    These are `encode_reference`, `encode_query` and `fuse`. A click is drawn into its frame before
    the backbone, so each click costs a pass of the query branch.
    """

    anchors_wh_px: Tensor  # [A, 2]
    lowest_similarity: float = LOWEST_LOGIT  # -1 for a model whose similarity is a cosine

    @abstractmethod
    def encode_query(self, frame: Tensor, click_xy_px: Tensor) -> Tensor:
        """Query features, one per click.

        Args:
            frame: [M, 3, h, w] RGB 0..255 float32, each click's own frame.
            click_xy_px: [M, 2] pixels of the frames.

        Returns:
            [M, C, h', w'].
        """

    @abstractmethod
    def fuse(self, query: Tensor, features: dict[str, Tensor]) -> HeadMaps:
        """All that reads both views.

        Args:
            query: [M, C, h', w'] from `encode_query`.
            features: [M, ...] from `encode_reference`, each click's own window.
        """

    def fuse_training(self, query: Tensor, features: dict[str, Tensor]) -> HeadMaps:
        """As `fuse`, with what only a training loss reads; nothing unless a model has it."""
        return self.fuse(query, features)

    def forward(self, frame: Tensor, window: Tensor, clicks: Clicks) -> HeadMaps:
        """See `CrossViewModel.forward`."""
        features = self.encode_reference(window)
        own = {name: tensor[clicks.window] for name, tensor in features.items()}
        return self.fuse_training(self.encode_query(frame[clicks.frame], clicks.xy_px), own)

    def localize(
        self, frame: Tensor, click_xy_px: Tensor, features: dict[str, Tensor]
    ) -> Localizations:
        """See `CrossViewModel.localize`; both peaks come from `HeadMaps.similarity`."""
        n = len(click_xy_px)
        own = {name: tensor.float().expand(n, *tensor.shape) for name, tensor in features.items()}
        query = self.encode_query(frame.expand(n, *frame.shape), click_xy_px)
        maps = self.fuse(query, own)
        box, logit = decode_maps(maps.boxes, self.anchors_wh_px, self.options.stride_px)
        peak, second = peaks(maps.similarity, self.lowest_similarity)
        return Localizations(box, logit, peak, second, maps.attention)

    def keep_anchors(self) -> None:
        """Hold the options' anchors as a buffer that state dicts leave out."""
        anchors = torch.tensor(self.options.anchors_wh_px)
        self.register_buffer("anchors_wh_px", anchors, persistent=False)
