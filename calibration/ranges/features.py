"""Features of some windows for the localizer: encoded once in fp32, then read from the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from calibration.ranges.histogram_file import write_synced
from calibration.selection.record import ChosenImage, SelectionFolder
from edge.bundle import ENCODER, Bundle
from edge.errors import CalibrationError
from edge.executors.base import open_executor
from edge.types import Array

WINDOWS = 16  # enough for range statistics of cross attention, at some megabytes each on the disk


@dataclass(frozen=True, slots=True)
class StoredFeatures:
    """The named features of a seeded choice among the windows, memory-mapped where they are read.

    Each tensor is a file of its own, named by the encoder and the pixels that it came from, so it
    is made once for all shards and for all further runs.
    """

    folder: Path
    names: tuple[str, ...]
    windows: tuple[ChosenImage, ...]

    @staticmethod
    def make(
        bundle: Bundle,
        folder: SelectionFolder,
        names: Sequence[str],
        work: Path,
        seed: int,
        threads: int,
    ) -> StoredFeatures:
        """Encode the chosen windows that are not there yet.

        Raises:
            CalibrationError: the bundle knows no feature of such a name, or a window is altered.
            OutputError: a full disk.
        """
        known = {feature.name for feature in bundle.manifest.features}
        strange = [name for name in names if name not in known]
        if strange:
            raise CalibrationError(
                f"the localizer of {bundle.manifest.name} takes {strange[0]}, which nothing makes",
                expected=f"a feature of the bundle: {', '.join(sorted(known))}",
                found=strange[0],
                do="export the bundle again with this version of tilefix",
            )
        draw = np.random.default_rng(seed)
        count = min(WINDOWS, len(folder.windows))
        chosen = sorted(draw.choice(len(folder.windows), count, replace=False).tolist())
        windows = tuple(folder.windows[index] for index in chosen)
        features = StoredFeatures(work / bundle.model_id[:16], tuple(names), windows)
        missing = [x for x in windows if not all(features.path(x, n).is_file() for n in names)]
        if missing:
            encoder = open_executor("onnxruntime", bundle, ENCODER, "fp32", threads)
            for window in missing:
                tensors = encoder.run({"image": folder.read(window)}, features.names)
                for name, tensor in tensors.items():
                    buffer = BytesIO()
                    np.save(buffer, tensor)
                    write_synced(features.path(window, name), buffer.getvalue())
        return features

    @property
    def count(self) -> int:
        """How many windows there are."""
        return len(self.windows)

    def path(self, window: ChosenImage, name: str) -> Path:
        """Where a tensor of a window is."""
        return self.folder / f"{window.sha256[:32]}.{name}.npy"

    def read(self, index: int) -> dict[str, Array]:
        """The features of one of the windows.

        Raises:
            CalibrationError: a file is gone or damaged.
        """
        tensors: dict[str, Array] = {}
        for name in self.names:
            path = self.path(self.windows[index], name)
            try:
                tensors[name] = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise CalibrationError(
                    f"the features {path} cannot be read",
                    expected="a tensor that this run or an earlier one encoded",
                    found=f"{type(error).__name__}: {error}",
                    do=f"remove {path} and run the same command again",
                ) from error
        return tensors
