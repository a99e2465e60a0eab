"""What numbers an option can have, refused in words before a model is built."""

from __future__ import annotations

import math
from collections.abc import Iterable


def finite(numbers: Iterable[float]) -> bool:
    """Whether none of these is infinite or no number."""
    return all(math.isfinite(number) for number in numbers)


def check_positive(options: object, *names: str) -> None:
    """Make sure that options are above 0.

    Raises:
        ValueError: one that is 0 or less, infinite or no number.
    """
    for name in names:
        value = getattr(options, name)
        if not finite((value,)) or value <= 0:
            raise ValueError(f"{name} is positive, got {value}")


def check_not_negative(options: object, *names: str) -> None:
    """Make sure that options are 0 or above.

    Raises:
        ValueError: one below 0, infinite or no number.
    """
    for name in names:
        value = getattr(options, name)
        if not finite((value,)) or value < 0:
            raise ValueError(f"{name} is 0 or more, got {value}")


def check_rate(options: object, *names: str) -> None:
    """Make sure that options are rates of what is dropped: 0 to less than 1.

    Raises:
        ValueError: one outside that range, or no number.
    """
    for name in names:
        value = getattr(options, name)
        if not 0 <= value < 1:
            raise ValueError(f"{name} is 0 or more and below 1, got {value}")


def check_momentum(bn_momentum: float) -> None:
    """Make sure that a batch norm's momentum is the weight of the new batch.

    Raises:
        ValueError: 0 or less, above 1, or no number.
    """
    if not 0 < bn_momentum <= 1:
        raise ValueError(f"bn_momentum is above 0 and at most 1, got {bn_momentum}")


def check_anchors(anchors_wh_px: tuple[tuple[float, float], ...]) -> None:
    """Make sure that there are anchors, and that each has a size.

    Raises:
        ValueError: none, or a side that is not positive and finite.
    """
    sides = [side for anchor in anchors_wh_px for side in anchor]
    if not sides or not finite(sides) or min(sides) <= 0:
        raise ValueError(
            f"anchors_wh_px are one or more pairs of positive sizes, got {anchors_wh_px}"
        )
