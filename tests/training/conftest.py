from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.datasets.orthophoto import Mosaic
from training.datasets.pair_folder import PairFolder, render
from training.datasets.sample import PairSample

# Threads share a sum out by how many there are: only with one is "equal bit for bit" a property of
# the code, and a training run the same on every machine.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def mosaic() -> Mosaic:
    """A made-up orthophoto: noise ground with eight bright roofs whose outlines are known."""
    rng = np.random.default_rng(1)
    image = cv2.resize(rng.integers(60, 120, (90, 120, 3), dtype=np.uint8), (2400, 1800))
    polygons = []
    for k in range(8):
        centre = np.array([300 + 560 * (k % 4), 500 + 800 * (k // 4)], float)
        angle = rng.uniform(0, np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = np.array([[-90, -60], [90, -60], [90, 60], [-90, 60]]) @ turn.T + centre
        cv2.fillPoly(image, [np.round(corners).astype(np.int32)], (250, 40 + 25 * k, 20))
        polygons.append(np.vstack([corners, corners[:1]]))
    return Mosaic("made-up", np.ascontiguousarray(image), 0.075, tuple(polygons))


def small_sample(index: int) -> PairSample:
    """64 px frame and 128 px window with one coloured square each; every fourth is absent."""
    rng = np.random.default_rng(index)
    frame = rng.integers(90, 130, (64, 64, 3), dtype=np.uint8)
    window = rng.integers(90, 130, (128, 128, 3), dtype=np.uint8)
    colour = rng.integers(0, 255, 3)
    at = rng.integers(12, 52, 2)
    frame[at[1] - 8 : at[1] + 8, at[0] - 8 : at[0] + 8] = colour
    there = index % 4 != 3
    x, y = rng.integers(4, 90, 2)
    if there:
        window[y : y + 30, x : x + 24] = colour
    box = (x, y, x + 24, y + 30) if there else (0, 0, 0, 0)
    expected = (x + 12.0, y + 15.0) if there else (np.nan, np.nan)
    return PairSample(
        frame,
        window,
        np.array([at], np.float32),
        np.array([box], np.float32),
        np.array([there]),
        np.array([expected], np.float32),
        f"small/{index}",
    )


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> PairFolder:
    path: Path = tmp_path_factory.mktemp("small")
    return render(path, 12, small_sample, made_by={"kind": "test", "seed": 0, "sites": []})
