"""What the periodic scenario needs before its first frame: store, pipeline, clicks.

Warm, the windows of the flight were encoded into a store before, as they are before a real one, and
are read from it ahead of the flight, beside the frame path (`edge.read_ahead`). Cold and mixed have
no store: a window that is not at hand is encoded in the midst of the flight.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import cv2
import numpy as np

from benchmarks.record.lines import CacheState, Settings
from benchmarks.scenarios.cache_states import StatedCache
from benchmarks.scenarios.flights import Flight
from benchmarks.scenarios.open_loop import Flown, FramePath, fly
from benchmarks.scenarios.plan import Planned
from benchmarks.scenarios.queries import draw_clicks
from benchmarks.scenarios.recorder import Recorder
from benchmarks.scenarios.rules import Rules
from edge.assembly import ALIGNMENT_GRAPH, ExecutorChoice, PriorChoice
from edge.bundle import Bundle
from edge.cores import calm_opencv
from edge.encoding import BundleEncoder, encode_windows
from edge.feature_cache import FeatureCache
from edge.feature_store import FeatureStore
from edge.graceful_stop import GracefulStop
from edge.tiles.lattice import WindowPlace
from edge.tiles.opening import open_map

HELD_WINDOWS = 4  # in memory, as many as one frame of the bundled flight needs


def fly_periodic(
    flight: Flight,
    bundle: Bundle,
    executor: ExecutorChoice,
    settings: Settings,
    planned: Planned,
    rules: Rules,
    recorder: Recorder,
    stop: GracefulStop,
    *,
    places: Sequence[WindowPlace],
    begin: Callable[[], None],
) -> Flown:
    """Prepare, fly, clean up.

    Args:
        flight: what the camera shows.
        bundle: opened.
        executor: what runs it.
        settings: of the run.
        planned: state of the cache, and clicks in each frame.
        rules: how long.
        recorder: takes the rows.
        stop: asks for an end after the frame at work.
        places: all windows that the flight comes to.
        begin: called between warm-up and measurement.

    Raises:
        ExecutorError: before the first frame.
    """
    aligned = ALIGNMENT_GRAPH in bundle.manifest.files
    prior = PriorChoice.ALIGNMENT if aligned else PriorChoice.NONE
    stored = planned.state is CacheState.WARM and flight.folder is not None
    made: list[StatedCache] = []

    def wrap(cache: FeatureCache) -> StatedCache:
        most = HELD_WINDOWS if stored else None
        made.append(StatedCache(cache, planned.state, settings.hit_rate, settings.seed, most=most))
        return made[0]

    random = np.random.default_rng(settings.seed)
    clicks = [draw_clicks(shot, planned.clicks, random) for shot in flight.shots]
    with _store(flight, bundle, executor, places) if stored else nullcontext() as store:
        assembly = flight.assemble(bundle, executor, prior=prior, live=True, wrap=wrap, store=store)
        threads = cv2.getNumThreads()
        try:
            if not stored:
                made[0].fill(places)
            ahead = assembly.ahead is not None  # of the windows to come, in the store
            beside = (("alignment",) if aligned else ()) + (("window loading",) if ahead else ())
            clock = assembly.localizer.clock
            calm_opencv()  # as a live run does
            return fly(
                flight.shots,
                clicks,
                lambda scheduled_ns: FramePath(assembly.pipeline, clock, scheduled_ns),
                rules,
                settings.rate_hz,
                recorder,
                stop,
                seed=settings.seed,
                beside=beside,
                begin=begin,
            )
        finally:
            cv2.setNumThreads(threads)
            assembly.close()


@contextmanager
def _store(
    flight: Flight, bundle: Bundle, executor: ExecutorChoice, places: Sequence[WindowPlace]
) -> Iterator[FeatureStore]:
    """A store of the windows of a recorded flight, on the disk as long as it is needed."""
    if flight.folder is None:
        raise ValueError("a pairs file alone has no lattice of windows")
    tiles = open_map(flight.folder / "map.mbtiles")
    size = bundle.manifest.window
    encoder = BundleEncoder(
        bundle, executor.name, executor.precision, executor.threads, executor.device
    )
    with tempfile.TemporaryDirectory(prefix="tilefix-bench-") as folder:
        try:
            encode_windows(
                tiles.grid(size.gsd_m),
                tiles.map_id,
                places,
                encoder,
                Path(folder),
                window_px=(size.width_px, size.height_px),
            )
            model_id = encoder.model_id
            del encoder  # its memory is not that of the flight
            store = FeatureStore.open(Path(folder), model_id=model_id, map_id=tiles.map_id)
        finally:
            tiles.close()
        try:
            yield store
        finally:
            store.close()
