"""The float bundle that is calibrated: the given one, or its equalised twin."""

from __future__ import annotations

from pathlib import Path

import msgspec

from calibration.quantization.equalization import equalise, equalising_scales
from calibration.quantization.int8_graphs import KINDS, check_floats
from calibration.request import CalibrationRequest
from edge.bundle import LOCALIZER, Bundle, is_part, write_bundle


def float_source(request: CalibrationRequest, bundle: Bundle) -> tuple[Bundle, str]:
    """The float bundle that is quantised, and what was done to it or its ranges, in words."""
    if request.tuned_from is not None:
        return (
            bundle,
            "thresholds as the fine-tuning was given them, found before it; none were chosen anew",
        )
    if not request.equalise:
        return bundle, ""
    changed, pairs = equalised_bundle(bundle, request.work_folder / "equalised")
    return changed, f"{pairs} pairs of convolutions equalised"


def equalised_bundle(bundle: Bundle, folder: Path) -> tuple[Bundle, int]:
    """A copy of a bundle whose float graphs have equalised weights, and the number of pairs.

    Its answers are the bundle's up to rounding; the same bundle gives the same bytes.

    Args:
        bundle: with graphs in fp32, and perhaps fp16.
        folder: of the copy.

    Raises:
        CalibrationError: the bundle cannot be calibrated.
        BundleError: something else is in the folder.
    """
    from export.localizer_parts import localizer_parts
    from export.shared_weights import WEIGHTS_FILE, whole_graph

    check_floats(bundle)
    files: dict[str, bytes | Path] = {
        name: bundle.file(name)
        for name in bundle.manifest.files
        if Path(name).name != WEIGHTS_FILE and not is_part(name)
    }
    pairs = 0
    for kind in KINDS:
        single = whole_graph(bundle.graph(kind))
        scales = equalising_scales(single)
        pairs += len(scales)
        for precision in bundle.precisions:
            model = whole_graph(bundle.graph(kind, precision))
            graph = equalise(model, scales).SerializeToString(deterministic=True)
            files[f"graphs/{precision}/{kind}.onnx"] = graph
            if kind == LOCALIZER and bundle.in_parts(precision):
                files |= localizer_parts(graph, precision)
    origin = f"{bundle.manifest.origin}; weights equalised for calibration"
    manifest = msgspec.structs.replace(bundle.manifest, origin=origin)
    return write_bundle(folder, manifest, files, replace=folder.exists()), pairs
