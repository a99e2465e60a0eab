"""Ranges of a calibration by convolution, as fine-tuning needs them.

The way back, to the bundle of the result, is `calibration.ranges.carried`.
"""

from __future__ import annotations

import onnx

from calibration.quantization.policy import sort_convolutions
from calibration.ranges.carried import check_ranges
from calibration.ranges.record import Ranges
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.errors import CalibrationError

KINDS = (ENCODER, LOCALIZER)
PREFIX, SUFFIX = "model.", ".weight"


def convolution_amax(bundle: Bundle, ranges: Ranges) -> dict[str, dict[str, float]]:
    """The range of what each convolution reads: kind of graph -> name of the module -> amax.

    Args:
        bundle: that the ranges were found for.
        ranges: of the values of its fp32 graphs.

    Raises:
        CalibrationError: ranges of another model, or too few.
    """
    check_ranges(bundle, ranges)
    found: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        known = ranges.of(kind)
        found[kind] = {}
        for each in sort_convolutions(onnx.load(str(bundle.graph(kind)))).eligible:
            if each.source not in known:
                raise CalibrationError(
                    f"there is no range for {each.source} of the {kind}",
                    expected="ranges of every value that a quantised convolution reads",
                    found=f"{len(known)} of the {kind}",
                    do="find the ranges again with tilefix calibrate",
                )
            name = each.name.removeprefix(PREFIX).removesuffix(SUFFIX)
            found[kind][name] = known[each.source].amax
    return found
