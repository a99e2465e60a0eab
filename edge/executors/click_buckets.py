"""Click counts come in buckets: clicks are padded to the next one, and the answers cut again.

An engine has one optimisation profile for each bucket, and a captured CUDA graph has fixed sizes,
so eight clicks run as sixteen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.errors import ClickError
from edge.executors.base import CLICK_COUNT, TensorSpec
from edge.types import Array

NO_CLICKS = 0  # the bucket of a graph without clicks, such as the encoder
# A padded click repeats the last one, but claims no prior knowledge: 0 is "nothing is known".
ZERO_PADDED = ("prior_inv_var",)


@dataclass(frozen=True, slots=True)
class ClickBuckets:
    """The click counts that an engine is built for."""

    sizes: tuple[int, ...]  # ascending; (NO_CLICKS,) for a graph without clicks

    @property
    def largest(self) -> int:
        """Most clicks in one run."""
        return self.sizes[-1]

    def holding(self, count: int) -> int:
        """The smallest bucket that holds `count` clicks.

        Raises:
            ClickError: there are more clicks than the largest bucket holds.
        """
        for size in self.sizes:
            if count <= size:
                return size
        raise ClickError(
            f"{count} clicks in one frame are more than this engine takes",
            expected=f"at most {self.largest}: its click buckets are "
            f"{', '.join(map(str, self.sizes))}",
            found=f"{count} clicks",
            do=f"locate them in parts of at most {self.largest}, or build the engine again with "
            "larger --buckets",
        )


def sized(spec: TensorSpec, bucket: int) -> tuple[int, ...]:
    """The shape of a tensor at a bucket."""
    return tuple(bucket if each == CLICK_COUNT else int(each) for each in spec.shape)


def is_per_click(spec: TensorSpec) -> bool:
    """Whether the tensor has one row for each click."""
    return CLICK_COUNT in spec.shape


def pad_into(place: Array, name: str, rows: Array) -> None:
    """Write rows [N, ...] into a bucket's place [bucket, ...], and fill the rest of it."""
    count = len(rows)
    place[:count] = rows
    place[count:] = np.zeros_like(rows[-1]) if name in ZERO_PADDED else rows[-1]
