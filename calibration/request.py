"""What a calibration is asked for, and where it keeps its work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calibration.defaults import CANDIDATES, FRAMES_PER_WINDOW
from calibration.judging.record import BUDGET_POINTS
from calibration.judging.request import check_frames_per_window
from calibration.ranges.record import METHODS
from calibration.selection.request import FRAMES, WINDOWS, ImageSource
from edge.bundle import Bundle
from edge.engine_manifest import MANIFEST_FILE, read_engine
from edge.errors import UsageError

BEST = "best"


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """Everything that decides the INT8 bundle."""

    bundle: Path
    out: Path
    frames: tuple[ImageSource, ...]
    maps: tuple[ImageSource, ...]
    method: str = BEST  # or one of METHODS
    tuned_from: Path | None = None  # INT8 bundle whose ranges a fine-tuning was given, and kept
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
    # Folder of `tilefix plugin build`, or of an engine: for the engines that blocks are timed with.
    plugin: Path | None = None
    # Whether the bundle carries pictures of the flights: some for engines, and the report's sheet.
    replay_pictures: bool = True
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
                that serves less than a frame; a shard that cannot be; a plugin that nobody reads.
            ExecutorError: a plugin that is missing, damaged or not the one that was built.
            DataError, PairsError, CalibrationError: labels that cannot be judged on, see
                `calibration.labels.check_labels`.
            BundleError: a broken bundle, where there are labels.
        """
        self._check_shards()
        self._check_tuned()
        self._check_plugin()
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
        if self.samples or self.pairs:
            from calibration.labels import check_labels

            bundle = Bundle.open(self.bundle)
            check_labels(bundle, self.samples, self.every, self.pairs, self.images)

    def _check_tuned(self) -> None:
        odd = {
            f"--method {self.method}": self.method != BEST,
            "--equalise": self.equalise,
            "--correct-bias": self.correct_bias,
        }
        given = [option for option, there in odd.items() if there]
        if self.tuned_from is not None and given:
            raise UsageError(
                "ranges that a model was trained with are kept as they are",
                expected="--tuned-from alone: none are found, and weights stay as trained",
                found=", ".join(given),
                do="leave out one or the other",
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

    def _check_plugin(self) -> None:
        """Else a device is asked with it after hours, and a wrong one is no more than a reason."""
        if self.plugin is None:
            return
        if self.by_macs:
            raise UsageError(
                "blocks that are ranked by MACs are not timed, so no plugin is read",
                expected="--by-macs or --plugin",
                found=f"--by-macs --plugin {self.plugin}",
                do="leave one of them out",
            )
        from export.plugin.build import read_manifest

        if not (self.plugin / MANIFEST_FILE).is_file():
            read_manifest(self.plugin)
        elif not read_engine(self.plugin).key.plugin_sha256:
            raise UsageError(
                f"the engine in {self.plugin} has no plugin",
                expected="a folder of `tilefix plugin build`, or of an engine with its plugin",
                found="an engine of a graph without custom nodes",
                do="leave --plugin out, or give the engine of the localizer",
            )

    @property
    def work_folder(self) -> Path:
        """Where selection, histograms and scores are kept, so that a stopped run goes on."""
        return self.work or self.out.with_name(f"{self.out.name}.work")

    @property
    def methods(self) -> tuple[str, ...]:
        """The range methods that are tried."""
        return METHODS if self.method == BEST else (self.method,)
