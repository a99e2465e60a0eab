"""The demo flight on disk: map, frames, clicks, telemetry and truth, from one seed.

map.mbtiles      zoom 19, JPEG tiles
frames/          frame_000.jpg ...
clicks.csv       frame,id,x,y
telemetry.csv    frame,time_s,lon,lat,sigma_m,yaw_deg,gsd_m   (noisy, as a drone would say)
truth.json       tilefix-pairs/1, and per click the WGS84 centre of its object; a frame's place
                 is the camera's, that of the telemetry is where the camera looks
README.txt       what it is and the command that made it
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import OutputError
from edge.geodesy import CIRCUMFERENCE_M
from training.scenes.flight import FlightPlan, FlownFrame, fly, newcomers, preview
from training.scenes.pair import two_dates
from training.scenes.place import TileSheet, TownPlace, render_sheet, write_sheet
from training.scenes.render import RenderedMap
from training.scenes.season import Appearance, Season
from training.scenes.town import Town

Uint8 = NDArray[np.uint8]

PLACE = TownPlace(lon_deg=7.4401, lat_deg=47.0002)  # a plausible spot; the town is invented
IMAGERY_CE90_M = 0.5
SIGMA_M, SIGMA_YAW_DEG, SIGMA_GSD = 8.0, 4.0, 0.06
MAP_LOOK = Appearance(
    season=Season.SUMMER,
    sun_azimuth_deg=152,
    sun_elevation_deg=52,
    haze=0.05,
    blur_px=0.55,
    noise=0.8,
    supersample=1.5,
)
FRAME_LOOK = Appearance(
    season=Season.SPRING,
    sun_azimuth_deg=214,
    sun_elevation_deg=41,
    exposure=1.06,
    contrast=1.06,
    saturation=0.8,
    white_balance=(1.03, 1.0, 0.96),
    blur_px=0.5,
    noise=2.0,
    supersample=2.0,
)
_FRAME_QUALITY, _TILE_QUALITY = 84, 80


def make_flight(
    seed: int, out: Path, extent_m: float = 600.0, plan: FlightPlan | None = None
) -> dict[str, int]:
    """Render the flight into the folder `out`, replacing an earlier one; returns file sizes.

    Everything is made beside `out` first and renamed at the end.

    Raises:
        OutputError: `out` holds something that is not a flight.
    """
    if out.exists() and any(out.iterdir()) and not (out / "truth.json").exists():
        raise OutputError(
            f"{out} is not empty",
            expected="a new folder, or one with an earlier flight",
            found=f"{len(list(out.iterdir()))} other files",
            do="choose another --out",
        )
    plan = plan or FlightPlan()
    full = Town.generate(seed, extent_m, "suburb")
    rng = np.random.default_rng([seed, 9])
    mapped, flown = two_dates(rng, full, new=0.0, gone=0.0, cars=0.6)
    since = newcomers(rng, preview(flown, plan), plan.size_px, buildings=2, others=2)
    mapped = mapped.without(since)

    folder = out.with_name(out.name + ".part")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "frames").mkdir(parents=True)
    sheet = TileSheet.around(PLACE, extent_m)
    chart = render_sheet(mapped, MAP_LOOK, PLACE, sheet)
    name = f"tilefix demo town, seed {seed}"
    write_sheet(folder / "map.mbtiles", chart.image, sheet, name, IMAGERY_CE90_M, _TILE_QUALITY)
    frames = fly(flown, plan, FRAME_LOOK, since, seed)
    for number, frame in enumerate(frames):
        _write_jpeg(folder / _frame_name(number), frame.view.image)
    _write_clicks(folder / "clicks.csv", frames)
    _write_telemetry(folder / "telemetry.csv", frames, plan, seed)
    truth = _truth(seed, frames, chart, sheet, full, plan)
    truth["sha256"] = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    (folder / "README.txt").write_text(_readme(seed, extent_m, plan, truth))
    if out.exists():
        shutil.rmtree(out)
    folder.rename(out)
    return {p.relative_to(out).as_posix(): p.stat().st_size for p in out.rglob("*") if p.is_file()}


def _frame_name(number: int) -> str:
    return f"frames/frame_{number:03d}.jpg"


def _write_jpeg(path: Path, image: Uint8) -> None:
    flags = [cv2.IMWRITE_JPEG_QUALITY, _FRAME_QUALITY]
    _, stream = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), flags)
    path.write_bytes(stream.tobytes())


def _write_clicks(path: Path, frames: list[FlownFrame]) -> None:
    lines = ["frame,id,x,y"]
    for number, frame in enumerate(frames):
        for click in frame.clicks:
            x, y = click.xy_px
            lines.append(f"{number},{click.click_id},{x:.1f},{y:.1f}")
    path.write_text("\n".join(lines) + "\n")


def _write_telemetry(path: Path, frames: list[FlownFrame], plan: FlightPlan, seed: int) -> None:
    """What the drone says of itself: truth with the stated normal errors."""
    rng = np.random.default_rng([seed, 13])
    lines = ["frame,time_s,lon,lat,sigma_m,yaw_deg,gsd_m"]
    for number, frame in enumerate(frames):
        target, gsd = _looks_at(frame)
        said = target + rng.normal(0, SIGMA_M, 2)
        lon, lat = PLACE.lon_lat_deg(said[None])[0]
        yaw = (frame.view.camera.yaw_deg + rng.normal(0, SIGMA_YAW_DEG)) % 360
        said_gsd = gsd * np.exp(rng.normal(0, SIGMA_GSD))
        lines.append(
            f"{number},{number * plan.step_s:.2f},{lon:.7f},{lat:.7f},{SIGMA_M:.1f},"
            f"{yaw:.1f},{said_gsd:.4f}"
        )
    path.write_text("\n".join(lines) + "\n")


def _looks_at(frame: FlownFrame) -> tuple[NDArray[np.float64], float]:
    """Ground point (east, north) in the middle of the frame, and the sampling distance there."""
    camera = frame.view.camera
    tilt, yaw = np.deg2rad([camera.tilt_deg, camera.yaw_deg])
    ahead = camera.up_m * np.tan(tilt)
    point = np.array([camera.east_m + ahead * np.sin(yaw), camera.north_m + ahead * np.cos(yaw)])
    return point, float(camera.up_m / np.cos(tilt) / camera.focal_px)


def _truth(
    seed: int,
    frames: list[FlownFrame],
    chart: RenderedMap,
    sheet: TileSheet,
    town: Town,
    plan: FlightPlan,
) -> dict[str, Any]:
    """The pairs file, boxes in pixels of the whole map from its north-west tile's corner."""
    width, height = sheet.size_px
    clicked = {click.object_id: click.kind for frame in frames for click in frame.clicks}
    boxes = {box.object_id: box.box_xyxy_px for box in chart.boxes if box.object_id in clicked}
    res_m = CIRCUMFERENCE_M / (256 << sheet.zoom)  # of the projection, not of the ground
    left, top = sheet.left_top_px
    half_world = CIRCUMFERENCE_M / 2

    def centre(name: str) -> list[float]:
        """WGS84 of an object's centre, whether the map has it or not."""
        spot = np.array([town.find(name).centre_m])
        lon, lat = PLACE.lon_lat_deg(spot)[0].tolist()
        return [round(lon, 8), round(lat, 8)]

    out_frames: list[dict[str, Any]] = []
    for number, frame in enumerate(frames):
        camera = frame.view.camera
        _, gsd = _looks_at(frame)
        foot = np.array([[camera.east_m, camera.north_m]])
        clicks = [
            {
                "object_id": click.object_id if click.object_id in boxes else None,
                "x": round(click.xy_px[0], 1),
                "y": round(click.xy_px[1], 1),
                "visible": "full" if click.visible >= 0.9 else "partial",
                "click_id": click.click_id,
                "class": click.kind,
                "lon_lat_deg": centre(click.object_id),
            }
            for click in frame.clicks
        ]
        out_frames.append(
            {
                "file": _frame_name(number),
                "width": plan.size_px[0],
                "height": plan.size_px[1],
                "time_s": number * plan.step_s,
                "lon_lat_deg": [round(v, 8) for v in PLACE.lon_lat_deg(foot)[0].tolist()],
                "alt_m": round(camera.up_m, 2),
                "yaw_deg": round(camera.yaw_deg, 3),
                "tilt_deg": round(camera.tilt_deg, 3),
                "gsd_m": round(gsd, 5),
                "clicks": clicks,
            }
        )
    return {
        "schema": "tilefix-pairs/1",
        "made_by": f"python -m training.scenes flight --seed {seed}",
        "licence": "CC0-1.0: rendered, nothing of it exists",
        "telemetry_noise": {
            "sigma_m": SIGMA_M,
            "sigma_yaw_deg": SIGMA_YAW_DEG,
            "sigma_gsd_relative": SIGMA_GSD,
        },
        "map": {
            "file": "map.mbtiles",
            "width": width,
            "height": height,
            "gsd_m": round(float(PLACE.px_m.mean()), 6),
            "epsg": 3857,
            "geotransform": [
                left * res_m - half_world,
                res_m,
                0.0,
                half_world - top * res_m,
                0.0,
                -res_m,
            ],
        },
        "objects": [
            {
                "id": name,
                "class": clicked[name],
                "desc": f"{clicked[name]} of the demo town",
                "box_xyxy_px": [round(v, 2) for v in boxes[name]],
                "lon_lat_deg": centre(name),
            }
            for name in sorted(boxes)
        ],
        "frames": out_frames,
    }


def _readme(seed: int, extent_m: float, plan: FlightPlan, truth: dict[str, Any]) -> str:
    clicks = [click for frame in truth["frames"] for click in frame["clicks"]]
    absent = sum(click["object_id"] is None for click in clicks)
    return (
        "The demo flight of tilefix: an invented town, rendered.\n\n"
        f"made by:  python -m training.scenes flight --seed {seed} --out DIR\n"
        f"town:     {extent_m:.0f} m square on flat ground, map in summer with the sun in the "
        "south-east,\n"
        "          frames in spring with the sun in the south-west, 60 % of the cars moved\n"
        f"flight:   {plan.frames} frames of {plan.size_px[0]}x{plan.size_px[1]}, "
        f"{plan.step_s:.0f} s apart, tilt {plan.tilt_deg[0]:.0f} to {plan.tilt_deg[1]:.0f} "
        "degrees from straight down\n"
        f"clicks:   {len(clicks)}, of them {absent} on things built or arrived since the map\n"
        f"noise:    telemetry has one-sigma errors of {SIGMA_M:.0f} m, {SIGMA_YAW_DEG:.0f} degrees "
        f"of yaw, {SIGMA_GSD * 100:.0f} % of scale\n"
        f"map:      zoom 19 JPEG tiles, imagery_ce90_m {IMAGERY_CE90_M}\n"
        "truth:    truth.json, tilefix-pairs/1; lon_lat_deg of a click is its object's centre\n"
        "licence:  CC0-1.0\n"
    )
