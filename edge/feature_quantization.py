"""Features in INT8: half the bytes of float16, with one symmetric scale per channel and window.

A map of features [C, H, W] becomes int8 with `NAME.scale` [C] beside it: channel c of a window is
value * scale[c], where scale is the channel's largest magnitude / 127, rounded up to float16. Only
what the localizer reads is quantised; local features of the alignment and coverage stay, so that a
stored window of `lite` is 41 % smaller, not half.

So it lies in the store, in `ReferenceFeature.tensors` and in every cache of these. The executor
makes float16 of it where it computes: on a GPU by a kernel (`edge.executors.dequantiser`), on the
CPU by `dequantized`, and both bit for bit the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import UsageError
from edge.types import Array

if TYPE_CHECKING:  # a GPU is checked where there is no msgspec
    from edge.feature_header import TensorSpec

SCALE = ".scale"
LEVELS = 127
TYPES = ("float16", "int8")  # how a store can hold what the encoder makes


def quantized(tensors: Mapping[str, Array], names: Collection[str]) -> dict[str, Array]:
    """The same tensors with some of them in int8, and their scales.

    Args:
        tensors: by name, those of `names` [C, H, W] float16 or float32.
        names: which are quantised.

    Raises:
        UsageError: one of them has no channels in front, or is no float.
    """
    made = dict(tensors)
    for name in names:
        value = tensors[name]
        if value.ndim != 3 or value.dtype not in (np.float16, np.float32):
            raise UsageError(
                f"the feature {name} cannot be stored in int8",
                expected="channels, rows and columns of float16 or float32",
                found=f"{value.dtype.name} {list(value.shape)}",
                do="store it as it is: leave --features int8 out",
            )
        largest = np.abs(value.astype(np.float32)).max((1, 2))
        scale = _up(largest / LEVELS)
        safe = np.where(scale > 0, scale, 1).astype(np.float32)
        levels = np.rint(value.astype(np.float32) / safe[:, None, None])
        made[name] = np.clip(levels, -LEVELS, LEVELS).astype(np.int8)
        made[name + SCALE] = scale.astype(np.float16)
    return made


def dequantized(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """What `quantized` made, back in float16; other tensors as they are."""
    made: dict[str, Array] = {}
    for name, value in tensors.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in tensors:
            continue
        scale = tensors.get(name + SCALE)
        made[name] = value if scale is None else _products(value, scale)
    return made


def _products(levels: Array, scale: Array) -> Array:
    """Levels int8 [C, H, W] times scale float16 [C], rounded to float16 once.

    Of each channel there are only 256 products. Looking them up takes a seventh of the time, since
    processors have no float16 to multiply in.
    """
    of_level = np.arange(256).astype(np.uint8).view(np.int8).astype(np.float16)
    made = np.empty(levels.shape, np.float16)
    with np.errstate(over="ignore"):  # of -128, which nothing was rounded to
        products = of_level * scale[:, None]  # [C, 256] float16
    for channel, out, product in zip(levels.view(np.uint8), made, products, strict=True):
        # "wrap" because no uint8 is out of range: "raise" would go through a buffer
        np.take(product, channel, out=out, mode="wrap")
    return made


def _up(values: Array) -> Array:
    rounded = values.astype(np.float16)
    low = rounded.astype(np.float32) < values
    return np.where(low, np.nextafter(rounded, np.float16(np.inf)), rounded)


def stored_type(tensors: Iterable[TensorSpec], names: Collection[str]) -> str:
    """How a store holds the features `names`, one of `TYPES`."""
    kinds = {each.dtype for each in tensors if each.name in names}
    return "int8" if "int8" in kinds else "float16"


def judged_note(scores: Mapping[str, Any]) -> str | None:
    """What a bundle's own judgement says against a store in INT8; None: that it holds.

    Args:
        scores: of its manifest; `tilefix calibrate --int8-features` writes the verdict there.
    """
    judged = scores.get("int8")
    verdict = judged.get("int8_features") if isinstance(judged, Mapping) else None
    if verdict == "held":
        return None
    if verdict is None:
        return (
            "nobody has judged what windows in INT8 cost this bundle: tilefix calibrate "
            "--int8-features says it"
        )
    return f"of windows in INT8 this bundle's judgement says {verdict!r}: float16 costs nothing"
