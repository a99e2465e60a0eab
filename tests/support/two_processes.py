"""Train the tiny model in two processes for some steps, then say what each ended with.

What torchrun would set is set here, and the processes are forks: torch is imported once for both.
"""

import os
import signal
import socket
import sys
from pathlib import Path

import torch
import torch._dynamo  # else the first step imports it, in each of the processes
from tiny_model import Squares, TinyModel, tiny_recipe

from training.batches.samples import SampleReader
from training.tasks.published import PublishedTask
from training.trainer.loop import train

WORLD = 2


def run(rank: int, out: Path, accumulate: str) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(WORLD))
    recipe = tiny_recipe(batch=f"batch = 4\naccumulate = {accumulate}")
    readers = [SampleReader(Squares(n), (64, 64), 128) for n in (12, 4)]
    torch.manual_seed(rank)  # DistributedDataParallel must make the start equal
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
    torch.save({"parameters": state, "losses": seen}, out / f"rank{rank}.pt")


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free.getsockname()[1]))
started = []
for rank in range(WORLD):
    process = os.fork()
    if process == 0:
        try:
            run(rank, Path(sys.argv[1]), sys.argv[2])
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    started.append(process)
for _ in range(WORLD):
    process, status = os.wait()
    started.remove(process)
    if status:  # the other one would wait for it
        for other in started:
            os.kill(other, signal.SIGKILL)
        sys.exit(f"a process ended with {os.waitstatus_to_exitcode(status)}")
