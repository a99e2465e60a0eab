"""Scores of a model on held-out samples, in both regimes: with a prior and without."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.batches.lite import Collection
from training.evaluation.metrics import paired_iou
from training.models.lite import Lite

PRIOR_SIGMA_PX = 6.0
SEED = 4711


@torch.no_grad()
def validate(
    model: Lite, held_out: Collection, batch: int, window_px: int, device: torch.device
) -> dict[str, float]:
    """Accuracy of present clicks, and how well the logit tells present from absent ones.

    Returns:
        acc@0.25, acc@0.5, mean_iou, auc without prior; with the prefix `prior_` for a prior
        of sigma 6 px around where the flat-ground geometry puts the click.
    """
    model.eval()
    ious: dict[str, list[Tensor]] = {"": [], "prior_": []}
    logits: dict[str, list[Tensor]] = {"": [], "prior_": []}
    there: list[Tensor] = []
    for start in range(0, len(held_out), batch):
        indices = list(range(start, min(start + batch, len(held_out))))
        rng = np.random.default_rng((SEED, start))
        b = held_out.batch(
            indices,
            rng,
            window_px=window_px,
            prior_share=1.0,
            swap_share=0.2,
            prior_sigma_px=(PRIOR_SIGMA_PX, PRIOR_SIGMA_PX),
        ).to(device)
        if 1 in b.window:
            maps = model.encode_query(b.frame[1].float())
            reference = model.encode_reference(b.window[1].float())
        else:
            maps = model.query_from_features(b.frame)
            reference = model.reference_from_features(b.window)
        there.append(b.present.cpu())
        for name in ious:
            box = torch.zeros_like(b.box_xyxy_px)
            logit = torch.zeros(len(box), device=device)
            places = torch.stack([b.frame_of_click, b.window_of_click], 1)
            for f, w in places.unique(dim=0).tolist():
                chosen = (b.frame_of_click == f) & (b.window_of_click == w)
                given = (b.prior_xy_px[chosen], b.prior_inv_var[chosen]) if name else ()
                out = model.localize(
                    maps[f], b.click_xy_px[chosen], {k: v[w] for k, v in reference.items()}, *given
                )
                box[chosen], logit[chosen] = out.box_xyxy_px, out.confidence_logit
            ious[name].append(torch.from_numpy(paired_iou(_float64(box), _float64(b.box_xyxy_px))))
            logits[name].append(logit.cpu())
    present = torch.cat(there)
    scores: dict[str, float] = {"clicks": float(len(present))}
    for name in ious:
        iou = torch.cat(ious[name])[present]
        scores[f"{name}acc@0.25"] = round(float((iou > 0.25).float().mean()), 4)
        scores[f"{name}acc@0.5"] = round(float((iou > 0.5).float().mean()), 4)
        scores[f"{name}mean_iou"] = round(float(iou.mean()), 4)
        scores[f"{name}auc"] = round(separation(torch.cat(logits[name]), present), 4)
    model.train()
    return scores


def separation(score: Tensor, positive: Tensor) -> float:
    """Area under the ROC curve of `score` for `positive` [M] bool; NaN if one class is empty."""
    p, n = int(positive.sum()), int((~positive).sum())
    if p == 0 or n == 0:
        return float("nan")
    rank = torch.empty(len(score), dtype=torch.float64)
    rank[score.argsort()] = torch.arange(1, len(score) + 1, dtype=torch.float64)
    return float((rank[positive].sum() - p * (p + 1) / 2) / (p * n))


def _float64(boxes: Tensor) -> NDArray[np.float64]:
    return np.asarray(boxes.cpu(), np.float64)
