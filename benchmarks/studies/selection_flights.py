"""The flights that the study of selection chooses from: one made of sections, and real ones.

The rendered flight has long sections of one light and place and short ones of others, as recorded
flights have: whoever takes its first frames knows nothing of what comes later.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.frames import open_source
from edge.types import Uint8

REAL = ("brighton", "caliterra", "bogota_niza")
_QUALITY = 92


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the rendered flight: a town of its own in a light of its own."""

    frames: int
    style: str
    season: str
    height_m: float
    look: dict[str, Any]


SECTIONS = (
    Section(60, "suburb", "summer", 104, {"sun_elevation_deg": 50}),
    Section(40, "suburb", "autumn", 104, {"sunshine": 0.1, "exposure": 0.9}),
    Section(30, "centre", "summer", 120, {"sun_elevation_deg": 30}),
    Section(24, "rural", "dry", 90, {"exposure": 1.5, "contrast": 1.1}),
    Section(16, "grid", "snow", 104, {"exposure": 1.2}),
    Section(14, "works", "winter", 70, {"exposure": 0.3, "sunshine": 0.2, "noise": 4.0}),
    Section(16, "village", "spring", 140, {"haze": 0.28, "saturation": 0.7}),
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of frames, the site of each, and the part of the flight: place and light."""

    name: str
    images: tuple[Uint8, ...]
    sites: tuple[str, ...]
    parts: tuple[str, ...]


def rendered(folder: Path, seed: int) -> Recorded:
    """The flight of `SECTIONS`; frames that are in `folder` already are not rendered again."""
    images, parts = [], []
    for number, section in enumerate(SECTIONS):
        images += _section(folder / f"section-{number}", section, seed + number)
        parts += [f"{section.style}, {section.season}"] * section.frames
    return Recorded("rendered", tuple(images), ("rendered",) * len(images), tuple(parts))


def real() -> Recorded | None:
    """The frames of all sites that $TILEFIX_DATA holds; None where it holds none."""
    root = os.environ.get("TILEFIX_DATA")
    images: list[Uint8] = []
    sites: list[str] = []
    for site in REAL if root else ():
        folder = Path(str(root)) / site / "frames_1600"
        if not folder.is_dir():
            continue
        for frame in open_source(folder):
            images.append(frame.image)
            sites.append(site)
    return Recorded("real", tuple(images), tuple(sites), tuple(sites)) if images else None


def _section(folder: Path, section: Section, seed: int) -> list[Uint8]:
    from training.scenes.flight import FlightPlan
    from training.scenes.render import render_view
    from training.scenes.season import Appearance, Season
    from training.scenes.town import Town

    paths = [folder / f"{n:03d}.jpg" for n in range(section.frames)]
    if not all(path.is_file() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        town = Town.generate(seed, 500.0, section.style)
        plan = FlightPlan(frames=section.frames, height_m=section.height_m, length_m=300.0)
        for n, (path, camera) in enumerate(zip(paths, plan.cameras(), strict=True)):
            if path.is_file():
                continue
            values = {"noise": 2.0, "blur_px": 0.5, "supersample": 1.0, **section.look}
            look = Appearance(season=Season(section.season), sensor_seed=seed + n, **values)
            image = render_view(town, look, camera).image
            flags = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
            _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), flags)
            part = path.with_suffix(".part")
            part.write_bytes(data.tobytes())
            part.replace(path)
    return [frame.image for frame in open_source(folder)]
