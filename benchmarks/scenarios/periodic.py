"""What the periodic scenario needs before its first frame: windows, pipeline, clicks.

Warm, the windows of the flight were encoded into a store before, as they are before a real one, and
are read from it ahead of the flight, beside the frame path (`edge.read_ahead`). Cold and mixed fly
without a store: a window that is not at hand is encoded in the midst of the flight.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import cv2
import numpy as np

from benchmarks.record.lines import CacheState, FlownAccuracy, Settings, Unknown
from benchmarks.scenarios.cache_states import StatedCache
from benchmarks.scenarios.flight_store import FlightStore
from benchmarks.scenarios.flights import Flight
from benchmarks.scenarios.flown_accuracy import flown_accuracy, grid_of
from benchmarks.scenarios.memory import give_back
from benchmarks.scenarios.open_loop import Flown, fly
from benchmarks.scenarios.plan import Planned
from benchmarks.scenarios.queries import draw_clicks
from benchmarks.scenarios.recorder import Recorder
from benchmarks.scenarios.rules import Rules
from edge.assembly import ExecutorChoice, PriorChoice
from edge.bundle import ALIGNMENT_GRAPH, Bundle
from edge.cores import put_frame_path_first
from edge.feature_cache import FeatureCache
from edge.graceful_stop import GracefulStop
from edge.tiles.lattice import WindowPlace

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
    stored: FlightStore,
    begin: Callable[[], None],
    end: Callable[[], None],
) -> tuple[Flown, FlownAccuracy | Unknown]:
    """Prepare, fly, judge, clean up.

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
        stored: the same, encoded before.
        begin: called between warm-up and measurement.
        end: called after the last frame.

    Raises:
        ExecutorError: before the first frame.
    """
    aligned = ALIGNMENT_GRAPH in bundle.manifest.files
    prior = PriorChoice.ALIGNMENT if aligned else PriorChoice.NONE
    from_disk = planned.state is CacheState.WARM and flight.folder is not None
    made: list[StatedCache] = []

    def wrap(cache: FeatureCache) -> StatedCache:
        most = HELD_WINDOWS if from_disk else None
        made.append(StatedCache(cache, planned.state, settings.hit_rate, settings.seed, most=most))
        return made[0]

    random = np.random.default_rng(settings.seed)
    clicks = [draw_clicks(shot, planned.clicks, random) for shot in flight.shots]
    with ExitStack() as opened:
        store = opened.enter_context(stored.opened()) if from_disk else None
        assembly = flight.assemble(bundle, executor, prior=prior, live=True, wrap=wrap, store=store)
        threads, switch_s, grid = cv2.getNumThreads(), sys.getswitchinterval(), assembly.pictures
        try:
            if planned.state is not CacheState.COLD and not from_disk:
                with stored.opened() as before:
                    ids = {at: grid.window_id(at.left_px, at.top_px) for at in places}
                    ready = {} if before is None else {at: before.read(ids[at]) for at in places}
                made[0].fill(places, ready)
            ahead = assembly.ahead is not None  # of the windows to come, in the store
            beside = (("alignment",) if aligned else ()) + (("window loading",) if ahead else ())
            clock = assembly.localizer.clock
            give_back()
            put_frame_path_first()  # as a live run does
            flown = fly(
                flight.shots,
                clicks,
                assembly.pipeline,
                clock,
                rules,
                settings.rate_hz,
                recorder,
                stop,
                seed=settings.seed,
                beside=beside,
                cores=assembly.cores,
                begin=begin,
                end=end,
            )
            to_grid = grid_of(flight, grid, places[0])
            return flown, flown_accuracy(flown, flight, clicks, to_grid)
        finally:
            cv2.setNumThreads(threads)
            sys.setswitchinterval(switch_s)
            assembly.close()
