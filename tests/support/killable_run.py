"""Run by a test that kills it: train the tiny model and say each step that is done."""

import sys
from pathlib import Path

import torch
from tiny_model import Squares, TinyModel, tiny_recipe

from training.batches.samples import SampleReader
from training.tasks.published import PublishedTask
from training.trainer import loop

loop.LOG_EVERY_STEPS = 1
recipe = tiny_recipe(epochs="epochs = 12", batch="batch = 4\nema_decay = 0.9")
readers = [SampleReader(Squares(n), (64, 64), 128) for n in (12, 4)]
torch.manual_seed(0)
torch.set_num_threads(1)
task = PublishedTask(TinyModel(), *readers, recipe.loss, validation_batch=4)
loop.train(task, recipe, Path(sys.argv[1]), report=lambda line: print(line["step"], flush=True))
