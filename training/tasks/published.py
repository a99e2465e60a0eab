"""Training one of the published models: its batches, its loss terms, its validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.batches.samples import SampleBatch, SampleReader
from training.evaluation.answering import answer_all
from training.evaluation.metrics import paired_iou, same_cell
from training.losses.term import LossTerm
from training.losses.total import total_loss
from training.models.contract import CrossViewModel, HeadMaps
from training.tasks.task import AUTOCAST


class PublishedTask:
    """A `training.tasks.task.Task`.

    Args:
        model: what is trained.
        training: samples, with augmentation.
        held_out: samples, without.
        terms: of the loss.
        validation_batch: pairs at once.
        precision: of the model's forward; cosine maps, their gates and losses are float32.
    """

    def __init__(
        self,
        model: CrossViewModel,
        training: SampleReader,
        held_out: SampleReader,
        terms: Sequence[LossTerm],
        *,
        validation_batch: int,
        precision: str = "float32",
    ) -> None:
        self.model: CrossViewModel = model
        self.training = training
        self.held_out = held_out
        self.terms = tuple(terms)
        self.validation_batch = validation_batch
        self.precision = precision

    def __len__(self) -> int:
        return len(self.training)

    def batch(self, indices: list[int], rng: np.random.Generator) -> SampleBatch:
        """See `Task.batch`."""
        return self.training.batch(indices, rng)

    def losses(self, batch: SampleBatch) -> dict[str, Tensor]:
        """See `Task.losses`."""
        kind = AUTOCAST.get(self.precision)
        device = batch.frame.device.type
        with torch.autocast(device, kind, enabled=kind is not None):
            maps = self.model(batch.frame.float(), batch.window.float(), batch.clicks())
        return total_loss(
            self.terms,
            _float32(maps),
            batch.truth(),
            self.model.get_buffer("anchors_wh_px"),
            self.model.options.stride_px,
        )

    def set_training(self) -> None:
        """See `Task.set_training`; nothing is frozen."""
        self.model.train()

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """acc@0.5, acc@0.25, mean_iou, centre_accuracy of the held-out samples."""
        was_training = model.training
        model.eval()
        answers = answer_all(model, self.held_out, self.validation_batch, device)
        model.train(was_training)
        iou = paired_iou(answers.truth_xyxy_px, answers.box_xyxy_px)
        if not len(iou):
            return {"clicks": 0.0, "acc@0.5": 0.0}
        cells = same_cell(answers, self.model.options.stride_px)
        scores = {
            "clicks": float(len(iou)),
            "acc@0.5": float((iou > 0.5).mean()),
            "acc@0.25": float((iou > 0.25).mean()),
            "mean_iou": float(iou.mean()),
            "centre_accuracy": float(cells.mean()),
        }
        return {name: round(value, 4) for name, value in scores.items()}

    def merit(self, scores: dict[str, float]) -> float:
        """acc@0.5, as the official code chooses its best checkpoint."""
        return scores["acc@0.5"]

    def names(self, indices: list[int]) -> list[str]:
        """See `Task.names`."""
        return [f"{self.training.source.name}[{index}]" for index in indices]


def _float32(maps: HeadMaps) -> HeadMaps:
    def plain(tensor: Any) -> Any:
        return None if tensor is None else tensor.float()

    return HeadMaps(
        plain(maps.boxes), plain(maps.similarity), plain(maps.attention), plain(maps.mask_logit)
    )
