"""A share of a map's windows for each of several processes, dealt out by the windows' places alone.

A strip of eight windows of a row goes to one shard, the next strip and the strip below to the next
one. So shards are of nearly equal size, a strip still shares the decoded tiles of its windows, and
no shard needs to know how far another one is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.errors import UsageError
from edge.tiles.lattice import STEP_PX, WindowPlace

STRIP_WINDOWS = 8
FROM_ENVIRONMENT = "env"
_FORM = "I/N with I from 1 to N, such as 1/4, or 'env' under torchrun"


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` shares."""

    number: int  # from 1
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, place: WindowPlace) -> bool:
        """Whether a window is in this share."""
        strip = place.top_px // STEP_PX + place.left_px // STEP_PX // STRIP_WINDOWS
        return strip % self.of == self.number - 1

    def folder(self, store: Path) -> Path:
        """Where this share is stored below the folder of all shares."""
        return store / f"shard-{self.number:0{len(str(self.of))}}-of-{self.of}"


def parse_shard(text: str, environment: Mapping[str, str]) -> Shard:
    """The shard that an option names; "env": that of RANK and WORLD_SIZE, as torchrun sets them.

    Raises:
        UsageError: no shard, or no such variables.
    """
    if text == FROM_ENVIRONMENT:
        rank, size = environment.get("RANK", ""), environment.get("WORLD_SIZE", "")
        if rank.isdecimal() and size.isdecimal() and int(rank) < int(size):
            return Shard(int(rank) + 1, int(size))
        raise UsageError(
            "the shard cannot be taken from the environment",
            expected="RANK from 0 and WORLD_SIZE above it, as torchrun sets them",
            found=f"RANK {rank!r}, WORLD_SIZE {size!r}",
            do="start with torchrun --nproc-per-node N --no-python tilefix tiles encode ..., "
            "or give --shard I/N",
        )
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(
            "--shard names no share", expected=_FORM, found=repr(text), do="correct --shard"
        )
    return Shard(int(match[1]), int(match[2]))


def own_gpu(environment: Mapping[str, str]) -> str | None:
    """What CUDA_VISIBLE_DEVICES must be for this process to have a GPU to itself.

    Of the GPUs that the variable names, or of all where it is not set, torchrun's LOCAL_RANK picks
    one; more processes than named GPUs share them in turn. None: not under torchrun.
    """
    local = environment.get("LOCAL_RANK", "")
    if not local.isdecimal():
        return None
    named = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[int(local) % len(named)] if named else local
