"""Pairs files: frames, clicks and boxes on a map, the data of evaluation and fine-tuning.

The format `tilefix-pairs/1` is one JSON file: one map, objects boxed on it, frames with clicks:

    {"schema": "tilefix-pairs/1",
     "notes":   ["free text: who made the imagery, its licence, what to know of the labels"],
     "map":     {"file": "map.tif", "width": 1017, "height": 838, "gsd_m": 0.727, "epsg": 2180,
                 "geotransform": [x0, dx_col, dx_row, y0, dy_col, dy_row],
                 "nodata_rgb": [255, 255, 255]},
     "objects": [{"id": "barn-3", "class": "building", "desc": "red roof",
                  "box_xyxy_px": [x1, y1, x2, y2]}],
     "frames":  [{"file": "frames/img_4880.jpg", "width": 3456, "height": 4608,
                  "lon_lat_deg": [21.0, 52.2], "alt_m": 120.0, "yaw_deg": 31.0,
                  "capture_time": "2024-05-01T10:00:00Z",
                  "clicks": [{"object_id": "barn-3", "x": 1711.0, "y": 1203.5,
                              "visible": "full", "desc": "free text"}]}]}

`schema`, `map`, `objects`, `frames` are required. An unknown key is an error.

map: `file`, `width`, `height`, `gsd_m` (ground metres of a pixel) are required. The file is a
picture that OpenCV reads (GeoTIFF, PNG, JPEG; 8 bits; a GeoTIFF's own georeference is not read) of
exactly that size, or a tile map (.mbtiles, .pmtiles, XYZ folder): then the pixels are those of the
zoom nearest to `gsd_m`, counted from the top left of its imagery. `geotransform` is in GDAL's
order, map x = x0 + dx_col * column + dx_row * row, y alike; pixel corners are at integers. With
`epsg` null there is no position, only pixels. `nodata_rgb` (optional) is the colour of pixels
without imagery, where they form an area of 100 px or more; an alpha channel says the same.

objects: `id` (unique) and `box_xyxy_px` (tight, pixels of the map, inside it) are required.

frames: `file`, `width`, `height`, `clicks` are required; the others may be left out or null.
`lon_lat_deg` and `alt_m` are the camera's, `yaw_deg` clockwise from north to the top of the frame;
windows are never chosen by them. Clicks are pixels of a frame of the stated width and height, and a
file of another size is scaled to it. It is turned as its EXIF says, unless only the picture as
stored has the stated shape. `visible` is `full` (the default) or `partial`. `"object_id": null` is
a click on something that is not on the map.

Rendered flights say more, which is kept for people and not used: `made_by`, `licence`,
`telemetry_noise`, `sha256` of the file; `lon_lat_deg` of an object; `time_s`, `tilt_deg`, `gsd_m`
of a frame; `click_id`, `class`, `lon_lat_deg` of a click.

Image paths are relative to the JSON file; what is not there is sought below the folder that the
variable TILEFIX_DATA names. `--images DIR` replaces both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edge.errors import PairsError
from edge.geodesy import AffineGeometry
from edge.pairs_schema import FileEntry, decode
from edge.types import Click

DATA_VARIABLE = "TILEFIX_DATA"
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PairsMap:
    """The map of a pairs file, as the file states it."""

    file: str
    width_px: int
    height_px: int
    gsd_m: float
    geometry: AffineGeometry | None  # None: no position, or a tile map that brings its own
    nodata_rgb: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class PairsObject:
    """An object with an extent on the map."""

    object_id: str
    object_class: str
    desc: str
    box_xyxy_px: Box  # pixels of the map


@dataclass(frozen=True, slots=True)
class PairsClick:
    """A click in a frame; `object_id` None: on something that is not on the map."""

    object_id: str | None
    x_px: float
    y_px: float
    partial: bool
    desc: str = ""


@dataclass(frozen=True, slots=True)
class PairsFrame:
    """A frame of the stated size and its clicks."""

    file: str
    width_px: int
    height_px: int
    clicks: tuple[PairsClick, ...]
    lon_lat_deg: tuple[float, float] | None = None  # of the camera
    alt_m: float | None = None
    yaw_deg: float | None = None
    capture_time: str | float | None = None

    def as_clicks(self) -> list[Click]:
        """The clicks for `Localizer.localize`, named by their place in the frame."""
        return [Click(f"{n}", c.x_px, c.y_px) for n, c in enumerate(self.clicks)]


@dataclass(frozen=True, slots=True)
class Pairs:
    """A checked pairs file. Its images are opened when they are asked for."""

    path: Path
    map: PairsMap
    objects: Mapping[str, PairsObject]
    frames: tuple[PairsFrame, ...]
    notes: tuple[str, ...]
    image_roots: tuple[Path, ...]  # where images are sought, in this order

    @property
    def name(self) -> str:
        """Name of the site: that of the file without its suffix."""
        return self.path.stem

    def locate(self, file: str) -> Path:
        """Where an image of this file is.

        Raises:
            PairsError: it is in none of the places.
        """
        places = [root / file for root in self.image_roots]
        for place in places:
            if place.exists():
                return place
        raise PairsError(
            f"an image of {self.path} is missing",
            expected=" or ".join(map(str, places)),
            found="no such file",
            do=f"give the folder of the images: --images DIR, or set {DATA_VARIABLE}",
        )


def read_pairs(path: str | os.PathLike[str], images: Path | None = None) -> Pairs:
    """Read and check a pairs file; its images are not opened yet.

    Args:
        path: the JSON file.
        images: folder that image paths are relative to, instead of the file's own.

    Raises:
        PairsError: not readable, another schema, an unknown or missing key, a box outside the map,
            a click outside its frame, a duplicate or unknown id, and the like.
        GeoreferenceError: an EPSG code that is not supported.
    """
    where = Path(path)
    try:
        content = where.read_bytes()
    except OSError as error:
        raise PairsError(
            f"the pairs file {where} cannot be read",
            expected="a JSON file of schema tilefix-pairs/1",
            found=f"{type(error).__name__}: {error.strerror}",
            do="check the path",
        ) from error
    entry = decode(content, str(where))
    return Pairs(
        path=where,
        map=_map_of(entry),
        objects=MappingProxyType(
            {o.id: PairsObject(o.id, o.class_, o.desc, o.box_xyxy_px) for o in entry.objects}
        ),
        frames=_frames_of(entry),
        notes=(entry.notes,) if isinstance(entry.notes, str) else entry.notes,
        image_roots=_roots(where, images),
    )


def _roots(where: Path, images: Path | None) -> tuple[Path, ...]:
    if images is not None:
        return (images,)
    variable = os.environ.get(DATA_VARIABLE)
    return (where.parent, Path(variable)) if variable else (where.parent,)


def _map_of(entry: FileEntry) -> PairsMap:
    stated = entry.map
    geometry = None
    if stated.epsg is not None and stated.geotransform is not None:
        geometry = AffineGeometry(stated.geotransform, stated.epsg)
    return PairsMap(
        file=stated.file,
        width_px=stated.width,
        height_px=stated.height,
        gsd_m=stated.gsd_m,
        geometry=geometry,
        nodata_rgb=stated.nodata_rgb,
    )


def _frames_of(entry: FileEntry) -> tuple[PairsFrame, ...]:
    return tuple(
        PairsFrame(
            file=frame.file,
            width_px=frame.width,
            height_px=frame.height,
            clicks=tuple(
                PairsClick(c.object_id, c.x, c.y, c.visible == "partial", c.desc)
                for c in frame.clicks
            ),
            lon_lat_deg=frame.lon_lat_deg,
            alt_m=frame.alt_m,
            yaw_deg=frame.yaw_deg,
            capture_time=frame.capture_time,
        )
        for frame in entry.frames
    )
