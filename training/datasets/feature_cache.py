"""The frozen backbone's features of rendered samples, computed once and memory-mapped.

On a CPU the backbone is most of a training step, and frozen it gives the same answer each time. The
arrays lie beside the samples, of one backbone at a time:

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
from torch import Tensor, nn

from edge.errors import DataError
from training.datasets.backbone_run import BackboneRun, TorchRun
from training.datasets.pair_folder import PairFolder
from training.models.backbones import Backbone

VIEWS = {"frame": (8, 16), "window": (8, 16, 32)}
FLUSH_EVERY = 32


def backbone_id(backbone: nn.Module) -> str:
    """sha256 over all tensors of a backbone."""
    digest = hashlib.sha256()
    for key, value in sorted(backbone.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """Cached features of one folder."""

    arrays: dict[str, NDArray[np.float16]]

    @staticmethod
    def build(
        folder: PairFolder,
        backbone: Backbone,
        progress: Callable[[Iterable[int]], Iterable[int]] = iter,
        run: BackboneRun | None = None,
    ) -> FeatureCache:
        """Compute what is missing; a killed run goes on at the last flushed sample.

        Args:
            folder: rendered samples; features of another backbone that it has are replaced.
            backbone: whose features; is put in eval mode.
            progress: wraps the numbers of the samples to do.
            run: how it is run; None: by PyTorch.
        """
        run = run or TorchRun(backbone)
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
                shape = (len(folder), backbone.channels[stride], height, width)
                mode = "r+" if header["done"] and path.exists() else "w+"
                arrays[f"{view}_s{stride}"] = np.lib.format.open_memmap(
                    path, mode=mode, dtype=np.float16, shape=shape
                )
        for index in progress(range(header["done"], len(folder))):
            sample = folder.read(index)
            for view, image in (("frame", sample.frame), ("window", sample.window)):
                features = run(image, max(VIEWS[view]))
                for stride in VIEWS[view]:
                    arrays[f"{view}_s{stride}"][index] = features[stride].astype(np.float16)
            if (index + 1) % FLUSH_EVERY == 0 or index + 1 == len(folder):
                for array in arrays.values():
                    array.flush()
                header["done"] = index + 1
                header_path.write_text(json.dumps(header))
        return FeatureCache.open(folder, backbone)

    @staticmethod
    def open(folder: PairFolder, backbone: nn.Module) -> FeatureCache:
        """Map the arrays.

        Args:
            folder: rendered samples.
            backbone: of the model that is to read them.

        Raises:
            DataError: no cache, one that was not finished, or one of another backbone.
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
        if header["backbone"] != backbone_id(backbone):
            raise DataError(
                f"the features of {folder.path} are of another backbone than the model's",
                expected=f"those of the weights {backbone_id(backbone)[:12]}",
                found=header["backbone"][:12],
                do=f"tilefix datasets cache {folder.path} --init PATH, with what --init of the "
                "training has (without --init in both, of ImageNet's weights)",
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
