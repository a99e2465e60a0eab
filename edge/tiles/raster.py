"""Rasters through GDAL (extra `geo`): what can be read as a picture, and how it is resampled.

GDAL warps with its cubic kernel, which widens with the reduction, so that fine imagery does not
alias when it is made coarser.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import GeoreferenceError, MapError, MissingLibraryError
from edge.geodesy import unsupported_epsg
from edge.tiles.decoding import OPAQUE_ALPHA
from edge.tiles.tiff_length import check_whole
from edge.types import Bool, Uint8


def warp(
    source: Any, bands: tuple[int, int, int], crs: Any, transform: Any, size_px: tuple[int, int]
) -> tuple[Uint8, Bool]:
    """Resample a part of the plane `crs` from an opened raster: RGB [H, W, 3] and opacity [H, W].

    Raises:
        MapError: a part of the file cannot be read.
    """
    library = rasterio_library()
    has_alpha = library.enums.ColorInterp.alpha in source.colorinterp
    options = {
        "crs": crs,
        "transform": transform,
        "width": size_px[0],
        "height": size_px[1],
        "resampling": library.enums.Resampling.cubic,
        "add_alpha": not has_alpha,
    }
    try:
        with library.vrt.WarpedVRT(source, **options) as plane:
            opaque = plane.read(list(plane.colorinterp).index(library.enums.ColorInterp.alpha) + 1)
            picture = plane.read(list(bands))
    except library.errors.RasterioError as error:
        raise broken_raster(Path(source.name), error) from error
    return np.moveaxis(picture, 0, 2), opaque >= OPAQUE_ALPHA


def open_raster(path: Path, overview: int | None = None) -> Any:
    """Open a GeoTIFF, or one of its overviews.

    Raises:
        MissingLibraryError: rasterio is not installed.
        MapError: it is not there, GDAL cannot open it, or it is truncated.
    """
    library = rasterio_library()
    options = {} if overview is None else {"overview_level": overview}
    try:
        dataset = library.open(path, driver="GTiff", **options)
    except library.errors.RasterioError as error:
        raise (broken_raster if path.is_file() else _no_raster)(path, error) from error
    try:
        check_whole(path)
    except MapError:
        dataset.close()
        raise
    return dataset


def overview_for(dataset: Any, reduction: float) -> int | None:
    """Index of the coarsest overview that is still finer than wanted; None: the file itself."""
    fitting = [(f, index) for index, f in enumerate(dataset.overviews(1)) if f <= reduction]
    return max(fitting)[1] if fitting else None


def check_georeference(dataset: Any, path: Path) -> None:
    """Refuse a raster without a place.

    Raises:
        GeoreferenceError: no coordinate system or no geotransform.
    """
    if dataset.crs is not None and not dataset.transform.is_identity:
        return
    raise GeoreferenceError(
        f"{path} has no georeference",
        expected="a GeoTIFF with a coordinate system and a geotransform",
        found="no coordinate system" if dataset.crs is None else "no geotransform",
        do="georeference it (gdal_translate -a_srs EPSG:... -a_ullr W N E S), or use it in a pairs"
        " file with its geotransform",
    )


def epsg_of(dataset: Any, path: Path) -> int:
    """EPSG code of an opened raster.

    Raises:
        GeoreferenceError: no coordinate system or no geotransform, or one without a code.
    """
    check_georeference(dataset, path)
    code = dataset.crs.to_epsg()
    if code is None:
        raise unsupported_epsg(None, f"{dataset.crs.to_string()[:120]}")
    return int(code)


def picture_bands(dataset: Any, path: Path) -> tuple[int, int, int]:
    """The bands, from 1, to read as red, green and blue.

    Raises:
        MapError: not 8 bits per band, or a colour table.
    """
    colours = [colour.name for colour in dataset.colorinterp]
    if set(dataset.dtypes) != {"uint8"} or "palette" in colours:
        raise MapError(
            f"{path} is not a picture of 8 bits per band",
            expected="grey, RGB or RGBA of type uint8",
            found=f"{dataset.count} bands: {', '.join(dataset.dtypes)} ({', '.join(colours)})",
            do="convert it: gdal_translate -ot Byte -scale (or -expand rgb for a colour table)",
        )
    if {"red", "green", "blue"} <= set(colours):
        red, green, blue = (colours.index(name) + 1 for name in ("red", "green", "blue"))
        return red, green, blue
    pictures = [index + 1 for index, name in enumerate(colours) if name != "alpha"]
    if len(pictures) >= 3:
        return pictures[0], pictures[1], pictures[2]
    return pictures[0], pictures[0], pictures[0]


def broken_raster(path: Path, error: Exception) -> MapError:
    """The error for a GeoTIFF that GDAL cannot read."""
    return MapError(
        f"{path} cannot be read as a GeoTIFF",
        expected="a whole GeoTIFF",
        found=str(error.__cause__ or error),
        do="copy the file again from where it was made",
    )


def _no_raster(path: Path, error: Exception) -> MapError:
    """The error for a path that no file is at."""
    return MapError(
        f"the map {path} cannot be opened",
        expected="a GeoTIFF",
        found="a folder" if path.is_dir() else str(error.__cause__ or error),
        do="check the path",
    )


def rasterio_library() -> Any:
    """The library rasterio, imported when first needed.

    Raises:
        MissingLibraryError: it is not installed.
    """
    try:
        import rasterio
        import rasterio.enums
        import rasterio.errors
        import rasterio.vrt
        import rasterio.warp
    except ImportError as error:
        raise MissingLibraryError(
            "a GeoTIFF cannot be read without the library rasterio",
            expected="rasterio, part of the extra 'geo'",
            found=str(error),
            do="pip install 'tilefix[geo]', or make an MBTiles map of it on another machine:"
            " tilefix tiles import",
        ) from error
    return rasterio
