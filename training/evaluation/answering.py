"""What a model answers to the clicks of a whole split."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from training.batches.samples import SampleReader, collate
from training.datasets.sample import PairSample
from training.evaluation.metrics import Answers
from training.models.anchor_head import decode_maps
from training.models.contract import Clicks, CrossViewModel
from training.models.lite import Lite

SEED = 4711  # of the errors of clicks


@torch.no_grad()
def predict_boxes(model: nn.Module, frame: Tensor, window: Tensor, clicks: Clicks) -> Tensor:
    """One box per click, without a prior, of any model in evaluation mode.

    Args:
        model: `lite` or a published model.
        frame: [B, 3, h, w] RGB 0..255.
        window: [B, 3, H, W].
        clicks: M clicks.

    Returns:
        [M, 4] window pixels.
    """
    if isinstance(model, CrossViewModel):
        maps = model(frame, window, clicks)
        anchors = model.get_buffer("anchors_wh_px")
        return decode_maps(maps.boxes.float(), anchors, model.options.stride_px)[0]
    if not isinstance(model, Lite):
        raise TypeError(f"{type(model).__name__} answers no clicks")
    queries, features = model.encode_query(frame), model.encode_reference(window)
    boxes = frame.new_zeros(len(clicks.xy_px), 4)
    places = torch.stack([clicks.frame, clicks.window], 1)
    for f, w in places.unique(dim=0).tolist():
        chosen = (clicks.frame == f) & (clicks.window == w)
        own = {name: tensor[w] for name, tensor in features.items()}
        boxes[chosen] = model.localize(queries[f], clicks.xy_px[chosen], own).box_xyxy_px
    return boxes


def answer_all(
    model: nn.Module,
    reader: SampleReader,
    batch: int,
    device: torch.device,
    *,
    click_sigma_px: float = 0.0,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Answers:
    """Run a model over all samples; objects that are not in their window are left out.

    Args:
        model: in evaluation mode, on `device`.
        reader: of the split, without augmentation.
        batch: pairs at once; changes nothing else.
        device: that the model is on.
        click_sigma_px: clicks are moved by a normal error of this sigma in x and in y, the same
            errors for every model, and kept inside the frame.
        progress: wraps the first indices of the batches.
    """
    image, truth, said, category, gsd = [], [], [], [], []
    for start in progress(range(0, len(reader), batch)):
        indices = list(range(start, min(start + batch, len(reader))))
        samples = reader.samples(indices, np.random.default_rng((SEED, start)))
        b = collate(samples).to(device)
        xy = _moved(samples, indices, click_sigma_px).to(device)
        clicks = Clicks(xy, b.pair_of_click, b.pair_of_click)
        boxes = predict_boxes(model, b.frame.float(), b.window.float(), clicks)
        there = b.present.cpu().numpy()
        image.append((b.pair_of_click.cpu().numpy() + start)[there])
        truth.append(b.box_xyxy_px.cpu().numpy()[there])
        said.append(boxes.cpu().numpy()[there])
        category += [c for s in samples for c in _categories(s)]
        gsd.append(np.concatenate([_gsd_m(s) for s in samples]))
    return Answers(
        np.concatenate(image) if image else np.empty(0, np.int64),
        np.concatenate(truth).astype(float) if truth else np.empty((0, 4)),
        np.concatenate(said).astype(float) if said else np.empty((0, 4)),
        tuple(category) if any(category) else (),
        np.concatenate(gsd) if gsd else None,
    )


def _moved(samples: list[PairSample], indices: list[int], sigma_px: float) -> Tensor:
    moved = []
    for sample, index in zip(samples, indices, strict=True):
        height, width = sample.frame.shape[:2]
        error = np.random.default_rng((SEED, index)).standard_normal(sample.click_xy_px.shape)
        xy = sample.click_xy_px + sigma_px * error
        if sigma_px:
            xy = np.clip(xy, 0, [width - 1e-3, height - 1e-3])
        moved.append(xy)
    return torch.from_numpy(np.concatenate(moved)).float()


def _categories(sample: PairSample) -> list[str]:
    """Of the objects that are there; "" where the data set has none."""
    names = sample.class_names or ("",) * len(sample.present)
    return [name for name, there in zip(names, sample.present, strict=True) if there]


def _gsd_m(sample: PairSample) -> np.ndarray:
    """Metres per window pixel at the objects that are there, NaN without a georeference."""
    boxes = sample.box_xyxy_px[sample.present].astype(float)
    if sample.geometry is None:
        return np.full(len(boxes), np.nan)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(sample.geometry.metres_per_px(centre)).mean(1)
