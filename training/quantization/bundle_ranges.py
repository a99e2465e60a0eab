"""Ranges of a calibration by convolution, as fine-tuning needs them, and back for a new bundle.

A range is of a value of one graph. Fine-tuning changes the weights, so the graphs that are exported
afterwards have another sha256; they have the same convolutions, and these carry the ranges over.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import onnx

from calibration.quantization.convolutions import carried_over, convolutions
from calibration.quantization.policy import sort_convolutions
from calibration.ranges.record import Ranges, TensorRange
from edge.bundle import ENCODER, LOCALIZER, Bundle, sha256_of
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


def check_ranges(bundle: Bundle, ranges: Ranges) -> None:
    """Refuse ranges that were not found in the fp32 graphs of this bundle.

    Raises:
        CalibrationError: it says which graph is another.
    """
    now = {kind: sha256_of(bundle.graph(kind)) for kind in KINDS}
    ranges.check(now, ranges.selection_sha256, ranges.preprocessing)


def ranges_for(ranges: Ranges, start: Bundle, tuned: Bundle) -> Ranges:
    """The ranges that a fine-tuned model was trained with, as those of its own bundle.

    Args:
        ranges: of `start`, which the run was given.
        start: the bundle that it began with.
        tuned: what was exported of the result.

    Raises:
        CalibrationError: ranges of another model than `start`; `tuned` has other convolutions.
    """
    check_ranges(start, ranges)
    entries: list[TensorRange] = []
    for kind in KINDS:
        old, new = (onnx.load(str(bundle.graph(kind))) for bundle in (start, tuned))
        names = [{each.name for each in convolutions(graph)} for graph in (old, new)]
        if names[0] != names[1]:
            raise CalibrationError(
                f"the ranges of {start.path} are of no use to {tuned.path}",
                expected="graphs with the same convolutions",
                found=f"{len(names[0] ^ names[1])} of the {kind} that the other one lacks",
                do="give the bundle that was exported of this fine-tuning",
            )
        places: Mapping[str, float] = {
            entry.tensor: float(index)
            for index, entry in enumerate(ranges.entries)
            if entry.graph == kind
        }
        entries += [
            msgspec.structs.replace(ranges.entries[int(index)], tensor=name)
            for name, index in carried_over(places, old, new).items()
        ]
    shas = {kind: sha256_of(tuned.graph(kind)) for kind in KINDS}
    return msgspec.structs.replace(ranges, graph_sha256=shas, entries=tuple(entries))
