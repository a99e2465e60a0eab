"""From histograms to thresholds: one method for all tensors of a bundle's graphs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from calibration.ranges.histogram import Histogram
from calibration.ranges.histogram_file import TensorHistograms
from calibration.ranges.methods import FINDERS
from calibration.ranges.record import LEVELS, METHODS, Ranges, TensorRange
from calibration.ranges.staleness import changes_between, stale
from edge.errors import CalibrationError, UsageError

LEAST_SCALE = 2.0**-14  # the smallest normal float16: a scale below it loses bits, or becomes zero
ZERO_AMAX = LEVELS * LEAST_SCALE  # of a tensor that is always zero; any scale holds it exactly


def find_ranges(histograms: Sequence[TensorHistograms], method: str) -> Ranges:
    """Thresholds for all tensors of these graphs.

    Args:
        histograms: one for each graph, of one selection and one preprocessing.
        method: one of METHODS.

    Raises:
        UsageError: no such method.
        CalibrationError: no histograms or no images, or histograms of different selections.
    """
    if method not in METHODS:
        raise UsageError(
            f"there is no range method {method!r}",
            expected=f"one of: {', '.join(METHODS)}",
            found=repr(method),
            do="choose one of these with --method",
        )
    if not histograms or not all(one.images for one in histograms):
        raise CalibrationError(
            "there are no ranges without images",
            expected="histograms of at least one image",
            found="none",
            do="observe the graphs on a selection first",
        )
    first = histograms[0].identity
    for other in histograms[1:]:
        then, now = other.identity, first
        changes = changes_between(
            {"selection": then.selection_sha256, "preprocessing": then.preprocessing},
            {"selection": now.selection_sha256, "preprocessing": now.preprocessing},
        )
        if changes:
            raise stale("the histograms of the graphs differ", changes, "observe both graphs anew")
    return Ranges(
        graph_sha256={one.identity.graph: one.identity.graph_sha256 for one in histograms},
        selection_sha256=first.selection_sha256,
        method=method,
        preprocessing=first.preprocessing,
        entries=tuple(
            tensor_range(name, histogram, method, one.identity.graph)
            for one in histograms
            for name, histogram in one.tensors.items()
        ),
    )


def tensor_range(tensor: str, histogram: Histogram, method: str, graph: str = "") -> TensorRange:
    """The threshold of one tensor; that of a constant zero is `ZERO_AMAX`, and noted."""
    amax, note = FINDERS[method](histogram), ""
    if histogram.amax == 0:
        amax = ZERO_AMAX
        note = f"always zero: its scale is {LEAST_SCALE:.3g}, the smallest normal float16"
    elif amax / LEVELS < LEAST_SCALE:
        digits = math.ceil(math.log10(amax))
        note = f"below 1e{digits}: its scale is no normal float16, leave it unquantised there"
    return TensorRange(
        tensor=tensor,
        amax=amax,
        lowest=histogram.lowest,
        highest=histogram.highest,
        saturated_share=histogram.share_beyond(amax),
        method=method,
        graph=graph,
        note=note,
    )
