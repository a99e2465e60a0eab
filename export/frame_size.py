"""The same bundle for frames of another size: smaller ones are quicker to locate in, and coarser.

And of another shape: a camera's frames fill a square to 56 % where they are 16:9, and the borders
around them cost as much as the picture. A bundle for frames of 512 x 320 sees the same pixels as
one of 512 x 512, and computes few borders. Some rows of them are worth their time: at edges without
any the network sees less well (`benchmarks/README.md`).

Only the localizer sees a frame. The encoder stays byte for byte, so the features of a window,
stored or in memory, serve bundles of every frame size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from edge.bundle import ALIGNMENT_GRAPH, LOCALIZER, Bundle, is_part, write_bundle
from edge.errors import BundleError, UsageError
from edge.manifest import Manifest
from export.acceptance_fit import refitted
from export.bundle_weights import lite_from_bundle
from export.graph_writing import PRECISIONS
from export.graphs import export_precisions
from export.localizer_parts import FOR_CPU, localizer_parts
from export.shared_weights import WEIGHTS_SHA256
from training.models.lite import FRAME_STRIDE_PX, Lite

LEAST_WIDE_PX, LEAST_NARROW_PX = 128, 64  # the larger and the smaller side
CALIBRATION = "calibration/"  # ranges, judgement and pictures of frames of the old size
Sides = tuple[int, int]  # width, height
ROUNDING = 1e-6  # of a weight that went from graph to model and back


def resize_frame(
    source: Path,
    out: Path,
    frame_px: Sides,
    fit_on: Sequence[Path] = (),
    held_out: Sequence[Path] = (),
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Bundle:
    """Write a bundle's copy whose localizer takes frames of another size or shape.

    Similarities are lower in coarser frames. Where no samples are given, the acceptance is the
    source's, which accepts less there, and the copy says what it was fitted on: score the copy
    before it flies.

    Args:
        source: folder of the bundle.
        out: folder of the copy; a bundle that is there is replaced.
        frame_px: width and height that frames are fitted into.
        fit_on: samples that the acceptance is fitted on anew (see `export.acceptance_fit`).
        held_out: samples of other places, which choose its thresholds.
        progress: wraps indices of samples to show progress.

    Raises:
        BundleError: a broken bundle, one that is no `lite` in float, one without alignment where
            samples are given, or `out` is the source.
        UsageError: a size that the backbone cannot take, or that the bundle has already.
        DataError: no samples there, or too few fixes.
    """
    bundle = Bundle.open(source)
    _check(bundle, out, frame_px)
    if fit_on and ALIGNMENT_GRAPH not in bundle.manifest.files:
        raise BundleError(
            f"no acceptance can be fitted for a copy of {bundle.manifest.name}",
            expected=f"a bundle with frame alignment, the file {ALIGNMENT_GRAPH} in it",
            found="none: aligned priors are part of the evidence",
            do="leave --fit-on and --held-out out, or take a bundle with alignment",
        )
    model = lite_from_bundle(bundle)
    width_px, height_px = frame_px
    sides = {"frame_px": width_px, "frame_height_px": height_px if height_px != width_px else None}
    resized = Lite(replace(model.options, **sides))
    resized.load_state_dict(model.state_dict())
    files: dict[str, bytes | Path] = {
        name: bundle.file(name)
        for name in bundle.manifest.files
        if Path(name).stem != LOCALIZER and not is_part(name) and not name.startswith(CALIBRATION)
    }
    with tempfile.TemporaryDirectory() as scratch:
        folders = {precision: Path(scratch, precision) for precision in bundle.precisions}
        graphs = export_precisions(resized.eval(), folders, kinds=(LOCALIZER,))
        for precision, paths in graphs.items():
            old = bundle.graph(LOCALIZER, precision)
            new = _with_weights_of(old, paths[LOCALIZER])
            files[f"graphs/{precision}/{old.name}"] = new
            if precision == FOR_CPU:
                files |= localizer_parts(new, precision)
        manifest = _resized(bundle.manifest, frame_px)
        if fit_on:
            draft = write_bundle(Path(scratch, "draft"), manifest, files)
            manifest = refitted(draft, fit_on, held_out, progress)
    return write_bundle(out, manifest, files, replace=out.exists())


def _check(bundle: Bundle, out: Path, frame_px: Sides) -> None:
    frame = bundle.manifest.frame
    now_px = frame.width_px, frame.height_px
    small = min(frame_px) < LEAST_NARROW_PX or max(frame_px) < LEAST_WIDE_PX
    if small or frame_px == now_px or any(side % FRAME_STRIDE_PX for side in frame_px):
        raise UsageError(
            f"the bundle {bundle.manifest.name} cannot have frames of {written(frame_px)} px",
            expected=f"multiples of {FRAME_STRIDE_PX}, one side at least {LEAST_WIDE_PX} and the "
            f"other {LEAST_NARROW_PX}, other than its own {written(now_px)}",
            found=written(frame_px),
            do="give another size with --frame-px, such as 320, or 320x224 for a camera of 16:9",
        )
    others = [precision for precision in bundle.precisions if precision not in PRECISIONS]
    if others:
        raise BundleError(
            f"frames of another size need other ranges than {bundle.path} was calibrated with",
            expected=f"a bundle with graphs in {' and '.join(PRECISIONS)} alone",
            found=", ".join(bundle.precisions),
            do="resize the float bundle first, then calibrate the copy: tilefix calibrate",
        )
    if out.exists() and out.samefile(bundle.path):
        raise BundleError(
            "a bundle cannot be replaced by itself with frames of another size",
            expected="--out with another folder",
            found=str(out),
            do="give a folder of its own with --out",
        )


def _resized(manifest: Manifest, frame_px: Sides) -> Manifest:
    acceptance, (width_px, height_px) = manifest.acceptance, frame_px
    before = written((manifest.frame.width_px, manifest.frame.height_px))
    return msgspec.structs.replace(
        manifest,
        name=f"{manifest.name}_{written(frame_px)}",
        frame=msgspec.structs.replace(manifest.frame, width_px=width_px, height_px=height_px),
        acceptance=msgspec.structs.replace(
            acceptance, fitted_on=f"frames of {before} px: {acceptance.fitted_on}"
        ),
        scores={},  # they were measured with frames of another size
    )


def written(frame_px: Sides) -> str:
    """512 for a square, 512x288 for another shape."""
    width_px, height_px = frame_px
    return f"{width_px}" if width_px == height_px else f"{width_px}x{height_px}"


def _with_weights_of(old: Path, new: Path) -> bytes:
    """The new graph with the old one's weights, bit for bit, wherever those are stored."""
    pointers = onnx.load(str(old), load_external_data=False)
    values = {tensor.name: tensor for tensor in onnx.load(str(old)).graph.initializer}
    places = {tensor.name: tensor for tensor in pointers.graph.initializer}
    model = onnx.load(str(new))
    for tensor in model.graph.initializer:
        if tensor.name in values and _equal(tensor, values[tensor.name]):
            tensor.CopyFrom(places[tensor.name])
    for entry in pointers.metadata_props:
        if entry.key == WEIGHTS_SHA256:
            model.metadata_props.add(key=entry.key, value=entry.value)
    return model.SerializeToString(deterministic=True)


def _equal(a: onnx.TensorProto, b: onnx.TensorProto) -> bool:
    """Whether they are one weight: equal but for what folding and unfolding rounds."""
    first, second = numpy_helper.to_array(a), numpy_helper.to_array(b)
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if first.dtype.kind != "f":
        return np.array_equal(first, second)
    return np.allclose(first, second, rtol=ROUNDING, atol=0)
