"""Season and sensor: everything that can differ between two pictures of the same town."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from training.scenes.textures import Material

Float32 = NDArray[np.float32]
Rgb = tuple[float, float, float]


class Season(str, Enum):
    """State of plants and snow."""

    SPRING = "spring"
    SUMMER = "summer"
    DRY = "dry"
    AUTUMN = "autumn"
    WINTER = "winter"  # bare trees, no snow
    SNOW = "snow"


def linear(red: int, green: int, blue: int) -> Rgb:
    """An sRGB colour (0 to 255) as linear reflectance."""
    values = ((np.array([red, green, blue]) / 255.0) ** 2.2).tolist()
    return values[0], values[1], values[2]


_WHITE: Rgb = (1.0, 1.0, 1.0)
# Materials whose colour is the face's tint alone are white here.
_SUMMER: dict[Material, Rgb] = {
    Material.GRASS: linear(104, 124, 66),
    Material.CROP: linear(138, 142, 78),
    Material.SOIL: linear(140, 116, 90),
    Material.ASPHALT: linear(122, 122, 124),
    Material.PAVING: linear(168, 160, 150),
    Material.GRAVEL: linear(170, 160, 144),
    Material.WATER: linear(52, 72, 74),
    Material.BROADLEAF: linear(76, 98, 48),
    Material.CONIFER: linear(52, 74, 50),
    Material.HEDGE: linear(70, 92, 48),
    Material.POOL: linear(96, 196, 214),
    Material.SOLAR: linear(40, 46, 70),
    Material.WOOD: linear(146, 118, 90),
}
_CHANGES: dict[Season, dict[Material, Rgb]] = {
    Season.SUMMER: {},
    Season.SPRING: {
        Material.GRASS: linear(106, 140, 62),
        Material.CROP: linear(104, 138, 66),
        Material.BROADLEAF: linear(112, 138, 66),
    },
    Season.DRY: {
        Material.GRASS: linear(160, 146, 96),
        Material.CROP: linear(190, 166, 108),
        Material.BROADLEAF: linear(88, 98, 54),
        Material.SOIL: linear(168, 138, 104),
    },
    Season.AUTUMN: {
        Material.GRASS: linear(118, 124, 70),
        Material.CROP: linear(142, 118, 84),
        Material.BROADLEAF: linear(164, 116, 52),
        Material.HEDGE: linear(88, 92, 50),
    },
    Season.WINTER: {
        Material.GRASS: linear(120, 118, 80),
        Material.CROP: linear(128, 110, 86),
        Material.BROADLEAF: linear(112, 100, 88),
        Material.HEDGE: linear(82, 82, 60),
        Material.POOL: linear(84, 120, 118),
    },
    Season.SNOW: {
        Material.GRASS: linear(124, 120, 92),
        Material.CROP: linear(130, 116, 96),
        Material.BROADLEAF: linear(116, 106, 98),
        Material.HEDGE: linear(88, 86, 68),
        Material.POOL: linear(110, 124, 124),
    },
}
_STAIN: dict[Material, float] = {
    Material.GRASS: 0.20,
    Material.CROP: 0.16,
    Material.SOIL: 0.18,
    Material.ASPHALT: 0.09,
    Material.PAVING: 0.10,
    Material.GRAVEL: 0.13,
    Material.ROOF_FLAT: 0.10,
    Material.ROOF_TILE: 0.09,
    Material.ROOF_METAL: 0.06,
    Material.BROADLEAF: 0.10,
    Material.CONIFER: 0.10,
    Material.HEDGE: 0.12,
    Material.WATER: 0.10,
    Material.COURT: 0.06,
    Material.PAINT: 0.08,
    Material.WOOD: 0.08,
}
_SNOW_HOLD: dict[Material, float] = {
    Material.ASPHALT: 0.45,
    Material.PAVING: 0.6,
    Material.PAINT: 0.3,
    Material.WATER: 0.2,
    Material.BROADLEAF: 0.25,
    Material.CONIFER: 0.55,
    Material.LACQUER: 0.55,
    Material.GLASS: 0.3,
    Material.SOLAR: 0.5,
}
_PLANTS = (Material.GRASS, Material.CROP)


@dataclass(frozen=True, slots=True)
class Palette:
    """Per material: colour, strength of stains, share of snow that stays, yellowing. [M] rows."""

    base: Float32  # [M, 3] linear
    stain: Float32  # [M]
    snow_hold: Float32  # [M]
    mottle: Float32  # [M] how far plants turn yellow and green in patches
    crown_scale: Float32  # [M]
    crown_density: Float32  # [M]


def palette(season: Season) -> Palette:
    """The colours of one season."""
    count = len(Material)
    changes = _CHANGES[season]
    base = [changes.get(m, _SUMMER.get(m, _WHITE)) for m in Material]
    bare = season in (Season.WINTER, Season.SNOW)
    scale, density = np.ones(count, np.float32), np.ones(count, np.float32)
    scale[Material.BROADLEAF] = 0.85 if bare else 1.0
    density[Material.BROADLEAF] = 0.5 if bare else 0.8 if season is Season.AUTUMN else 1.0
    return Palette(
        base=np.array(base, np.float32),
        stain=np.array([_STAIN.get(m, 0.04) for m in Material], np.float32),
        snow_hold=np.array([_SNOW_HOLD.get(m, 1.0) for m in Material], np.float32),
        mottle=np.array([1.0 if m in _PLANTS else 0.0 for m in Material], np.float32),
        crown_scale=scale,
        crown_density=density,
    )


@dataclass(frozen=True, slots=True)
class Appearance:
    """How one picture looks: season, sun, air, sensor. Geometry is not part of it."""

    season: Season = Season.SUMMER
    sun_azimuth_deg: float = 165.0  # where the sun stands, clockwise from north
    sun_elevation_deg: float = 45.0
    sunshine: float = 1.0  # 0 overcast (no shadows) to 1 clear
    exposure: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    white_balance: Rgb = (1.0, 1.0, 1.0)
    haze: float = 0.0  # share of veil, 0 to 0.3
    blur_px: float = 0.0  # sigma, pixels of the delivered picture
    noise: float = 0.0  # sigma, grey levels
    jpeg_quality: int | None = None
    sensor_seed: int = 0
    supersample: float = 1.5  # rendered pixels per delivered pixel each way

    @staticmethod
    def random(
        rng: np.random.Generator, satellite: bool, season: Season | None = None
    ) -> Appearance:
        """A plausible appearance; `satellite` pictures are hazier, cleaner and mostly sunny."""
        picked = season
        if picked is None:
            weights = [0.2, 0.34, 0.12, 0.16, 0.12, 0.06]
            picked = list(Season)[int(rng.choice(6, p=weights))]
        warm = float(rng.normal(0, 0.05))
        green = float(rng.normal(0, 0.025))
        low = picked in (Season.WINTER, Season.SNOW)
        return Appearance(
            season=picked,
            sun_azimuth_deg=float(rng.uniform(100, 260)),
            sun_elevation_deg=float(rng.uniform(18, 38) if low else rng.uniform(28, 66)),
            sunshine=float(
                np.clip(rng.uniform(0.6, 1.3) if satellite else rng.uniform(0, 1.5), 0, 1)
            ),
            exposure=float(np.exp(rng.normal(0, 0.16))),
            contrast=float(np.exp(rng.normal(0, 0.12))),
            saturation=float(np.clip(rng.normal(0.95, 0.18), 0.4, 1.35)),
            white_balance=(1 + warm, 1 + green, 1 - warm),
            haze=float(abs(rng.normal(0, 0.06 if satellite else 0.03))),
            blur_px=float(abs(rng.normal(0, 0.5 if satellite else 0.6))),
            noise=float(abs(rng.normal(0, 2.0 if satellite else 3.0))),
            jpeg_quality=int(rng.integers(60, 96)),
            sensor_seed=int(rng.integers(2**31)),
        )
