"""The ranges that a model was fine-tuned with, for the bundle of the result.

A range is of a value of one graph. Fine-tuning (`tilefix train --qat`) changes the weights, so the
graphs that are exported afterwards have another sha256; they have the same convolutions, and these
carry the ranges over. Ranges found anew would not be those that the weights have learnt with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import onnx

from calibration.quantization.convolutions import carried_over, convolutions
from calibration.ranges.finding import find_ranges
from calibration.ranges.histogram_file import TensorHistograms
from calibration.ranges.record import Ranges, TensorRange
from edge.bundle import ENCODER, LOCALIZER, Bundle, sha256_of
from edge.errors import CalibrationError

KINDS = (ENCODER, LOCALIZER)
RANGES_FILE = "calibration/ranges.json"


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


def trained_ranges(start: Path, tuned: Bundle) -> Ranges:
    """The ranges in the INT8 bundle that a fine-tuning began with, as those of its result.

    Args:
        start: folder of that INT8 bundle, whose `calibration/ranges.json` the run was given.
        tuned: what was exported of the result.

    Raises:
        BundleError: a broken bundle.
        CalibrationError: no INT8 bundle, or see `ranges_for`.
    """
    bundle = Bundle.open(start)
    if RANGES_FILE not in bundle.manifest.files:
        raise CalibrationError(
            f"the bundle {start} has no ranges that a model could have been trained with",
            expected=f"{RANGES_FILE} in an INT8 bundle, as `tilefix train --qat` was given it",
            found=f"graphs in {', '.join(bundle.precisions)}",
            do="name the bundle that `tilefix calibrate` made before the fine-tuning",
        )
    return ranges_for(Ranges.read(bundle.file(RANGES_FILE)), bundle, tuned)


def with_trained(histograms: Sequence[TensorHistograms], trained: Ranges) -> Ranges:
    """What the tuned graphs reach on a selection, beside the thresholds that they learnt with.

    Args:
        histograms: of the tuned graphs.
        trained: see `trained_ranges`.

    Raises:
        CalibrationError: `trained` lacks a value that was observed.
    """
    found = find_ranges(histograms, trained.method)
    known = {(entry.graph, entry.tensor): entry for entry in trained.entries}
    seen = {(x.identity.graph, name): h for x in histograms for name, h in x.tensors.items()}
    entries = []
    for entry in found.entries:
        key = entry.graph, entry.tensor
        if key not in known:
            raise CalibrationError(
                f"there is no range for {entry.tensor} of the {entry.graph}",
                expected="ranges of all that INT8 graphs read, as a calibration leaves them",
                found=f"{len(known)} ranges",
                do="name the INT8 bundle that the fine-tuning was given",
            )
        amax, note = known[key].amax, known[key].note
        share = seen[key].share_beyond(amax)
        entries.append(msgspec.structs.replace(entry, amax=amax, saturated_share=share, note=note))
    return msgspec.structs.replace(found, entries=tuple(entries))
