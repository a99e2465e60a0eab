"""The processes of one run: alone, or several started by `torchrun`, one for each GPU."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass

import torch

from training.batches.device import own_device

# Process 0 validates while the others wait for it.
LONGEST_WAIT = datetime.timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of the run."""

    rank: int
    world: int
    device: torch.device

    @staticmethod
    def join() -> Processes:
        """Read what torchrun set, and connect: by NCCL on GPUs, by gloo on CPUs."""
        rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        device = own_device()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        if world > 1 and not torch.distributed.is_initialized():
            backend = "nccl" if device.type == "cuda" else "gloo"
            torch.distributed.init_process_group(backend, timeout=LONGEST_WAIT)
        return Processes(rank, world, device)

    @property
    def first(self) -> bool:
        """Whether this one reports, validates and writes."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any process; all must ask."""
        if self.world == 1:
            return flag
        shared = torch.tensor([float(flag)], device=self.device)
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
        return bool(shared.item() > 0)

    def wait(self) -> None:
        """Go on once all processes are here."""
        if self.world > 1:
            torch.distributed.barrier()

    def leave(self) -> None:
        """Disconnect."""
        if self.world > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
