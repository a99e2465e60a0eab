"""A map and frames whose truth is known, for `tilefix run`."""

from __future__ import annotations

import numpy as np
import pytest
from run_world import COLUMN, ROW, SIDE, SPOTS, TILES, ZOOM, lon_lat, png


@pytest.fixture(scope="module")
def ground():
    return np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def world(tmp_path_factory, ground, make_tiny_bundle):
    """A bundle, a map, a folder of frames, clicks and telemetry."""
    from edge.tiles.mbtiles_writer import MBTilesWriter

    folder = tmp_path_factory.mktemp("world")
    make_tiny_bundle(folder / "bundle", window_wh_px=(512, 512))
    with MBTilesWriter(folder / "map.mbtiles", {"name": "noise", "format": "png"}) as writer:
        for row in range(TILES):
            for column in range(TILES):
                tile = ground[256 * row : 256 * row + 256, 256 * column : 256 * column + 256]
                writer.put(ZOOM, COLUMN + column, ROW + row, png(tile))
    (folder / "frames").mkdir()
    poses = ["frame,lon,lat"]
    for index, (x, y) in enumerate(SPOTS):
        (folder / f"frames/{index}.png").write_bytes(png(ground[y : y + 64, x : x + 64]))
        lon, lat = lon_lat(x + 32, y + 32)
        poses.append(f"{index},{lon:.9f},{lat:.9f}")
    clicks = "frame,id,x,y\n" + "".join(f"{n},a,24,24\n{n},b,40,56\n" for n in range(3))
    (folder / "clicks.csv").write_text(clicks)
    (folder / "telemetry.csv").write_text("\n".join(poses) + "\n")
    return folder
