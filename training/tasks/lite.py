"""Training `lite`: from cached features or from pictures, with priors and swapped windows.

A larger model, trained before on the same data, may teach: its confidence maps are then targets
beside the labels (`training.losses.distillation`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import UsageError
from training.batches.lite import Batch, Collection
from training.evaluation.lite_validation import validate
from training.losses.agreement import agreement_loss
from training.losses.distillation import distillation_loss
from training.losses.lite import lite_losses
from training.models.folded_norms import hold_folded_norms
from training.models.gated_head import log_prior
from training.models.lite import Lite
from training.recipes.schema import LiteSection
from training.tasks.task import AUTOCAST


class LiteTask:
    """A `training.tasks.task.Task`.

    Args:
        model: what is trained.
        training: rendered samples.
        held_out: others.
        section: what is done to them.
        validation_batch: pairs at once.
        precision: of the convolutions (bfloat16 is several times faster on CPUs that have it, too);
            similarity, head and losses are always float32.
        teacher: what the recipe's `distillation` takes its targets from.

    Raises:
        UsageError: a model for frames that are no squares.
    """

    def __init__(
        self,
        model: Lite,
        training: Collection,
        held_out: Collection,
        section: LiteSection,
        *,
        validation_batch: int,
        precision: str = "float32",
        teacher: Lite | None = None,
    ) -> None:
        height_px, width_px = model.options.frame_hw_px
        if height_px != width_px:
            raise UsageError(
                "a lite is trained on square frames",
                expected="a model of square frames: those of every camera, with borders, fit in",
                found=f"frames of {width_px} x {height_px} px",
                do="begin with a model or a bundle of square frames, and give what comes of it its "
                "shape afterwards: "
                "tilefix export --from-bundle BUNDLE --frame-px WIDTHxHEIGHT",
            )
        self.model: Lite = model
        self.teacher = None if teacher is None else teacher.eval().requires_grad_(False)
        self.training = training
        self.held_out = held_out
        self.section = section
        self.validation_batch = validation_batch
        self.autocast = AUTOCAST.get(precision)

    def __len__(self) -> int:
        return len(self.training)

    def batch(self, indices: list[int], rng: np.random.Generator) -> Batch:
        """See `Task.batch`."""
        return self.training.batch(
            indices,
            rng,
            window_px=self.section.window_px,
            prior_share=self.section.prior_share,
            swap_share=self.section.swap_share,
            frame_px=self.model.options.frame_px if self.section.turn_pictures else 0,
        )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """See `Task.losses`."""
        model = self.model
        encoded = self.encode(model, batch)
        similarity, hidden, logits = self.answer(model, *encoded, batch)
        terms = lite_losses(model, similarity, hidden, logits, batch.box_xyxy_px, batch.present)
        named = {
            "confidence": terms.confidence,
            "box": terms.box,
            "similarity": terms.similarity,
        }
        loss = self.section.labels * terms.total
        if self.teacher is None:
            return {"loss": loss, **named}
        self.teacher.to(logits.device)
        with torch.no_grad():
            taught = self.encode(self.teacher, batch)
            _, _, taught_logits = self.answer(self.teacher, *taught, batch)
        named["distillation"] = distillation_loss(logits, taught_logits)
        loss = loss + self.section.distillation * named["distillation"]
        if self.section.agreement:
            named["agreement"] = agreement_loss(*encoded, *taught)
            loss = loss + self.section.agreement * named["agreement"]
        return {"loss": loss, **named}

    def encode(self, model: Lite, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Query map [B, D, h, w], v [B, D, H, W] and u [B, C, H, W] in float32."""
        device = batch.present.device.type
        with torch.autocast(device, self.autocast, enabled=self.autocast is not None):
            frame, window = batch.frame, batch.window
            if 1 in window:
                query_map = model.encode_query(frame[1].float())
                reference = model.encode_reference(window[1].float())
            else:
                query_map = model.query_from_features(frame)
                reference = model.reference_from_features(window)
        return query_map.float(), {name: tensor.float() for name, tensor in reference.items()}

    def answer(
        self, model: Lite, query_map: Tensor, reference: dict[str, Tensor], batch: Batch
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Similarity [M, H, W], hidden [M, C, H, W] and logits with the prior [M, A, H, W]."""
        similarity, hidden, logits = model.training_maps(
            query_map,
            reference,
            batch.click_xy_px,
            batch.frame_of_click,
            batch.window_of_click,
        )
        grid = (logits.shape[2], logits.shape[3])
        prior = log_prior(batch.prior_xy_px, batch.prior_inv_var, grid, model.options.stride_px)
        return similarity, hidden, logits + prior.unsqueeze(1)

    def set_training(self) -> None:
        """Training mode; a frozen backbone keeps its statistics and gets no gradient.

        Batch norms of a model out of a bundle are folded, and stay so.
        """
        self.model.train()
        hold_folded_norms(self.model)
        if self.section.freeze_backbone:
            self.model.backbone.eval()
            self.model.backbone.requires_grad_(False)

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Scores with and without a prior; see `training.evaluation.lite_validation`."""
        if not isinstance(model, Lite):
            raise TypeError(f"a {type(model).__name__} is no lite")
        return validate(model, self.held_out, self.validation_batch, self.section.window_px, device)

    def merit(self, scores: dict[str, float]) -> float:
        """acc@0.5 without a prior plus that with one: both regimes are flown."""
        return scores["acc@0.5"] + scores["prior_acc@0.5"]

    def names(self, indices: list[int]) -> list[str]:
        """See `Task.names`."""
        placed = [self.training.locate(index) for index in indices]
        return [
            f"{self.training.folders[f].path.name}/{self.training.folders[f].lines[i].id}"
            for f, i in placed
        ]
