"""The frozen backbone's features of rendered samples, computed once and memory-mapped.

On a CPU the backbone is nine tenths of a training step, and frozen it gives the same answer each
time. The arrays lie beside the samples:

    FOLDER/features/{frame,window}_s{8,16,32}.npy   float16 [count, channels, H/stride, W/stride]
    FOLDER/features/header.json                     count done, backbone identity
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.errors import DataError
from training.datasets.pair_folder import PairFolder
from training.models.efficientnet_lite import CHANNELS, EfficientNetLite0

VIEWS = {"frame": (8, 16), "window": (8, 16, 32)}
FLUSH_EVERY = 32


def backbone_id(backbone: EfficientNetLite0) -> str:
    """sha256 over all tensors of a backbone."""
    digest = hashlib.sha256()
    for key, value in sorted(backbone.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _planes(image: NDArray[np.uint8]) -> Tensor:
    """[H, W, 3] uint8 -> [1, 3, H, W] float32, 0..255."""
    planes = torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0).float()
    return planes.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """Cached features of one folder."""

    arrays: dict[str, NDArray[np.float16]]

    @staticmethod
    def build(
        folder: PairFolder, progress: Callable[[Iterable[int]], Iterable[int]] = iter
    ) -> FeatureCache:
        """Compute what is missing; a killed run goes on at the last flushed sample."""
        backbone = EfficientNetLite0(32)
        backbone.load_pretrained()
        backbone.eval().to(memory_format=torch.channels_last)
        root = folder.path / "features"
        root.mkdir(exist_ok=True)
        header_path = root / "header.json"
        identity = backbone_id(backbone)
        header = {"backbone": identity, "count": len(folder), "done": 0}
        if header_path.exists():
            header = json.loads(header_path.read_text())
        if header["backbone"] != identity or header["count"] != len(folder):
            header = {"backbone": identity, "count": len(folder), "done": 0}
        first = folder.read(0)
        sizes = {"frame": first.frame.shape[:2], "window": first.window.shape[:2]}
        arrays: dict[str, NDArray[np.float16]] = {}
        for view, strides in VIEWS.items():
            for stride in strides:
                path = root / f"{view}_s{stride}.npy"
                height, width = (side // stride for side in sizes[view])
                shape = (len(folder), CHANNELS[stride], height, width)
                mode = "r+" if header["done"] and path.exists() else "w+"
                arrays[f"{view}_s{stride}"] = np.lib.format.open_memmap(
                    path, mode=mode, dtype=np.float16, shape=shape
                )
        # bfloat16 is three times faster here; its error is far below what JPEG does to the features
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for index in progress(range(header["done"], len(folder))):
                sample = folder.read(index)
                for view, image in (("frame", sample.frame), ("window", sample.window)):
                    features = backbone(_planes(image), deepest_stride=max(VIEWS[view]))
                    for stride in VIEWS[view]:
                        arrays[f"{view}_s{stride}"][index] = features[stride][0].half().numpy()
                if (index + 1) % FLUSH_EVERY == 0 or index + 1 == len(folder):
                    for array in arrays.values():
                        array.flush()
                    header["done"] = index + 1
                    header_path.write_text(json.dumps(header))
        return FeatureCache.open(folder)

    @staticmethod
    def open(folder: PairFolder) -> FeatureCache:
        """Map the arrays.

        Raises:
            DataError: no cache, or one that was not finished.
        """
        root = folder.path / "features"
        header_path = root / "header.json"
        header = json.loads(header_path.read_text()) if header_path.exists() else None
        if header is None or header["done"] != len(folder):
            raise DataError(
                f"the features of {folder.path} are not cached",
                expected=f"{len(folder)} samples in {root}",
                found="none" if header is None else f"{header['done']}",
                do=f"tilefix datasets cache {folder.path}",
            )
        return FeatureCache(
            {
                f"{view}_s{stride}": np.load(root / f"{view}_s{stride}.npy", mmap_mode="r")
                for view, strides in VIEWS.items()
                for stride in strides
            }
        )

    def batch(self, view: str, indices: list[int]) -> dict[int, Tensor]:
        """Features by stride of some samples, float32. -> {stride: [B, C, H/stride, W/stride]}."""
        return {
            stride: torch.from_numpy(
                np.stack([self.arrays[f"{view}_s{stride}"][i] for i in indices])
            ).float()
            for stride in VIEWS[view]
        }
