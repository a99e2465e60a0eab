"""A small `lite` with settled random weights, and a bundle of it in both float precisions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import nn

from edge.bundle import Bundle, shipped_bundle_path, write_bundle
from training.models.lite import Lite, LiteOptions

FRAME_PX, WINDOW_PX = 128, 256
EMBEDDING, HIDDEN = 32, 16
FUSION = {"click_var": 0.02, "centre_var": 0.03, "floor_var_px2": 4.0}


def settled_lite(seed: int = 3) -> Lite:
    """Random weights, settled on random pictures as training would settle them.

    Without that every cell is nearly the same vector, and the map of cosines, far from the constant
    that it varies about, holds little but rounding. The numbers are numpy's, which are the same on
    every processor.
    """
    torch.set_num_threads(1)
    random = np.random.default_rng(seed)
    options = LiteOptions(
        frame_px=FRAME_PX,
        window_px=WINDOW_PX,
        backbone="xfeat",  # which has no taps of its own, and exports in half the time
        embedding=EMBEDDING,
        hidden=HIDDEN,
        width=32,
        **FUSION,
    )
    small = Lite(options).eval()
    with torch.no_grad():  # blocks begin as identities: their last norm is zero until it is trained
        for name, weight in small.named_parameters():
            if weight.dim() == 4:
                scale = (2 / weight[0].numel()) ** 0.5
                weight.copy_(torch.from_numpy(random.normal(0, scale, weight.shape)))
            if name.endswith("bn_project.weight"):
                weight.fill_(0.7)
        small.train()
        for _ in range(20):
            for side, branch in (
                (WINDOW_PX, small.encode_reference),
                (FRAME_PX, small.encode_query),
            ):
                coarse = torch.from_numpy(random.uniform(0, 255, (2, 3, side // 8, side // 8)))
                branch(nn.functional.interpolate(coarse.float(), scale_factor=8, mode="bilinear"))
        for parameter in small.head.parameters():  # zeros of a new head hide mistakes
            parameter.add_(torch.from_numpy(random.normal(0, 0.03, parameter.shape)))
    return small.eval()


def settled_bundle(files: Mapping[str, bytes | Path], folder: Path) -> Bundle:
    """A bundle of these graphs with the shipped one's acceptance, without alignment."""
    manifest = Bundle.open(shipped_bundle_path()).manifest
    cells = WINDOW_PX // manifest.head.stride_px
    window = msgspec.structs.replace(manifest.window, width_px=WINDOW_PX, height_px=WINDOW_PX)
    features = tuple(
        msgspec.structs.replace(each, shape=(channels, cells, cells))
        for each, channels in zip(manifest.features, (EMBEDDING, HIDDEN), strict=True)
    )
    manifest = msgspec.structs.replace(
        manifest,
        frame=msgspec.structs.replace(manifest.frame, width_px=FRAME_PX, height_px=FRAME_PX),
        window=window,
        features=features,
        alignment={},
    )
    return write_bundle(folder, manifest, files)
