"""The trainer: plain PyTorch, CPU or CUDA, several GPUs by torchrun, resumable, seeded.

A run is a folder: `config.json`, `log.jsonl` (one line per report), `state.pt` (all that a resume
needs), `best.safetensors` and `last.safetensors`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import CheckpointError
from training.batches import Batch, Collection
from training.checkpoints import save_weights
from training.losses import Losses, lite_losses
from training.models.gated_head import log_prior
from training.models.lite import Lite
from training.validation import validate

BATCHES_AHEAD = 3


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What shapes a run; stored in its folder, and a resume must match it."""

    epochs: int = 10
    batch: int = 16
    learning_rate: float = 2e-3
    backbone_learning_rate: float = 1e-4
    weight_decay: float = 0.02
    warmup_steps: int = 100
    seed: int = 13
    freeze_backbone: bool = True
    mixed_precision: bool = True
    prior_share: float = 0.5
    swap_share: float = 0.2
    window_px: int = 640
    turn_pictures: bool = False  # random quarter turns and mirroring of both views
    save_every_s: float = 120.0


def forward(model: Lite, batch: Batch, mixed: bool) -> Losses:
    """Losses of one batch, from cached features or from images.

    With `mixed`, convolutions run in bfloat16 (on CPUs that have it, several times faster too);
    similarity, head and losses are always float32.
    """
    with torch.autocast(batch.present.device.type, torch.bfloat16, enabled=mixed):
        frame, window = batch.frame, batch.window
        if 1 in window:
            frame = model.backbone(frame[1].float(), deepest_stride=16)
            window = model.backbone(window[1].float())
        reference = model.reference_from_features(window)
        query_map = model.query_from_features(frame)
    similarity, hidden, logits = model.training_maps(
        query_map.float(),
        {name: tensor.float() for name, tensor in reference.items()},
        batch.click_xy_px,
        batch.frame_of_click,
        batch.window_of_click,
    )
    grid = (logits.shape[2], logits.shape[3])
    prior = log_prior(batch.prior_xy_px, batch.prior_inv_var, grid, model.options.stride_px)
    logits = logits + prior.unsqueeze(1)
    return lite_losses(model, similarity, hidden, logits, batch.box_xyxy_px, batch.present)


class Losing(nn.Module):
    """A module whose forward is the loss, so that DistributedDataParallel can wrap it."""

    def __init__(self, model: Lite, mixed: bool) -> None:
        super().__init__()
        self.model = model
        self.mixed = mixed

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Total, confidence, box, similarity."""
        losses = forward(self.model, batch, self.mixed)
        return losses.total, losses.confidence, losses.box, losses.similarity


def set_training(model: Lite, freeze_backbone: bool) -> None:
    """Training mode; a frozen backbone keeps its statistics and gets no gradient."""
    model.train()
    if freeze_backbone:
        model.backbone.eval()
        model.backbone.requires_grad_(False)


def schedule(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then a cosine to 2 %."""
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def train(
    model: Lite,
    training: Collection,
    held_out: Collection,
    options: TrainOptions,
    out: Path,
    report: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:
    """Train, or go on with the run in `out`.

    Raises:
        CheckpointError: `out` holds a run with other options.
    """
    out.mkdir(parents=True, exist_ok=True)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device(f"cuda:{rank}" if torch.cuda.is_available() else "cpu")
    if world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    _check_config(out, options, model)
    torch.manual_seed(options.seed)
    model.to(device, memory_format=torch.channels_last)
    set_training(model, options.freeze_backbone)
    backbone = [p for p in model.backbone.parameters() if p.requires_grad]
    own = {id(p) for p in model.backbone.parameters()}
    rest = [p for p in model.parameters() if id(p) not in own]
    groups = [{"params": rest, "lr": options.learning_rate}]
    if backbone:
        groups.append({"params": backbone, "lr": options.backbone_learning_rate})
    optimizer = torch.optim.AdamW(groups, weight_decay=options.weight_decay)
    base_rates = [g["lr"] for g in optimizer.param_groups]
    per_epoch = len(training) // (options.batch * world)
    steps = per_epoch * options.epochs
    start, best = _resume(out, model, optimizer, device)
    losing: nn.Module = Losing(model, options.mixed_precision)
    if world > 1:
        losing = nn.parallel.DistributedDataParallel(losing)
    saved_at = time.monotonic()
    plan = _plan(training, options, start, per_epoch, rank, world)
    for step, batch in _assembled(training, options, model.options.frame_px, plan):
        if step % per_epoch == 0:
            set_training(model, options.freeze_backbone)
        factor = schedule(step, steps, options.warmup_steps)
        for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * factor
        terms = losing(batch.to(device))
        optimizer.zero_grad(set_to_none=True)
        terms[0].backward()
        nn.utils.clip_grad_norm_(rest + backbone, 5.0)
        optimizer.step()
        if rank != 0:
            continue
        if step % 10 == 0:
            names = ("loss", "confidence", "box", "similarity")
            values = {n: round(float(t.detach()), 4) for n, t in zip(names, terms, strict=True)}
            _log(out, {"step": step, "of": steps, "time_s": time.time(), **values}, report)
        last_of_epoch = (step + 1) % per_epoch == 0
        if last_of_epoch:
            scores = validate(model, held_out, options.batch, options.window_px, device)
            _log(out, {"step": step, "epoch": (step + 1) // per_epoch, **scores}, report)
            record = {"step": step + 1, "options": dataclasses.asdict(options), "scores": scores}
            save_weights(model, out / "last.safetensors", record)
            merit = scores["acc@0.5"] + scores["prior_acc@0.5"]
            if merit > best:
                best = merit
                save_weights(model, out / "best.safetensors", record)
        if last_of_epoch or time.monotonic() - saved_at > options.save_every_s:
            _save_state(out, model, optimizer, step + 1, best)
            saved_at = time.monotonic()
    if world > 1:
        torch.distributed.barrier()  # rank 0 may still be validating
        torch.distributed.destroy_process_group()


def _plan(
    training: Collection, options: TrainOptions, start: int, per_epoch: int, rank: int, world: int
) -> Iterator[tuple[int, list[int], np.random.Generator]]:
    """(step, samples, generator) of each step from `start`; depends on the seed alone."""
    for epoch in range(start // max(1, per_epoch), options.epochs):
        order = training.order(options.seed, epoch)
        for inside in range(per_epoch):
            step = epoch * per_epoch + inside
            if step < start:
                continue
            first = (inside * world + rank) * options.batch
            rng = np.random.default_rng((options.seed, step, rank))
            yield step, order[first : first + options.batch], rng


def _assembled(
    training: Collection,
    options: TrainOptions,
    frame_px: int,
    plan: Iterator[tuple[int, list[int], np.random.Generator]],
) -> Iterator[tuple[int, Batch]]:
    """(step, batch) of a plan; the next batch is put together while one is trained on."""

    def assemble(step: int, indices: list[int], rng: np.random.Generator) -> tuple[int, Batch]:
        batch = training.batch(
            indices,
            rng,
            window_px=options.window_px,
            prior_share=options.prior_share,
            swap_share=options.swap_share,
            frame_px=frame_px if options.turn_pictures else 0,
        )
        return step, batch

    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[tuple[int, Batch]]] = []
        for item in plan:
            waiting.append(pool.submit(assemble, *item))
            if len(waiting) > BATCHES_AHEAD:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _check_config(out: Path, options: TrainOptions, model: Lite) -> None:
    config = json.dumps(
        {"train": dataclasses.asdict(options), "model": dataclasses.asdict(model.options)}, indent=1
    )
    path = out / "config.json"
    if path.exists() and path.read_text() != config:
        raise CheckpointError(
            f"the run in {out} was begun with other options",
            expected=path.read_text(),
            found=config,
            do="give the same options, or another --out",
        )
    path.write_text(config)


def _save_state(
    out: Path, model: Lite, optimizer: torch.optim.Optimizer, step: int, best: float
) -> None:
    state = {
        "step": step,
        "best": best,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, out / "state.tmp")
    (out / "state.tmp").replace(out / "state.pt")


def _resume(
    out: Path, model: Lite, optimizer: torch.optim.Optimizer, device: torch.device
) -> tuple[int, float]:
    path = out / "state.pt"
    if not path.exists():
        return 0, -1.0
    state = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"]), float(state["best"])


def _log(out: Path, line: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> None:
    with (out / "log.jsonl").open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    report(line)
