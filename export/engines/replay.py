"""The judge's frames through new engines: do they find the boxes of the float32 graphs?

A calibration is judged in ONNX Runtime. An engine has other kernels, which nobody saw before it is
on its device. So it is shown there some of the judge's pictures, which the bundle carries, or all
of a selection, and the agreement goes into its manifest. `tilefix build` does so after every build
in INT8. The graphs that the engine was made of find their boxes beside it, in ONNX Runtime as they
were judged: what the engine may lose against float32 is what they lose on these very pictures.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace as changed
from pathlib import Path

import msgspec

from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.engine_manifest import ENGINES_VARIABLE, FLOOR_IOU, LEAST_IOU, BoxReplay
from edge.precisions import INT8
from edge.types import Prior
from export.engines.build import BuiltEngine, renewed
from export.engines.measuring import REFERENCE, DeviceMeasurer
from export.engines.replay_pictures import Pictures
from export.verification.cases import Case

ONNX_RUNTIME = REFERENCE.executor


def replay(
    bundle: Bundle, engines: Sequence[BuiltEngine], pictures: Pictures, executor: str
) -> BoxReplay:
    """Compare the boxes of both engines of one precision, and write that into their manifests.

    Args:
        bundle: of the engines.
        engines: of both graphs; no others are run, whatever lies beside them.
        pictures: to show.
        executor: "tensorrt" or "tensorrt-rtx".

    Raises:
        TilefixError: the executor is not available, an engine fails, or cannot be written; ONNX
            Runtime refuses its graphs.
    """
    precision = engines[0].manifest.key.precision
    most = [max(x.manifest.key.click_buckets) for x in engines if x.manifest.key.click_buckets]
    measurer = DeviceMeasurer(bundle, _split(pictures.cases, min(most)), executor)
    with _alone(bundle, engines):
        tally = measurer.tally(precision)
    agreement = tally.agreement()
    expected = 1.0
    if precision.startswith(INT8):
        expected = measurer.tally(precision, ONNX_RUNTIME).agreement().iou_median
    record = BoxReplay(
        against=str(REFERENCE),
        selection_sha256=pictures.sha256,
        pictures=pictures.origin,
        clicks=agreement.clicks,
        iou_median=round(agreement.iou_median, 4),
        close_share=round(tally.share_at(LEAST_IOU), 4),
        judged_iou_median=round(expected, 4),
        encoder_sha256=_encoder_sha256(engines),
    )
    for each in engines:
        renewed(bundle, each, msgspec.structs.replace(each.manifest, replay=record))
    return record


def known_replay(engines: Sequence[BuiltEngine], pictures: Pictures) -> BoxReplay | None:
    """What an earlier build found on these pictures, or on all of the selection they are of.

    It holds for the engine of the localizer that it is written in, with the encoder of then.
    """
    (record,) = [x.manifest.replay for x in engines if x.manifest.key.kind == LOCALIZER]
    if record is None or record.encoder_sha256 != _encoder_sha256(engines):
        return None
    known = record.selection_sha256 in (pictures.sha256, pictures.part_of_sha256)
    return record if known else None


@contextmanager
def _alone(bundle: Bundle, engines: Sequence[BuiltEngine]) -> Iterator[None]:
    """An engine of another build that fits this device as well would be run in place of these."""
    before = os.environ.get(ENGINES_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="tilefix-replay-") as scratch:
        folder = Path(scratch, bundle.manifest.name)
        folder.mkdir()
        for each in engines:
            (folder / each.folder.name).symlink_to(each.folder.resolve())
        os.environ[ENGINES_VARIABLE] = scratch
        try:
            yield
        finally:
            if before is None:
                del os.environ[ENGINES_VARIABLE]
            else:
                os.environ[ENGINES_VARIABLE] = before


def _split(cases: Sequence[Case], most: int) -> list[Case]:
    """The same clicks, at most so many at once: an engine refuses more than its largest bucket."""
    return [
        changed(
            case,
            click_xy_px=case.click_xy_px[at : at + most],
            prior=Prior(
                case.prior.xy_px[at : at + most],
                case.prior.inv_var[at : at + most],
                case.prior.source,
            ),
        )
        for case in cases
        for at in range(0, len(case.click_xy_px), most)
    ]


def _encoder_sha256(engines: Sequence[BuiltEngine]) -> str:
    """Which encoder the boxes rest on; one that is built again may give others."""
    found = [each.manifest for each in engines if each.manifest.key.kind == ENCODER]
    return found[0].engine_sha256 if found else ""


def told(record: BoxReplay) -> str:
    """The record in one line for people."""
    line = (
        f"replayed {record.clicks} clicks{record.pictures and f' of {record.pictures}'} against "
        f"{record.against}: median IoU {record.iou_median:.3f}, {record.close_share:.0%} of the "
        f"boxes with IoU >= {LEAST_IOU:g}"
    )
    if record.judged_iou_median < 1:
        line += f"; its graphs in {ONNX_RUNTIME}: median {record.judged_iou_median:.3f}"
    if record.verdict and record.judged_iou_median < FLOOR_IOU:
        line += ", so that these pictures cannot tell, and `tilefix run` warns"
    elif record.verdict:
        line += f"; below {record.least_iou:.3f}, so `tilefix run` warns: fp16 is the safer choice"
    return line
