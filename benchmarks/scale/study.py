"""Measure a sample of windows, and extrapolate to areas."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.record.environment import read_environment
from benchmarks.scale.areas import Area, zoom_gsd_m
from benchmarks.scale.estimate import Device, area_cost, search_cost
from benchmarks.scale.sample import measure_windows
from benchmarks.scale.text import ScaleReport
from edge.bundle import Bundle, shipped_bundle_path
from edge.commands.progress import command_line
from edge.encoding import BundleEncoder
from edge.errors import UsageError
from edge.localizer import Localizer
from edge.tiles.opening import open_map
from edge.tiles.window import check_gsd

SCHEMA = "tilefix-scale/1"
HERE = "this machine"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    areas: tuple[Area, ...]
    bundle_path: Path | None
    map_path: Path | None
    sample: int
    threads: int
    gsd_m: float | None
    latitude_deg: float | None
    counts: tuple[int, ...]
    given: tuple[Device, ...]
    kept_share: float
    sigmas_m: tuple[float, ...]


def study(wanted: Wanted, progress: Callable[[int], None] = lambda done: None) -> ScaleReport:
    """Measure and extrapolate.

    Raises:
        UsageError: numbers that mean nothing.
        TilefixError: the bundle or the map cannot be opened.
    """
    bundle = Bundle.open(wanted.bundle_path or shipped_bundle_path())
    gsd_m, gsd_from = _gsd(wanted, bundle)
    around = read_environment()
    path = wanted.map_path or demo_map()
    opened = open_map(path)
    try:
        with tempfile.TemporaryDirectory(prefix="tilefix-scale-") as home:
            encoder = BundleEncoder(bundle, threads=wanted.threads)
            localizer = Localizer.open(bundle, threads=wanted.threads)
            cost = measure_windows(
                opened, bundle, encoder, localizer, Path(home) / "store", wanted.sample, progress
            )
    finally:
        opened.close()
    devices = (Device(HERE, cost.whole.mean_ms, measured=True), *wanted.given)
    cpu, load = around.cpu, around.load_average
    return ScaleReport(
        schema=SCHEMA,
        command=command_line(),
        machine=cpu if isinstance(cpu, str) else f"a machine that does not say ({cpu.reason})",
        date=time.strftime("%Y-%m-%d"),
        load_average=load if isinstance(load, float) else None,
        bundle=bundle.manifest.name,
        threads=wanted.threads,
        gsd_m=gsd_m,
        gsd_from=gsd_from,
        sampled_map=path.name,
        sampled_map_formula_windows=Area("map", *cost.map_m).windows(cost.map_gsd_m),
        measured=cost,
        areas=tuple(
            area_cost(area, gsd_m, cost, devices, wanted.counts, wanted.kept_share)
            for area in wanted.areas
        ),
        searches=tuple(search_cost(sigma_m, gsd_m, cost) for sigma_m in wanted.sigmas_m),
    )


def given_device(text: str) -> Device:
    """A device that the user knows, NAME=MS.

    Raises:
        UsageError: no name, or no time.
    """
    name, _, number = text.partition("=")
    try:
        ms = float(number)
        if not (name.strip() and 0 < ms < float("inf")):
            raise ValueError(text)
    except ValueError as error:
        raise UsageError(
            "--device names no device",
            expected='NAME=MS, milliseconds for a window, such as "Orin Nano=60"',
            found=repr(text),
            do="correct --device",
        ) from error
    return Device(name.strip(), ms, measured=False)


def demo_map() -> Path:
    """The map of the demo flight."""
    import edge

    return Path(edge.__file__).parent / "demo_data" / "flight" / "map.mbtiles"


def _gsd(wanted: Wanted, bundle: Bundle) -> tuple[float, str]:
    gsd_m = bundle.manifest.window.gsd_m if wanted.gsd_m is None else wanted.gsd_m
    check_gsd(gsd_m)
    origin = "of the bundle" if wanted.gsd_m is None else "as given"
    if wanted.latitude_deg is None:
        return gsd_m, f"{origin}; a tile map has the nearest zoom instead: give --latitude"
    zoom, found_m = zoom_gsd_m(gsd_m, wanted.latitude_deg)
    place = f"zoom {zoom} at latitude {wanted.latitude_deg:g}"
    return found_m, f"{place}, nearest to {gsd_m:g} m {origin}"
