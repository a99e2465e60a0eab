"""What one window costs on this machine, measured on some windows of a real map."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edge.bundle import Bundle
from edge.encoding import WindowEncoder, header_for
from edge.errors import WindowError
from edge.feature_header import FeatureHeader, tensor_specs
from edge.feature_index import INDEX_NAME
from edge.feature_quantization import quantized
from edge.feature_store import FeatureStore
from edge.localizer import Localizer
from edge.tiles.lattice import all_windows, count_windows
from edge.tiles.window import PixelGrid, TileMap
from edge.types import ReferenceFeature, ReferenceWindow

CLICKS = 8  # of the frame that is located


@dataclass(frozen=True, slots=True)
class Spread:
    """Times of the windows of a sample, milliseconds."""

    mean_ms: float
    least_ms: float
    most_ms: float

    @staticmethod
    def of(times_ms: Sequence[float]) -> Spread:
        """Of at least one."""
        return Spread(float(np.mean(times_ms)), min(times_ms), max(times_ms))


@dataclass(frozen=True, slots=True)
class WindowCost:
    """What was measured."""

    windows: int
    read: Spread  # of the tiles, decoded
    encode: Spread  # the encoder, and the local features of the alignment
    write: Spread  # to the store, on the disk on return
    whole: Spread  # all three
    load: Spread  # from the store, checksum and all
    locate: Spread  # 8 clicks in the loaded window
    record_bytes: int  # of a window in the store, float16
    int8_record_bytes: int
    index_bytes: float  # of its line
    map_windows: int  # of the sampled map, counted by the lattice
    map_m: tuple[float, float]  # width and height of its imagery
    map_gsd_m: float


def measure_windows(
    opened: TileMap,
    bundle: Bundle,
    encoder: WindowEncoder,
    localizer: Localizer,
    folder: Path,
    count: int,
    progress: Callable[[int], None] = lambda done: None,
) -> WindowCost:
    """Encode up to `count` windows, evenly out of a map, into a store at `folder`; search them.

    Raises:
        WindowError: the map has no window with imagery.
        OutputError: the store cannot be written.
    """
    window = bundle.manifest.window
    grid, size_px = opened.grid(window.gsd_m), (window.width_px, window.height_px)
    times: list[tuple[float, float, float]] = []
    store: FeatureStore | None = None
    try:
        for read, read_ms in _evenly(grid, size_px, count):
            if store is None:
                store, int8_bytes = _begin(opened, grid, bundle, encoder, read, folder)
            start = time.perf_counter()
            feature = encoder.encode(read)
            encoded = time.perf_counter()
            store.write(feature)
            written = time.perf_counter()
            times.append((read_ms, 1e3 * (encoded - start), 1e3 * (written - encoded)))
            progress(len(times))
        if store is None:
            raise WindowError(
                "no window of the sample has imagery",
                expected=f"imagery in one of {count} windows, evenly out of the map",
                found="none",
                do="give another map with --tiles, or a larger --sample",
            )
        load_ms, locate_ms = _search(store, localizer)
        record_bytes = store.header.record_bytes
        index_bytes = (folder / INDEX_NAME).stat().st_size / len(store)
    finally:
        if store is not None:
            store.close()
    left, top, right, bottom = grid.extent_px
    read_ms, encode_ms, write_ms = np.array(times).T.tolist()
    return WindowCost(
        windows=len(times),
        read=Spread.of(read_ms),
        encode=Spread.of(encode_ms),
        write=Spread.of(write_ms),
        whole=Spread.of([sum(each) for each in times]),
        load=Spread.of(load_ms),
        locate=Spread.of(locate_ms),
        record_bytes=record_bytes,
        int8_record_bytes=int8_bytes,
        index_bytes=index_bytes,
        map_windows=count_windows(grid, size_px[0]),
        map_m=((right - left) * grid.gsd_m, (bottom - top) * grid.gsd_m),
        map_gsd_m=grid.gsd_m,
    )


def _begin(
    opened: TileMap,
    grid: PixelGrid,
    bundle: Bundle,
    encoder: WindowEncoder,
    window: ReferenceWindow,
    folder: Path,
) -> tuple[FeatureStore, int]:
    """The store for windows like this one; and the bytes of such a window in INT8.

    The window is encoded once for it, which also loads the graphs.
    """
    feature = encoder.encode(window)
    size_px = window.image.shape[1], window.image.shape[0]
    header = header_for(grid, opened.map_id, encoder, tensor_specs(feature.tensors), size_px)
    return FeatureStore.create(folder, header), _int8_bytes(header, feature, bundle)


def _int8_bytes(header: FeatureHeader, feature: ReferenceFeature, bundle: Bundle) -> int:
    """Bytes of a window in a store of --features int8."""
    names = [each.name for each in bundle.manifest.features]
    specs = tensor_specs(quantized(feature.tensors, names))
    return msgspec.structs.replace(header, tensors=specs).record_bytes


def _evenly(
    grid: PixelGrid, size_px: tuple[int, int], count: int
) -> Iterator[tuple[ReferenceWindow, float]]:
    """Windows with imagery, spread over the map, and the milliseconds that reading each took."""
    places = list(all_windows(grid, size_px[0]))
    order = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    for index in dict.fromkeys(order.tolist()):
        start = time.perf_counter()
        read = grid.read(places[index].left_px, places[index].top_px, *size_px)
        took_ms = 1e3 * (time.perf_counter() - start)
        if read.valid.any():
            yield read, took_ms


def _search(store: FeatureStore, localizer: Localizer) -> tuple[list[float], list[float]]:
    """Milliseconds to load each stored window, and to locate in it."""
    size = localizer.bundle.manifest.frame
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (size.height_px, size.width_px, 3), dtype=np.uint8)
    limit = np.array([size.width_px, size.height_px])
    clicks = random.uniform(1, limit - 1, (CLICKS, 2)).astype(np.float32)
    load_ms, locate_ms = [], []
    ids = list(store)
    for window_id in (ids[0], *ids):  # the first one warms up
        start = time.perf_counter()
        feature = store.read(window_id)
        loaded = time.perf_counter()
        localizer.locate(frame, clicks, feature)
        load_ms.append(1e3 * (loaded - start))
        locate_ms.append(1e3 * (time.perf_counter() - loaded))
    return load_ms[1:], locate_ms[1:]
