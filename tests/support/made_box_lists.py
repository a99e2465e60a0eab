"""Writes a small valid set of paired box lists, so that the format is proved from both sides."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

PATHS = "data/dataset/{side}/{name}.jpg"  # as the authors' lists have them
Boxes = list[tuple[int, int, int, int]]


def write_box_lists(
    home: Path,
    counts: dict[str, int],
    *,
    frame_wh: tuple[int, int] = (1232, 224),
    window_wh: tuple[int, int] = (750, 750),
    pictures_at: str = "data/dataset",
    seed: int = 0,
) -> dict[str, list[tuple[str, Boxes, Boxes]]]:
    """Draw `counts[split]` pairs with one to three objects each, each in a colour of its own.

    Returns:
        By split: name, panorama boxes and satellite boxes of each pair.
    """
    rng = np.random.default_rng(seed)
    made: dict[str, list[tuple[str, Boxes, Boxes]]] = {}
    number = 0
    for side in ("panos", "sat"):
        (home / pictures_at / side).mkdir(parents=True)
    for split, count in counts.items():
        made[split] = []
        for _ in range(count):
            number += 1
            objects = number % 3 + 1
            name = f"{number:07d}"
            sides = []
            for side, (width, height) in (("panos", frame_wh), ("sat", window_wh)):
                image = np.full((height, width, 3), 110, np.uint8)
                # one column of the picture per object, so that boxes do not overlap
                boxes = [_box(rng, k * width // 3, width // 3, height) for k in range(objects)]
                for k, (x1, y1, x2, y2) in enumerate(boxes):
                    image[y1:y2, x1:x2] = colour_of(k)
                path = home / pictures_at / side / f"{name}.jpg"
                cv2.imwrite(str(path), image[..., ::-1].copy(), [cv2.IMWRITE_JPEG_QUALITY, 95])
                sides.append(boxes)
            made[split].append((name, sides[0], sides[1]))
        write_lists(home, split, made[split])
    return made


def write_lists(home: Path, split: str, pairs: list[tuple[str, Boxes, Boxes]]) -> None:
    """Write both lists of a split."""
    for which, side in ((1, "panos"), (2, "sat")):
        lines = []
        for pair in pairs:
            boxes = " ".join(",".join(map(str, box)) for box in pair[which])
            lines.append(f"{PATHS.format(side=side, name=pair[0])} {boxes}\n")
        (home / f"{side}_{split}.txt").write_text("".join(lines))


def colour_of(k: int) -> tuple[int, int, int]:
    """RGB of the k-th object of a pair, the same on both sides."""
    return ((250, 30, 20), (20, 240, 30), (30, 40, 250))[k]


def _box(rng, left: int, room: int, height: int) -> tuple[int, int, int, int]:
    x1 = left + int(rng.integers(2, room // 3))
    y1 = int(rng.integers(2, height // 3))
    return x1, y1, x1 + int(rng.integers(40, room // 2)), y1 + int(rng.integers(40, height // 2))
