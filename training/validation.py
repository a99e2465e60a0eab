"""Scores of a model on held-out samples, in both regimes: with a prior and without."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.batches import Collection
from training.metrics import box_iou, separation
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
        frame = model.backbone(b.frame[1].float(), deepest_stride=16) if 1 in b.frame else b.frame
        window = model.backbone(b.window[1].float()) if 1 in b.window else b.window
        maps = model.query_from_features(frame)
        reference = model.reference_from_features(window)
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
            ious[name].append(box_iou(box, b.box_xyxy_px).cpu())
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
