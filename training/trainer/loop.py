"""The trainer: one loop for every model, on a CPU or GPUs, resumable at any step, seeded.

All chance of a step comes from the seed, the step and the process: a run that was killed and taken
up again ends with the same weights as one that was not (bit for bit on one CPU). A run is a folder,
see `training.trainer.run_folder`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import ConfigError, TrainingError
from training.checkpoints.weights import save_weights
from training.recipes.schema import Recipe
from training.tasks.task import Task
from training.trainer.averaging import WeightAverage
from training.trainer.optimization import build_optimizer, rate_factor
from training.trainer.processes import Processes
from training.trainer.run_folder import RunFolder, open_run

BATCHES_AHEAD = 3
LOG_EVERY_STEPS = 10
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Step:
    """The samples of one step in this process, and what is made of them."""

    number: int
    parts: tuple[tuple[int, ...], ...]  # indices, one group for each part of the batch
    batches: tuple[Any, ...]


class _Losing(nn.Module):
    """A module whose forward is the loss, so that DistributedDataParallel can wrap it."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self.task = task

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """Terms by name."""
        return self.task.losses(batch)


def train(
    task: Task,
    recipe: Recipe,
    out: Path,
    *,
    given: dict[str, Any] | None = None,
    note: dict[str, Any] | None = None,
    report: Report = lambda _: None,
) -> Path:
    """Train, or go on with the run in `out`.

    Args:
        task: model and data.
        recipe: how; its model, data and loss are the task's.
        out: folder of the run.
        given: what else shaped the run (paths, first weights); a resume must match it too.
        note: what the record of every checkpoint says besides recipe, step and scores.
        report: called with every line of the log.

    Returns:
        The best weights.

    Raises:
        ConfigError: a batch that cannot be shared out, or is larger than the data set.
        DataError: a sample that cannot be read.
        CheckpointError: `out` holds a run with other options, or a state that cannot be read.
        OutputError: `out` cannot be written to.
        TrainingError: the loss is not a number.
    """
    processes = Processes.join()
    config = {"recipe": msgspec.to_builtins(recipe), "given": given or {}}
    try:
        steps_per_epoch = _steps_per_epoch(task, recipe, processes)
        task.batch([0], np.random.default_rng(recipe.run.seed))  # no run begins with broken data
        folder = open_run(out, config, processes)
        with folder.taken_back_if_refused():
            _run(task, recipe, steps_per_epoch, folder, processes, note or {}, report)
        processes.wait()  # the first one may still be validating
    finally:
        processes.leave()
    return folder.best


def _run(
    task: Task,
    recipe: Recipe,
    steps_per_epoch: int,
    folder: RunFolder,
    processes: Processes,
    note: dict[str, Any],
    report: Report,
) -> None:
    run = recipe.run
    steps = steps_per_epoch * run.epochs
    device = processes.device
    task.model.to(device, memory_format=torch.channels_last)
    task.set_training()
    optimizer = build_optimizer(task.model, recipe.optimizer)
    base_rates = [group["lr"] for group in optimizer.param_groups]
    scaler = torch.amp.GradScaler(device.type, enabled=run.precision == "float16")
    average = WeightAverage(task.model, run.ema_decay) if run.ema_decay is not None else None
    start, best = _resume(folder, task, optimizer, scaler, average)
    losing: nn.Module = _Losing(task)
    if processes.world > 1:
        # a switched-off module, or a published one that feeds nothing, gets no gradient
        losing = nn.parallel.DistributedDataParallel(losing, find_unused_parameters=True)
    trained = [p for p in task.model.parameters() if p.requires_grad]
    longest = recipe.optimizer.clip_norm or float("inf")
    saved_at = time.monotonic()
    for step in _assembled(task, _plan(task, recipe, start, steps_per_epoch, processes)):
        if step.number % steps_per_epoch == 0:
            task.set_training()
        factor = rate_factor(recipe.schedule, step.number, steps_per_epoch, steps)
        for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * factor
        torch.manual_seed(_torch_seed(run.seed, step.number, processes.rank))
        optimizer.zero_grad(set_to_none=True)
        terms = _gradients(losing, step, scaler, device)
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(trained, longest)
        # float16 scales its gradients until some overflow, and skips those steps by itself
        finite = bool(torch.isfinite(terms["loss"])) and (
            scaler.is_enabled() or bool(torch.isfinite(norm))
        )
        if processes.any(not finite):
            raise _not_a_number(task, step, terms, folder, here=not finite)
        scaler.step(optimizer)
        scaler.update()
        if average is not None:
            average.update(task.model)
        if not processes.first:
            continue
        if step.number % LOG_EVERY_STEPS == 0:
            values = {name: round(float(value), 4) for name, value in terms.items()}
            line = {"step": step.number, "of": steps, "time_s": time.time(), **values}
            _log(folder, line, report)
        last_of_epoch = (step.number + 1) % steps_per_epoch == 0
        if last_of_epoch:
            judged = task.model if average is None else average.model
            scores = task.validate(judged, device)
            epoch = (step.number + 1) // steps_per_epoch
            record = {"recipe": recipe.name, "step": step.number + 1, "scores": scores, **note}
            save_weights(judged, folder.last, record)
            if task.merit(scores) > best:
                best = task.merit(scores)
                save_weights(judged, folder.best, record)
            _log(folder, {"step": step.number, "of": steps, "epoch": epoch, **scores}, report)
        if last_of_epoch or time.monotonic() - saved_at > run.save_every_s:
            state = {"step": step.number + 1, "best": best, "model": task.model.state_dict()}
            state |= {"optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
            state["average"] = None if average is None else average.state_dict()
            folder.save_state(state)
            saved_at = time.monotonic()


def _gradients(
    losing: nn.Module, step: Step, scaler: torch.amp.GradScaler, device: torch.device
) -> dict[str, Tensor]:
    """Accumulate the gradients of a step's parts. -> terms, averaged over the parts."""
    sums: dict[str, Tensor] = {}
    share = 1.0 / len(step.batches)
    for number, batch in enumerate(step.batches, 1):
        last = number == len(step.batches)
        alone = not isinstance(losing, nn.parallel.DistributedDataParallel)
        with contextlib.nullcontext() if last or alone else losing.no_sync():
            terms = losing(batch.to(device))
            scaler.scale(terms["loss"] * share).backward()
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.detach() * share
    return sums


def _steps_per_epoch(task: Task, recipe: Recipe, processes: Processes) -> int:
    batch, parts = recipe.run.batch, processes.world * recipe.run.accumulate
    if batch % parts:
        raise ConfigError(
            f"a batch of {batch} cannot be shared out",
            expected=f"a multiple of {processes.world} processes x {recipe.run.accumulate} parts",
            found=str(batch),
            do="change run.batch, run.accumulate or the number of processes",
        )
    if len(task) < batch:
        raise ConfigError(
            "the data set is smaller than one batch",
            expected=f"at least {batch} samples",
            found=f"{len(task)}",
            do="make run.batch smaller, or give more data",
        )
    return len(task) // batch  # the rest is left to chance in the next epoch


def _plan(
    task: Task, recipe: Recipe, start: int, steps_per_epoch: int, processes: Processes
) -> Iterator[tuple[int, tuple[tuple[int, ...], ...], np.random.Generator]]:
    """(step, indices of each part, generator) from `start`; depends on seed and process alone."""
    run = recipe.run
    own = run.batch // processes.world
    size = own // run.accumulate
    for epoch in range(start // steps_per_epoch, run.epochs):
        order = np.random.default_rng((run.seed, epoch)).permutation(len(task)).tolist()
        for inside in range(steps_per_epoch):
            step = epoch * steps_per_epoch + inside
            if step < start:
                continue
            first = inside * run.batch + processes.rank * own
            mine = order[first : first + own]
            parts = tuple(tuple(mine[at : at + size]) for at in range(0, own, size))
            yield step, parts, np.random.default_rng((run.seed, step, processes.rank))


def _assembled(
    task: Task,
    plan: Iterator[tuple[int, tuple[tuple[int, ...], ...], np.random.Generator]],
) -> Iterator[Step]:
    """The steps of a plan; the next batches are put together while one is trained on."""

    def assemble(step: int, parts: tuple[tuple[int, ...], ...], rng: np.random.Generator) -> Step:
        return Step(step, parts, tuple(task.batch(list(part), rng) for part in parts))

    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[Step]] = []
        try:
            for item in plan:
                waiting.append(pool.submit(assemble, *item))
                if len(waiting) > BATCHES_AHEAD:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def _resume(
    folder: RunFolder,
    task: Task,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    average: WeightAverage | None,
) -> tuple[int, float]:
    """(first step, best merit so far)."""
    state = folder.load_state()
    start = 0 if state is None else int(state["step"])
    folder.forget_from(start)
    if state is None:
        return 0, -1.0
    task.model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    if average is not None:
        average.load_state_dict(state["average"])
    return start, float(state["best"])


def _not_a_number(
    task: Task, step: Step, terms: dict[str, Tensor], folder: RunFolder, *, here: bool
) -> TrainingError:
    names = task.names([index for part in step.parts for index in part])
    values = ", ".join(f"{name} {float(value):.4g}" for name, value in terms.items())
    batch = f"the batch of {', '.join(names)}" if here else "the batch of another process"
    kept, first = "no checkpoint is saved yet", ""
    if folder.last.exists():
        kept, first = f"{folder.last} is the last good checkpoint", f"--init {folder.last} "
    return TrainingError(
        f"the loss or its gradient is not a number at step {step.number}",
        expected="finite terms and gradients",
        found=f"{values}; {batch}",
        do=f"look at these samples, or begin another run ({first}--out another) at a lower "
        f"learning rate or in float32; {kept}",
    )


def _torch_seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])


def _log(folder: RunFolder, line: dict[str, Any], report: Report) -> None:
    folder.log(line)
    report(line)
