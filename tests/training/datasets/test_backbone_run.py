"""A backbone answers the same by ONNX Runtime as by PyTorch."""

from __future__ import annotations

import numpy as np
from small_lite import shallow_efficientnet, small_lite

from training.datasets.backbone_run import OnnxRun, TorchRun


def test_both_runs_give_the_same_features_of_each_size_and_depth() -> None:
    rng = np.random.default_rng(0)
    with shallow_efficientnet():
        backbone = small_lite().backbone
        plain, exported = TorchRun(backbone), OnnxRun(backbone)
        for side, deepest in ((64, 16), (128, 32), (64, 16)):
            image = rng.integers(0, 256, (side, side, 3), np.uint8)
            wanted, found = plain(image, deepest), exported(image, deepest)
            assert sorted(found) == sorted(wanted) == [s for s in (8, 16, 32) if s <= deepest]
            for stride, feature in wanted.items():
                assert found[stride].shape == (backbone.channels[stride], *[side // stride] * 2)
                apart = np.abs(found[stride] - feature).max()
                assert apart < 1e-4 * np.abs(feature).max(), stride
