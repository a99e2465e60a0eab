"""Pictures of a town: the north-up map and the oblique drone view, each with its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.scenes.camera import AnyCamera, Camera, ParallelCamera
from training.scenes.raster import Raster, rasterise
from training.scenes.season import Appearance, palette
from training.scenes.sensor import develop
from training.scenes.shade import shade
from training.scenes.solids import SceneObject
from training.scenes.sun import shadow_map, sun_of
from training.scenes.town import Town
from training.scenes.truth import MapBox, Sighting, map_boxes, sightings

Uint8 = NDArray[np.uint8]

CLICKABLE = frozenset({"building", "shed", "pool", "pitch", "tank", "car", "truck"})


@dataclass(frozen=True, slots=True)
class RenderedMap:
    """A north-up picture of the town."""

    image: Uint8  # [H, W, 3] RGB
    boxes: tuple[MapBox, ...]
    camera: ParallelCamera  # in delivered pixels

    def box(self, object_id: str) -> MapBox | None:
        """The box of one object, None where it is not in the picture."""
        return next((b for b in self.boxes if b.object_id == object_id), None)


@dataclass(frozen=True, slots=True)
class RenderedView:
    """A drone's picture of the town."""

    image: Uint8  # [H, W, 3] RGB
    sightings: tuple[Sighting, ...]
    camera: Camera  # in delivered pixels


def _picture(town: Town, appearance: Appearance, camera: AnyCamera) -> tuple[Uint8, Raster]:
    """The developed picture and the raster at the enlarged size."""
    large = camera.enlarged(appearance.supersample)
    colours, sun = palette(appearance.season), sun_of(appearance)
    solids = town.solids
    scale = colours.crown_scale[solids.sphere_material]
    density = colours.crown_density[solids.sphere_material]
    count = len(town.objects)
    raster = rasterise(solids, large, count, scale, density)
    shadows = None
    if appearance.sunshine > 0:
        shadows = shadow_map(solids, camera, sun, count, scale, density)
    light = shade(solids, town.seed, raster, large, appearance, colours, sun, shadows)
    return develop(light, camera.width_px, camera.height_px, appearance), raster


def render_map(
    town: Town,
    appearance: Appearance,
    gsd_m: float = 0.3,
    centre_m: tuple[float, float] = (0.0, 0.0),
    size_px: tuple[int, int] = (1024, 1024),
    lean: tuple[float, float] = (0.0, 0.0),
) -> RenderedMap:
    """A map picture of `size_px` (width, height) around `centre_m` (east, north).

    `lean` (east, north) is the displacement of a roof per metre of height, tan(off-nadir angle)
    away from the satellite; (0, 0) is a true orthophoto. Boxes are in pixels of the picture.
    """
    width, height = size_px
    camera = ParallelCamera(
        left_m=centre_m[0] - width * gsd_m / 2,
        top_m=centre_m[1] + height * gsd_m / 2,
        gsd_m=gsd_m,
        width_px=width,
        height_px=height,
        lean=lean,
    )
    return render_camera(town, appearance, camera)


def render_camera(town: Town, appearance: Appearance, camera: ParallelCamera) -> RenderedMap:
    """A map picture through any parallel camera."""
    image, _ = _picture(town, appearance, camera)
    return RenderedMap(image, map_boxes(_wanted(town.objects, CLICKABLE), camera), camera)


def render_view(
    town: Town,
    appearance: Appearance,
    camera: Camera,
    kinds: frozenset[str] = CLICKABLE,
    click_rng: np.random.Generator | None = None,
    click_jitter: float = 0.0,
) -> RenderedView:
    """A drone view with the visible objects of `kinds`.

    Clicks lie near the middle of what is visible of an object; with a generator and `click_jitter`
    up to 1, anywhere on it.
    """
    image, raster = _picture(town, appearance, camera)
    scale = appearance.supersample
    seen = sightings(
        town.objects,
        town.solids,
        raster,
        camera.enlarged(scale),
        scale,
        kinds,
        click_rng,
        click_jitter,
    )
    return RenderedView(image, seen, camera)


def _wanted(objects: tuple[SceneObject, ...], kinds: frozenset[str]) -> list[SceneObject]:
    return [thing for thing in objects if thing.kind in kinds]
