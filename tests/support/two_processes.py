"""Run by torchrun: train the tiny model for some steps, then say what this process ended with."""

import os
import sys
from pathlib import Path

import torch
from tiny_model import Squares, TinyModel, tiny_recipe

from training.batches.samples import SampleReader
from training.tasks.published import PublishedTask
from training.trainer.loop import train

out, accumulate = Path(sys.argv[1]), sys.argv[2]
recipe = tiny_recipe(batch=f"batch = 4\naccumulate = {accumulate}")
readers = [SampleReader(Squares(n), (64, 64), 128) for n in (12, 4)]
torch.manual_seed(int(os.environ["RANK"]))  # DistributedDataParallel must make the start equal
model = TinyModel()
task = PublishedTask(model, *readers, recipe.loss, validation_batch=4)
seen: list[float] = []
losses = task.losses


def spy(batch):
    terms = losses(batch)
    seen.append(float(terms["loss"].detach()))
    return terms


task.losses = spy
train(task, recipe, out / "run")
state = {name: p.detach() for name, p in model.named_parameters()}
torch.save({"parameters": state, "losses": seen}, out / f"rank{os.environ['RANK']}.pt")
