"""What a judgement is asked of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from calibration.defaults import FRAMES_PER_WINDOW
from calibration.judging.record import BUDGET_POINTS, RankedBy, Ranking
from calibration.quantization.int8_graphs import FloatGraphs
from calibration.ranges.record import Ranges
from calibration.selection.record import SelectionFolder
from edge.bundle import Bundle
from edge.errors import CalibrationError, UsageError

NOT_ASKED = Ranking(by=RankedBy.MACS, reason="no device was asked")


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """A float bundle, ranges to quantise it with, and what to judge the result on."""

    bundle: Bundle  # with graphs in fp32; in fp16 too where TensorRT's form shall be kept
    ranges: Mapping[str, Ranges]  # method -> its ranges; several: the best one is kept
    selection: SelectionFolder  # that the ranges were found on
    work: Path  # finished work; the same folder goes on after a kill
    samples: tuple[Path, ...] = ()  # rendered and held out; none: agreement alone decides
    pairs: tuple[Path, ...] = ()  # labelled frames of real flights
    images: Path | None = None  # of the pairs
    budget_points: float = BUDGET_POINTS
    every: int = 1  # of the samples
    score_fp16: bool = True  # minutes on a CPU, which emulates float16
    int8_features: bool = False  # whether a feature store in int8 is scored too
    graphs: FloatGraphs | None = None  # that are quantised, where they are not the bundle's own
    frames_per_window: float = FRAMES_PER_WINDOW  # that one run of the encoder serves
    ranking: Ranking = NOT_ASKED  # what blocks save on a device, or why that is not known

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            UsageError: no ranges, a budget that is no positive number, an odd share of samples, or
                windows that serve less than a frame; features that cannot be int8.
            CalibrationError: ranges of another bundle or selection.
        """
        check_frames_per_window(self.frames_per_window)
        if self.int8_features:
            check_storable(self.bundle)
        if not self.ranges:
            raise UsageError(
                "there is nothing to judge",
                expected="ranges by at least one method",
                found="none",
                do="find ranges on the selection first: calibration.ranges.finding.find_ranges",
            )
        if not 0 < self.budget_points < 100 or self.every < 1:
            raise UsageError(
                "the judge cannot work to this budget",
                expected="points of accuracy between 0 and 100, and every first sample or more",
                found=f"budget {self.budget_points}, every {self.every}",
                do="give --budget 1.0",
            )
        files = (self.graphs or FloatGraphs(self.bundle)).bundle.manifest.files
        for ranges in self.ranges.values():
            graphs = {kind: files[f"graphs/fp32/{kind}.onnx"] for kind in ranges.graph_sha256}
            digest = self.selection.selection.digest()
            ranges.check(graphs, digest, ranges.preprocessing)
        judged_on = {str(path.resolve()) for path in self.samples}
        if len(judged_on) < len(self.samples):
            raise CalibrationError(
                "held-out samples are named twice",
                expected="every folder once: a click that counts twice narrows every interval",
                found=", ".join(map(str, self.samples)),
                do="name each folder once",
            )


def check_storable(bundle: Bundle) -> None:
    """Refuse to judge features in INT8 that no store can hold so.

    Raises:
        UsageError: a feature that is no map of channels, such as OCGNet's keys.
    """
    odd = [each for each in bundle.manifest.features if len(each.shape) != 3]
    if odd:
        shown = ", ".join(f"{each.name} {list(each.shape)}" for each in odd)
        raise UsageError(
            f"the features of the bundle {bundle.manifest.name} cannot be stored in int8",
            expected="each one channels, rows and columns: its scales are those of channels",
            found=shown,
            do="leave --int8-features out, and store features as float16",
        )


def check_frames_per_window(frames: float) -> None:
    """Refuse a weight of the encoder that cannot be meant.

    Raises:
        UsageError: less than one frame in a window, or no number.
    """
    if not 1 <= frames < float("inf"):
        raise UsageError(
            "a window cannot serve so many frames",
            expected="1 (the encoder runs for every frame) or more",
            found=f"{frames:g}",
            do=f"give --frames-per-window {FRAMES_PER_WINDOW:g}",
        )
