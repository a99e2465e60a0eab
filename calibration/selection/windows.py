"""Look at the windows of the maps: those of the lattice, spread evenly from the first one on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.selection.candidate import Candidate, FeatureMaker, seen
from calibration.selection.coverage import even_parts
from calibration.selection.look import look_at
from calibration.selection.reasons import PoorImage
from calibration.selection.request import ImageSource, SelectionRequest
from calibration.selection.scan import SHARD, Shards, with_feature, workers
from calibration.selection.shot import Shot, month_in_path
from edge.tiles.lattice import STEP_PX, WindowPlace, all_windows, count_windows
from edge.tiles.opening import open_map
from edge.tiles.window import PixelGrid, TileMap
from edge.types import ReferenceWindow, Uint8

LEAST_IMAGERY = 0.5  # share of a window
FINEST_STEP_PX = 128  # 7 of 8 pixels are shared with the neighbour
MOST_VISITED = 32_768  # places of one map, whether they have imagery or not
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class ListedMap:
    """One opened map and the places that may be looked at, in the order of looking."""

    index: int
    given: ImageSource
    tiles: TileMap
    grid: PixelGrid
    places: tuple[WindowPlace, ...]
    step_px: int
    most: int  # candidates


def list_maps(request: SelectionRequest) -> tuple[ListedMap, ...]:
    """Open all maps; close them after use.

    Raises:
        MapError: missing, broken, or without imagery near the wanted sampling distance.
        GeoreferenceError, MissingLibraryError: see `open_map`.
    """
    opened: list[tuple[TileMap, PixelGrid]] = []
    try:
        for source in request.maps:
            tiles = open_map(source.path)
            opened.append((tiles, _grid(tiles, request.gsd_m)))
    except BaseException:
        for tiles, _ in opened:
            tiles.close()
        raise
    size_px = request.window_px[0]
    found = [places_of(grid, size_px, request.windows) for _, grid in opened]
    quotas = even_parts([len(places) for places, _ in found], request.most_window_candidates)
    return tuple(
        ListedMap(n, source, tiles, grid, places, step, quota)
        for n, (source, (tiles, grid), (places, step), quota) in enumerate(
            zip(request.maps, opened, found, quotas, strict=True)
        )
    )


def places_of(grid: PixelGrid, size_px: int, wanted: int) -> tuple[tuple[WindowPlace, ...], int]:
    """Places to look at, and their step.

    They are those of the lattice; where it has fewer than are wanted, places at a half or a quarter
    of its step are added. Their order is that of the golden ratio: any first part of it is spread
    evenly over the map, so that looking may stop where enough have imagery.
    """
    step = STEP_PX
    places = _lattice(grid, size_px)
    while len(places) < wanted and step > FINEST_STEP_PX:
        step //= 2
        places = _finer(grid, size_px, step)
    return tuple(places[n] for n in spread_order(len(places))), step


def spread_order(count: int) -> list[int]:
    """0 to count - 1, each once, any first part of it spread evenly."""
    along = np.arange(count) * _GOLDEN % 1.0
    order = np.empty(count, np.int64)
    order[np.argsort(along, kind="stable")] = np.arange(count)
    return [int(n) for n in order]


def scan_windows(
    listed: tuple[ListedMap, ...],
    request: SelectionRequest,
    shards: Shards,
    features: FeatureMaker | None,
    report: Callable[[int], None],
) -> list[Candidate]:
    """The windows that were looked at; `report` gets how many have imagery so far."""
    found: list[Candidate] = []
    with_imagery = 0
    with ThreadPoolExecutor(workers()) as pool:
        for each in listed:
            enough = 0
            for number in range(0, len(each.places), SHARD):
                if enough >= each.most:
                    break
                name = f"map-{each.index:03d}-{number // SHARD:05d}"
                shard = shards.get(name)
                if shard is None:
                    part = each.places[number : number + SHARD]
                    looked = pool.map(lambda place, of=each: _window(of, place), part)
                    make = None if features is None else features.window
                    shard = [with_feature(one, pixels, make) for one, pixels in looked]
                    shards.put(name, shard)
                found += shard
                enough += sum(one.poor != PoorImage.NO_IMAGERY.value for one in shard)
                report(with_imagery + enough)
            with_imagery += enough
    return found


def read_window(listed: ListedMap, place: WindowPlace) -> ReferenceWindow:
    """The window at a place of a map."""
    return listed.grid.read(place.left_px, place.top_px, place.width_px, place.height_px)


def _window(listed: ListedMap, place: WindowPlace) -> tuple[Candidate, Uint8 | None]:
    window = read_window(listed, place)
    fields: dict[str, Any] = {
        "source": listed.index,
        "item": 0,
        "place": (place.left_px, place.top_px),
        "name": listed.given.path.name,
        "words": window.window_id,
        "size_px": (place.width_px, place.height_px),
    }
    if window.coverage < LEAST_IMAGERY:
        return Candidate(**fields, poor=PoorImage.NO_IMAGERY.value), None
    season = listed.given.season or Shot(month_in_path(listed.given.path)).season
    fields |= seen(look_at(window.image, window.valid), window.image)
    return Candidate(**fields, season=season), window.image


def _grid(tiles: TileMap, gsd_m: float) -> PixelGrid:
    try:
        return tiles.grid(gsd_m)
    except BaseException:
        tiles.close()
        raise


def _lattice(grid: PixelGrid, size_px: int) -> list[WindowPlace]:
    """All windows, or evenly spaced ones of a very large map."""
    every = max(1, -(-count_windows(grid, size_px) // MOST_VISITED))
    return list(itertools.islice(all_windows(grid, size_px), 0, None, every))


def _finer(grid: PixelGrid, size_px: int, step: int) -> list[WindowPlace]:
    """Windows at multiples of a step whose centres lie on the imagery's rectangle."""
    left, top, right, bottom = grid.extent_px
    columns = range(-(-(left - size_px // 2) // step), (right - size_px // 2) // step + 1)
    rows = range(-(-(top - size_px // 2) // step), (bottom - size_px // 2) // step + 1)
    return [WindowPlace(x * step, y * step, size_px, size_px) for y in rows for x in columns]
