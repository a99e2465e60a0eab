"""Numbers of a command line that can be counted with: neither nan nor infinity."""

from __future__ import annotations

import math
from typing import Any

import click
from click.types import FloatParamType


class AnyFinite(FloatParamType):
    """A number without nan and infinity; its range, if it has one, is the caller's to check.

    A `click.FloatRange` without bounds shows `x<=None` in the help.
    """

    name = "finite number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number; a usage error where it is none that can be counted with."""
        return _finite(self, super().convert(value, param, ctx), param, ctx)


class Finite(click.FloatRange):
    """A `click.FloatRange` without nan, which every comparison lets pass, and without infinity."""

    name = "finite number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number; a usage error where it is none that can be counted with."""
        return _finite(self, super().convert(value, param, ctx), param, ctx)


def _finite(
    kind: FloatParamType, found: float, param: click.Parameter | None, ctx: click.Context | None
) -> float:
    if not math.isfinite(found):
        kind.fail(f"{found} is not a finite number.", param, ctx)
    return found
