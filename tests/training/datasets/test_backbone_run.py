"""`tilefix datasets cache`: features by ONNX Runtime are those of PyTorch, rounded to float16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner
from small_lite import shallow_efficientnet, small_lite

from training.checkpoints.weights import save_weights
from training.datasets.backbone_run import TorchRun
from training.datasets.command import datasets
from training.datasets.feature_cache import FeatureCache
from training.datasets.pair_folder import PairFolder


def test_the_command_caches_the_features_of_a_checkpoint(small_folder, tmp_path: Path) -> None:
    with shallow_efficientnet():
        model = small_lite()
        save_weights(model, tmp_path / "a.safetensors", {})
        copy = tmp_path / "samples"
        copy.mkdir()
        for file in small_folder.path.iterdir():
            if file.is_file():
                (copy / file.name).write_bytes(file.read_bytes())
        arguments = ["cache", str(copy), "--init", str(tmp_path / "a.safetensors")]
        result = CliRunner().invoke(datasets, arguments)
        assert result.exit_code == 0, result.exception
        made = FeatureCache.open(PairFolder.open(copy), model.backbone).arrays
        sample = small_folder.read(3)
        for view, image, deepest in (("frame", sample.frame, 16), ("window", sample.window, 32)):
            for stride, wanted in TorchRun(model.backbone)(image, deepest).items():
                apart = np.abs(made[f"{view}_s{stride}"][3] - wanted).max()
                assert apart < 2e-3 * np.abs(wanted).max(), (view, stride)
