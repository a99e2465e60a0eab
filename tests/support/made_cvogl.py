"""Writes small valid data sets in CVOGL's layout, so that the format is proved from both sides."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

SIDE_PX = 1024
CLASSES = ("building_church", "sport_tennis", "man_made_bridge", "junction_roundabout")


@dataclass(frozen=True)
class MadeCvogl:
    """Where a made data set is, and its lists by split."""

    root: Path
    home: Path
    lists: dict[str, list[tuple]]

    def copied_to(self, root: Path) -> MadeCvogl:
        """A copy for a test to damage."""
        shutil.copytree(self.root, root)
        lists = {split: list(records) for split, records in self.lists.items()}
        return MadeCvogl(root, root / self.home.name, lists)

    def rewrite(self, split: str) -> None:
        """Write a split's list again after a test changed it."""
        torch.save(self.lists[split], self.home / f"{self.home.name}_{split}.pth")


def write_cvogl(
    root: Path,
    folder: str = "CVOGL_DroneAerial",
    frame_wh_px: tuple[int, int] = (256, 256),
    counts: dict[str, int] | None = None,
    seed: int = 0,
) -> MadeCvogl:
    """Each record with pictures of its own: a box and a spot under the click in its colour."""
    rng = np.random.default_rng(seed)
    home = root / folder
    for name in ("query", "satellite"):
        (home / name).mkdir(parents=True)
    lists: dict[str, list[tuple]] = {}
    number = 100
    for split, count in (counts or {"train": 2, "val": 1, "test": 1}).items():
        lists[split] = []
        for _ in range(count):
            number += 1
            lists[split].append(_write_pair(home, number, frame_wh_px, rng))
        torch.save(lists[split], home / f"{folder}_{split}.pth")
    return MadeCvogl(root, home, lists)


def write_masks(made: MadeCvogl) -> Path:
    """CVOGL-Seg beside the data set: each mask is the record's polygon."""
    folder = made.root.parent / "CVOGL-Seg" / made.home.name / "mask-satellite"
    folder.mkdir(parents=True)
    for records in made.lists.values():
        for record in records:
            mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
            corners = np.round(np.array(record[6]).reshape(4, 2)).astype(np.int32)
            cv2.fillPoly(mask, [corners], 255)
            x1, y1, x2, y2 = (int(v) for v in record[5])
            stem = Path(record[2]).stem
            cv2.imwrite(str(folder / f"{stem}--bbox({x1},{y1},{x2},{y2}).jpg"), mask)
    return folder


def colour_of(record_id: int) -> tuple[int, int, int]:
    """RGB of a made record's object; apart from the grey ground and from its neighbours."""
    return 250, 40 + record_id * 37 % 160, 20


def _write_pair(home: Path, number: int, frame_wh_px: tuple[int, int], rng) -> tuple:
    width, height = frame_wh_px
    click = int(rng.integers(20, width - 20)), int(rng.integers(20, height - 20))
    centre, half = rng.uniform(300, 700, 2), rng.uniform(60, 200, 2)
    turn = rng.uniform(0, np.pi)
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    corners = centre + (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half) @ axes
    box = [*corners.min(0).tolist(), *corners.max(0).tolist()]

    frame = np.full((height, width, 3), 110, np.uint8)
    window = np.full((SIDE_PX, SIDE_PX, 3), 120, np.uint8)
    cv2.circle(frame, click, 9, colour_of(number), -1)
    cv2.fillPoly(window, [np.round(corners).astype(np.int32)], colour_of(number))
    frame_file = f"{number}_{rng.integers(4e5, 5e5)}_{rng.integers(4e6, 5e6)}.jpg"
    window_file = f"{422435 + number}_4681277_300_32616.jpg"
    _write(home / "query" / frame_file, frame)
    _write(home / "satellite" / window_file, window)
    double = (2 * click[0], 2 * click[1] + 1)  # as in the published records, its half rounds down
    class_name = CLASSES[number % len(CLASSES)]
    flat = corners.reshape(-1).tolist()
    return number, frame_file, window_file, double, click, box, flat, class_name


def _write(path: Path, rgb: np.ndarray) -> None:
    cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95])
