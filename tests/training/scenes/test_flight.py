"""The demo flight: files that agree with each other, with pyproj, and with their checksums."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pyproj
import pytest
from click.testing import CliRunner

import edge
from edge.errors import OutputError, UsageError
from training.scenes.__main__ import scenes
from training.scenes.flight import FlightPlan
from training.scenes.flight_files import PLACE, SIGMA_M, make_flight
from training.scenes.place import TileSheet

SHIPPED = Path(edge.__file__).parent / "demo_data" / "flight"
PLAN = FlightPlan(frames=3, length_m=40.0, bend_m=10.0, focal_px=160.0, size_px=(160, 120))
EXTENT_M = 150.0  # the smallest town


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("flight") / "out"
    make_flight(2, out, EXTENT_M, PLAN)
    return out


def truth_of(folder: Path) -> dict:
    return json.loads((folder / "truth.json").read_text())


def assert_sound(folder: Path) -> None:
    """Checksums, clicks and files of a flight fit together."""
    truth = truth_of(folder)
    for name, expected in truth["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected, name
    with (folder / "clicks.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    listed = [
        (str(i), c["click_id"], f"{c['x']:.1f}", f"{c['y']:.1f}")
        for i, frame in enumerate(truth["frames"])
        for c in frame["clicks"]
    ]
    assert [(r["frame"], r["id"], r["x"], r["y"]) for r in rows] == listed
    known = {thing["id"]: thing for thing in truth["objects"]}
    by_id: dict[str, set] = {}
    for frame in truth["frames"]:
        image = cv2.imread(str(folder / frame["file"]))
        assert image.shape == (frame["height"], frame["width"], 3)
        for click in frame["clicks"]:
            assert 0 <= click["x"] < frame["width"] and 0 <= click["y"] < frame["height"]
            assert click["object_id"] is None or click["object_id"] in known
            by_id.setdefault(click["click_id"], set()).add(tuple(click["lon_lat_deg"]))
    assert all(len(places) == 1 for places in by_id.values())  # an id stays with its object


def test_flight_is_sound(flight: Path) -> None:
    assert_sound(flight)


def test_boxes_are_where_pyproj_puts_their_centres(flight: Path) -> None:
    truth = truth_of(flight)
    x0, dx, _, y0, _, dy = truth["map"]["geotransform"]
    to_lon_lat = pyproj.Transformer.from_crs(3857, 4326, always_xy=True)
    geod = pyproj.Geod(ellps="WGS84")
    assert truth["objects"]
    for thing in truth["objects"]:
        left, top, right, bottom = thing["box_xyxy_px"]
        lon, lat = to_lon_lat.transform(x0 + dx * (left + right) / 2, y0 + dy * (top + bottom) / 2)
        _, _, off = geod.inv(lon, lat, *thing["lon_lat_deg"])
        assert off < 0.05


def test_town_metres_are_metres_on_the_ellipsoid() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-300, 300, (40, 2))
    lon_lat = PLACE.lon_lat_deg(points)
    geod = pyproj.Geod(ellps="WGS84")
    for (east, north), (lon, lat) in zip(points, lon_lat, strict=True):
        azimuth, _, distance = geod.inv(PLACE.lon_deg, PLACE.lat_deg, lon, lat)
        assert abs(distance - np.hypot(east, north)) < 0.03
        turned = (azimuth - np.degrees(np.arctan2(east, north)) + 180) % 360 - 180
        assert abs(np.deg2rad(turned)) * distance < 0.03


def test_tiles_are_complete_tms_and_described(flight: Path) -> None:
    truth = truth_of(flight)
    connection = sqlite3.connect(flight / "map.mbtiles")
    table = dict(connection.execute("SELECT name, value FROM metadata"))
    keys = connection.execute("SELECT zoom_level, tile_column, tile_row FROM tiles").fetchall()
    data = connection.execute("SELECT tile_data FROM tiles LIMIT 1").fetchone()[0]
    connection.close()
    sheet = TileSheet.around(PLACE, EXTENT_M)
    expected = {
        (19, sheet.first_column + c, 2**19 - 1 - sheet.first_row - r)
        for c in range(sheet.columns)
        for r in range(sheet.rows)
    }
    assert set(keys) == expected
    # the middle's tile by the formula of the slippy map, rows counted from the south
    column = int((PLACE.lon_deg + 180) / 360 * 2**19)
    angle = np.log(np.tan(np.pi / 4 + np.deg2rad(PLACE.lat_deg) / 2))
    row = int((1 - angle / np.pi) / 2 * 2**19)
    assert (19, column, 2**19 - 1 - row) in expected
    tms_rows = {key[2] for key in keys}
    assert len(tms_rows) == sheet.rows
    assert cv2.imdecode(np.frombuffer(data, np.uint8), 1).shape == (256, 256, 3)
    assert table["format"] == "jpg" and float(table["imagery_ce90_m"]) > 0 and table["name"]
    west, south, east, north = map(float, table["bounds"].split(","))
    assert west < PLACE.lon_deg < east and south < PLACE.lat_deg < north
    assert truth["map"]["width"] == sheet.columns * 256


def test_telemetry_is_off_by_what_it_states(flight: Path) -> None:
    truth = truth_of(flight)
    geod = pyproj.Geod(ellps="WGS84")
    with (flight / "telemetry.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(truth["frames"])
    errors = []
    for row, frame in zip(rows, truth["frames"], strict=True):
        ahead = frame["alt_m"] * np.tan(np.deg2rad(frame["tilt_deg"]))
        lon, lat, _ = geod.fwd(*frame["lon_lat_deg"], frame["yaw_deg"], ahead)
        _, _, off = geod.inv(float(row["lon"]), float(row["lat"]), lon, lat)
        errors.append(off)
        assert float(row["sigma_m"]) == SIGMA_M
        yaw = (float(row["yaw_deg"]) - frame["yaw_deg"] + 180) % 360 - 180
        assert abs(yaw) < 20 and 0.7 < float(row["gsd_m"]) / frame["gsd_m"] < 1.4
    assert 0 < max(errors) < 5 * SIGMA_M


def test_same_seed_writes_the_same_bytes(flight: Path, tmp_path: Path) -> None:
    make_flight(2, tmp_path / "again", EXTENT_M, PLAN)
    assert truth_of(tmp_path / "again")["sha256"] == truth_of(flight)["sha256"]


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("keep")
    with pytest.raises(OutputError, match="not empty") as caught:
        make_flight(2, tmp_path, EXTENT_M, PLAN)
    assert "--out" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_command_draws_and_refuses(tmp_path: Path) -> None:
    picture = tmp_path / "town.png"
    run = CliRunner().invoke(
        scenes, ["town", "--seed", "1", "--style", "rural", "--size", "200", "--out", str(picture)]
    )
    assert run.exit_code == 0, run.output
    assert cv2.imread(str(picture)).shape == (200, 200, 3)
    wrong = CliRunner().invoke(scenes, ["town", "--style", "moon", "--out", str(picture)])
    assert isinstance(wrong.exception, UsageError)


def test_shipped_flight_is_sound_and_small() -> None:
    assert_sound(SHIPPED)
    truth = truth_of(SHIPPED)
    assert truth["made_by"].startswith("python -m training.scenes flight --seed")
    clicks = [c for frame in truth["frames"] for c in frame["clicks"]]
    assert sum(c["object_id"] is None for c in clicks) >= 3
    assert all(4 <= len(frame["clicks"]) <= 8 for frame in truth["frames"])
    assert (SHIPPED / "map.mbtiles").stat().st_size < 3e6
    assert sum(p.stat().st_size for p in (SHIPPED / "frames").iterdir()) < 2e6
