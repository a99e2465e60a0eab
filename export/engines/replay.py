"""The judge's frames through new engines: do they find the boxes of the float32 graphs?

A calibration is judged in ONNX Runtime. An engine has other kernels, which nobody saw before it is
on its device, so the frames and windows of the selection, which all of the calibration was based
on, are shown to it there, and the agreement goes into its manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edge.bundle import ENCODER, Bundle
from edge.engine_manifest import LEAST_IOU, BoxReplay
from edge.errors import ExecutorError, UsageError
from edge.precisions import INT8, INT8_FORMS
from edge.types import Prior
from export.engines.build import BuiltEngine, renewed
from export.engines.measuring import REFERENCE, DeviceMeasurer
from export.engines.targets import Target
from export.verification.cases import Case

ONNX_RUNTIME = REFERENCE.executor


@dataclass(frozen=True, slots=True)
class Pictures:
    """What engines and graphs are shown."""

    cases: tuple[Case, ...]
    selection_sha256: str


def open_pictures(folder: Path, bundle: Bundle, target: Target, graphs: int) -> Pictures:
    """Read the frames of a selection, each in the windows that the judge looks for it in.

    Args:
        folder: `selection` in the work folder of `tilefix calibrate`.
        bundle: whose engines are built.
        target: of the build.
        graphs: how many are built.

    Raises:
        UsageError: one graph alone; a selection of other sizes, or without pictures.
        ExecutorError: no GPU of the target here.
        CalibrationError: no selection there, or an altered one.
    """
    from calibration.judging.agreement import meetings
    from calibration.ranges.inputs import CLICKS, seeded_clicks
    from calibration.selection.record import SelectionFolder

    if not target.present:
        raise ExecutorError(
            "--replay needs the device that the engines are for",
            expected=f"a GPU of {target.names} in this machine",
            found="none",
            do="build without --replay here, and with it on the device",
        )
    if graphs < 2:
        raise _unfit(folder, "both graphs", "--graph with one", "leave --graph out")
    opened = SelectionFolder.open(folder)
    manifest = bundle.manifest
    sides = [(each.width_px, each.height_px) for each in (manifest.frame, manifest.window)]
    found = [tuple(opened.selection.frame_px), tuple(opened.selection.window_px)]
    if found != sides:
        again = "give the selection that this bundle was calibrated with"
        raise _unfit(folder, _sizes(sides), _sizes(found), again)
    cases = []
    for place, frames in meetings(opened):
        pixels = opened.read(place)
        cases += [
            Case(
                name=frame.file,
                window_name=place.file,
                window=pixels,
                frame=opened.read(frame),
                frame_affine=np.array(frame.frame_affine, np.float32).reshape(2, 3),
                click_xy_px=seeded_clicks(frame, opened.selection.frame_px, seed=0),
                prior=Prior.none(CLICKS),
            )
            for frame in frames
        ]
    if not cases:
        raise _unfit(folder, "frames and windows", "none of one kind", "select again")
    return Pictures(tuple(cases), opened.selection.digest())


def replay(
    bundle: Bundle, engines: Sequence[BuiltEngine], pictures: Pictures, executor: str
) -> BoxReplay:
    """Compare the boxes of both engines of one precision, and write that into their manifests.

    Args:
        bundle: of the engines.
        engines: of both graphs, which lie where `executor` finds them.
        pictures: to show.
        executor: "tensorrt" or "tensorrt-rtx".

    Raises:
        TilefixError: the executor is not available, an engine fails, or cannot be written.
    """
    precision = engines[0].manifest.key.precision
    measurer = DeviceMeasurer(bundle, pictures.cases, executor)
    tally = measurer.tally(precision)
    agreement = tally.agreement()
    judged = INT8_FORMS[ONNX_RUNTIME]
    known = precision.startswith(INT8) and judged in bundle.precisions
    expected = measurer.tally(judged, ONNX_RUNTIME).agreement().iou_median if known else 1.0
    record = BoxReplay(
        against=str(REFERENCE),
        selection_sha256=pictures.selection_sha256,
        clicks=agreement.clicks,
        iou_median=round(agreement.iou_median, 4),
        close_share=round(tally.share_at(LEAST_IOU), 4),
        judged_iou_median=round(expected, 4),
        encoder_sha256=_encoder_sha256(engines),
    )
    for each in engines:
        renewed(bundle, each, msgspec.structs.replace(each.manifest, replay=record))
    return record


def _encoder_sha256(engines: Sequence[BuiltEngine]) -> str:
    """Which encoder the boxes rest on; one that is built again may give others."""
    found = [each.manifest for each in engines if each.manifest.key.kind == ENCODER]
    return found[0].engine_sha256 if found else ""


def told(record: BoxReplay) -> str:
    """The record in one line for people."""
    line = (
        f"replayed {record.clicks} clicks against {record.against}: median IoU "
        f"{record.iou_median:.3f}, {record.close_share:.0%} of the boxes with IoU >= {LEAST_IOU:g}"
    )
    if record.judged_iou_median < 1:
        line += f"; the graphs in {ONNX_RUNTIME}: median {record.judged_iou_median:.3f}"
    return line


def _sizes(sides: Sequence[tuple[int, ...]]) -> str:
    frame, window = (f"{wide} x {high} px" for wide, high in sides)
    return f"frames of {frame} and windows of {window}"


def _unfit(folder: Path, expected: str, found: str, do: str) -> UsageError:
    what = f"the selection {folder} cannot be replayed"
    return UsageError(what, expected=expected, found=found, do=do)
