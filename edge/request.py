"""What is asked of the localizer: clicks and prior, checked once at the boundary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.errors import ClickError, UsageError
from edge.types import Click, Float32, Float64, Prior, Uint8


def click_positions(clicks: Sequence[Click], frame_image: Uint8, frame: str) -> Float32:
    """The checked positions of clicks, [N, 2] float32, pixels of the frame.

    Raises:
        ClickError: see `checked_positions`; also two clicks of one id.
    """
    ids = [click.click_id for click in clicks]
    if len(set(ids)) != len(ids):
        doubled = next(name for name in ids if ids.count(name) > 1)
        raise ClickError(
            f"two clicks of {frame} have one id",
            expected="each object once in a frame",
            found=f"click {doubled!r} {ids.count(doubled)} times",
            do="give each object of a frame its own id",
        )
    xy_px = np.array([(click.x_px, click.y_px) for click in clicks], np.float64).reshape(-1, 2)
    return checked_positions(xy_px, frame_image, [repr(name) for name in ids])


def checked_positions(
    xy_px: Float32 | Float64, frame_image: Uint8, names: Sequence[str] | None = None
) -> Float32:
    """Click positions that lie in the frame, its edges included, as contiguous float32 [N, 2].

    Raises:
        ClickError: zero clicks, not [N, 2], not a number or infinite, or outside the frame; names
            the first such click.
    """
    if xy_px.ndim != 2 or xy_px.shape[1] != 2:
        raise ClickError(
            "the clicks have another shape",
            expected="[N, 2]: x and y of each click",
            found=f"{list(xy_px.shape)}",
            do="give one row of x and y for each click",
        )
    if not len(xy_px):
        raise ClickError(
            "there is nothing to locate: zero clicks",
            expected="at least one click",
            found="none",
            do="leave out frames without clicks, or give at least one click",
        )
    high, wide = frame_image.shape[:2]
    inside = ((xy_px >= 0) & (xy_px <= (wide, high))).all(axis=1)  # NaN compares False
    if not inside.all():
        index = int(np.argmin(inside))
        x_px, y_px = xy_px[index].tolist()
        name = names[index] if names else f"number {index}"
        finite = bool(np.isfinite(xy_px[index]).all())
        raise ClickError(
            f"the click {name} {'lies outside the frame' if finite else 'is not a position'}",
            expected=f"x from 0 to {wide} px and y from 0 to {high} px",
            found=f"x {x_px:g}, y {y_px:g}",
            do="check that the clicks belong to this frame and to its size, or drop this one",
        )
    return np.ascontiguousarray(xy_px, np.float32)


def checked_prior(prior: Prior | None, count: int) -> Prior:
    """A prior for exactly `count` clicks; one without knowledge where there is none.

    Raises:
        UsageError: another length, values that are not numbers, or a negative inverse variance.
    """
    if prior is None:
        return Prior.none(count)
    xy_px, inv_var = prior.xy_px, prior.inv_var
    usable = (
        xy_px.shape == (count, 2)
        and inv_var.shape == (count,)
        and bool(np.isfinite(xy_px).all() and np.isfinite(inv_var).all() and (inv_var >= 0).all())
    )
    if not usable:
        raise UsageError(
            f"the prior from {prior.source.value} cannot be used",
            expected=f"xy_px [{count}, 2] and inv_var [{count}], finite, inv_var 0 or more",
            found=f"xy_px {xy_px.tolist()}, inv_var {inv_var.tolist()}",
            do="give one position and inverse variance for each click; 0 where nothing is known",
        )
    if xy_px.dtype == np.float32 and inv_var.dtype == np.float32:
        return prior
    narrow = np.asarray(xy_px, np.float32), np.asarray(inv_var, np.float32)
    return Prior(*narrow, prior.source, prior.inliers)
