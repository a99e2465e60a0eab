"""Run by a test that kills what it starts: train the tiny model and say each step that is done.

For each folder that comes on stdin a process of its own trains into it: it says its id, then its
steps. When it has ended, this one says so, and how. Torch is imported once for all of them.
"""

import os
import sys
from pathlib import Path

import torch
import torch._dynamo  # else the first step imports it, in each of the processes
from tiny_model import Squares, TinyModel, tiny_recipe

from training.batches.samples import SampleReader
from training.tasks.published import PublishedTask
from training.trainer import loop


def train(out: Path) -> None:
    loop.LOG_EVERY_STEPS = 1
    recipe = tiny_recipe(epochs="epochs = 12", batch="batch = 4\nema_decay = 0.9")
    readers = [SampleReader(Squares(n), (64, 64), 128) for n in (12, 4)]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    task = PublishedTask(TinyModel(), *readers, recipe.loss, validation_batch=4)
    loop.train(task, recipe, out, report=lambda line: print(line["step"], flush=True))


process = 0
for folder in sys.stdin:
    if process:
        os.waitpid(process, 0)
    process = os.fork()
    if process == 0:
        print(os.getpid(), flush=True)
        try:
            train(Path(folder.strip()))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    # Not reaped before the next one is asked for: a signal that comes late hits nobody else.
    ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    killed = ended.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
    print("ended", -ended.si_status if killed else ended.si_status, flush=True)
