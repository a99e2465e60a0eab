"""Interior values of the graphs that runs of different kinds are compared at, by stable names.

A tap is a value of the graph called `tap.<name>`, of the same name in every precision. It is no
output: `tilefix verify --taps` adds it to a temporary copy. What is an output already, such as the
query vectors and the similarity of every cell, has no tap. `torch_run` gives the same values from
the torch model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

PREFIX = "tap."


@dataclass(frozen=True, slots=True)
class Tap:
    """One interior value, as a module of the graph's torch form hands it out."""

    name: str  # without the prefix
    graph: str  # "reference_encoder" or "localizer"
    module: str  # path inside the graph's torch module
    item: int | None = None  # of a tuple; None: the answer itself
    of_input: bool = False  # what the module is given, rather than what it answers

    @property
    def value(self) -> str:
        """Name in the graph."""
        return PREFIX + self.name


class Tapped(nn.Module):
    """A graph module that also answers with its taps, in their order."""

    def __init__(self, module: nn.Module, taps: tuple[Tap, ...]) -> None:
        super().__init__()
        self.module = module
        self.taps = taps

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The module's outputs, then one tensor per tap."""
        with collected(self.module, self.taps) as found:
            outputs = self.module(*inputs)
        return (*outputs, *(found[tap.value] for tap in self.taps))


@contextmanager
def collected(module: nn.Module, taps: tuple[Tap, ...]) -> Iterator[dict[str, Tensor]]:
    """Collect taps by their value names while `module` runs; of several calls, the last."""
    found: dict[str, Tensor] = {}
    hooks = [
        module.get_submodule(tap.module).register_forward_hook(_keep(tap, found)) for tap in taps
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _keep(tap: Tap, found: dict[str, Tensor]) -> Any:
    def keep(_: nn.Module, given: tuple[Tensor, ...], answer: Any) -> None:
        value = given[0] if tap.of_input else answer
        found[tap.value] = value if tap.item is None else value[tap.item]

    return keep
