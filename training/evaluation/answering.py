"""What a model answers to the clicks of a whole split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from training.batches.samples import SampleReader, collate
from training.datasets.sample import PairSample
from training.evaluation.metrics import Answers
from training.models.contract import Clicks, CrossViewModel
from training.models.lite import Lite

SEED = 4711  # of the errors of clicks


@torch.no_grad()
def predict_boxes(
    model: nn.Module, frame: Tensor, window: Tensor, clicks: Sequence[Clicks]
) -> list[Tensor]:
    """One box per click, without a prior, of any model in evaluation mode.

    As on board: a window is encoded once, however often it is asked about.

    Args:
        model: `lite` or a published model.
        frame: [B, 3, h, w] RGB 0..255.
        window: [B, 3, H, W].
        clicks: sets of clicks in the same B pairs, of M each.

    Returns:
        [M, 4] window pixels for each set, the same as for that set alone.
    """
    if not isinstance(model, Lite | CrossViewModel):
        raise TypeError(f"{type(model).__name__} answers no clicks")
    features = model.encode_reference(window)
    # A click is part of what the published models encode of a frame.
    queries = model.encode_query(frame) if isinstance(model, Lite) else frame
    answers = []
    for these in clicks:
        boxes = frame.new_zeros(len(these.xy_px), 4)
        for f, w in torch.stack([these.frame, these.window], 1).unique(dim=0).tolist():
            chosen = (these.frame == f) & (these.window == w)
            own = {name: tensor[w] for name, tensor in features.items()}
            boxes[chosen] = model.localize(queries[f], these.xy_px[chosen], own).box_xyxy_px
        answers.append(boxes)
    return answers


def answer_all(
    model: nn.Module,
    reader: SampleReader,
    batch: int,
    device: torch.device,
    *,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Answers:
    """What a model answers to exact clicks; see `answer_noisy`."""
    return answer_noisy(model, reader, batch, device, (0.0,), progress=progress)[0]


def answer_noisy(
    model: nn.Module,
    reader: SampleReader,
    batch: int,
    device: torch.device,
    click_sigmas_px: Sequence[float],
    *,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> list[Answers]:
    """Run a model over all samples once; objects that are not in their window are left out.

    Args:
        model: in evaluation mode, on `device`.
        reader: of the split, without augmentation.
        batch: pairs at once; changes nothing else.
        device: that the model is on.
        click_sigmas_px: clicks are moved by a normal error of each sigma in x and in y, the same
            errors for every model, and kept inside the frame.
        progress: wraps the first indices of the batches.

    Returns:
        Answers for each sigma.
    """
    image, truth, category, gsd = [], [], [], []
    said: list[list[np.ndarray]] = [[] for _ in click_sigmas_px]
    for start in progress(range(0, len(reader), batch)):
        indices = list(range(start, min(start + batch, len(reader))))
        samples = reader.samples(indices, np.random.default_rng((SEED, start)))
        b = collate(samples).to(device)
        clicks = [
            Clicks(_moved(samples, indices, sigma).to(device), b.pair_of_click, b.pair_of_click)
            for sigma in click_sigmas_px
        ]
        boxes = predict_boxes(model, b.frame.float(), b.window.float(), clicks)
        there = b.present.cpu().numpy()
        image.append((b.pair_of_click.cpu().numpy() + start)[there])
        truth.append(b.box_xyxy_px.cpu().numpy()[there])
        for own, found in zip(said, boxes, strict=True):
            own.append(found.cpu().numpy()[there])
        category += [c for s in samples for c in _categories(s)]
        gsd.append(np.concatenate([_gsd_m(s) for s in samples]))
    return [
        Answers(
            np.concatenate(image) if image else np.empty(0, np.int64),
            np.concatenate(truth).astype(float) if truth else np.empty((0, 4)),
            np.concatenate(own).astype(float) if own else np.empty((0, 4)),
            tuple(category) if any(category) else (),
            np.concatenate(gsd) if gsd else None,
        )
        for own in said
    ]


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
