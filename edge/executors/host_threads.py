"""What the threads of a graph on the CPU do, beyond their number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostThreads:
    """The manners of a graph's threads. Who runs alone on the machine needs none of them."""

    spinning: bool = True  # idle ones keep their core for the next piece of work: quicker
    apart: bool = False  # they leave free the thread that asks: see `LocalizerInParts`
    cores: tuple[int, ...] = ()  # that those beside the one that asks stay on; (): any


ALONE = HostThreads()
