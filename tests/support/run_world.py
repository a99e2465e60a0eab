"""What tests of `tilefix run` share: where the map lies, options, and the results."""

from __future__ import annotations

import json

import cv2
import numpy as np
from click.testing import CliRunner

from edge.geodesy import MercatorGeometry

ZOOM, COLUMN, ROW, TILES = 19, 272976, 184402, 6  # the map is 1536 px, its corner on the lattice
GEOMETRY = MercatorGeometry(ZOOM, COLUMN * 256.0, ROW * 256.0)
SIDE = TILES * 256
# Where the 64-px frames were cut out of the map, on the cells of its windows.
SPOTS = (
    (512 + 16 * 5, 512 + 16 * 7),
    (512 + 16 * 20, 512 + 16 * 3),
    (512 + 16 * 11, 512 + 16 * 18),
)


def png(image):
    return cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()


def lon_lat(x, y):
    return tuple(GEOMETRY.lon_lat_deg(np.array([[x, y]], np.float64))[0].tolist())


def options(world, out, **changes):
    values = {
        "bundle": world / "bundle",
        "tiles": world / "map.mbtiles",
        "source": world / "frames",
        "clicks": world / "clicks.csv",
        "telemetry": world / "telemetry.csv",
        "prior": "none",
        "out": out,
        **changes,
    }
    return [
        word
        for key, value in values.items()
        if value is not None
        for word in (f"--{key}", str(value))
    ]


def invoke(arguments, code=0):
    """Run it as it is typed; errors come as they are, and the exit code is compared."""
    from edge.commands.run import run

    done = CliRunner().invoke(run, arguments, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def encode(world, tile_map, store, *more):
    from edge.commands.tiles import tiles

    words = ["encode", "--bundle", world / "bundle", "--tiles", tile_map, "--store", store, *more]
    done = CliRunner().invoke(tiles, list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return store


def records(out):
    return [json.loads(line) for line in (out / "fixes.jsonl").read_text().splitlines()]
