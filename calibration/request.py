"""What a calibration is asked for, and where it keeps its work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calibration.judging.record import BUDGET_POINTS
from calibration.judging.request import check_frames_per_window
from calibration.judging.search import FRAMES_PER_WINDOW
from calibration.ranges.record import METHODS
from calibration.selection.request import FRAMES, WINDOWS, ImageSource
from edge.errors import UsageError

BEST = "best"
# Each is run through the network once, so that what its activations reach decides: 0.1 s on two
# cores, and two minutes for all of these.
CANDIDATES = 1024


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """Everything that decides the INT8 bundle."""

    bundle: Path
    out: Path
    frames: tuple[ImageSource, ...]
    maps: tuple[ImageSource, ...]
    method: str = BEST  # or one of METHODS
    budget_points: float = BUDGET_POINTS
    samples: tuple[Path, ...] = ()  # rendered, held out, labelled
    pairs: tuple[Path, ...] = ()  # labelled real frames
    images: Path | None = None  # of the pairs
    frame_count: int = FRAMES
    window_count: int = WINDOWS
    candidates: int = CANDIDATES  # frames that are looked at, spread over all sources
    int8_features: bool = False  # whether a feature store in int8 is judged too
    equalise: bool = False
    correct_bias: bool = False
    every: int = 1  # of the samples
    frames_per_window: float = FRAMES_PER_WINDOW  # that one run of the encoder serves
    by_macs: bool = False  # blocks are ranked by multiply-accumulates, whatever GPU is here
    plugin: Path | None = (
        None  # of `tilefix plugin build`, for the engines that blocks are timed by
    )
    seed: int = 0
    threads: int = 2
    provider: str = "cpu"  # of ONNX Runtime, for the ranges; or "cuda"
    shards: int = 1  # that the pictures are spread over while ranges are found
    shard: int | None = None  # observe this one alone; None: all there is, or merge the shards
    work: Path | None = None  # None: beside `out`
    command: str = ""  # as it was given, for the report

    def check(self) -> None:
        """Refuse before hours of work what is wrong with the judging.

        Raises:
            UsageError: a budget that is no number of points, labels that are not there, or a window
                that serves less than a frame; a shard that cannot be.
        """
        self._check_shards()
        check_frames_per_window(self.frames_per_window)
        if not 0 < self.budget_points < 100:
            raise UsageError(
                "the budget cannot be meant",
                expected="points of acc@0.25 between 0 and 100",
                found=f"{self.budget_points:g}",
                do="give --budget 1.0",
            )
        for path, kind in (
            *((path, "a folder of samples") for path in self.samples),
            *((path, "a pairs file") for path in self.pairs),
        ):
            if not path.exists():
                raise UsageError(
                    f"{path} is not there",
                    expected=kind,
                    found="no such file or folder",
                    do="correct --samples or --pairs",
                )

    def _check_shards(self) -> None:
        if self.shards < 1 or (self.shard is not None and not 0 <= self.shard < self.shards):
            raise UsageError(
                "there is no such shard",
                expected="--shards N, and --shard from 0 to N - 1",
                found=f"--shards {self.shards} --shard {self.shard}",
                do="count the shards from 0",
            )
        if self.shards > 1 and self.equalise:
            raise UsageError(
                "equalised graphs are not observed in shards",
                expected="--shards or --equalise",
                found="both: every shard would write the equalised graphs anew",
                do="leave --shards out",
            )

    @property
    def work_folder(self) -> Path:
        """Where selection, histograms and scores are kept, so that a stopped run goes on."""
        return self.work or self.out.with_name(f"{self.out.name}.work")

    @property
    def methods(self) -> tuple[str, ...]:
        """The range methods that are tried."""
        return METHODS if self.method == BEST else (self.method,)
