"""Put the parts of a run together: bundle, map, store and alignment become one pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from edge.alignment import Aligner
from edge.alignment_worker import AlignmentWorker
from edge.bundle import ALIGNMENT_GRAPH, Bundle, shipped_bundle_path
from edge.cores import ANYBODYS, CoreShares, share_cores, threads_beside
from edge.devices.base import DeviceOptions
from edge.encoding import open_features
from edge.errors import BundleError
from edge.executors.base import ON_DEVICE
from edge.executors.host_threads import HostThreads
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.feature_cache import FeatureCache, StoredFeatures, WindowReader
from edge.feature_origin import FeatureOrigin
from edge.feature_store import FeatureStore
from edge.frame_placer import InlinePlacer, WorkerPlacer
from edge.localizer import Localizer
from edge.pipeline import FramePlacer, Pipeline
from edge.precisions import graph_precision
from edge.read_ahead import ReadAhead
from edge.tiles.opening import open_map
from edge.tiles.window import TileMap
from edge.window_choice import LatticeWindows, WindowSupply

# Of a live frame that is not aligned yet: few of these are accepted, and the cores that it leaves
# free are what the next one is aligned with.
LIVE_BUDGET_MS = 25.0
CROWDED_PATIENCE_S = 0.05  # where the frame path takes all cores (see `WorkerPlacer`)


class PriorChoice(str, Enum):
    """What may tell the localizer beforehand where an object is."""

    ALIGNMENT = "alignment"  # alignment, else the tracker, else telemetry
    NONE = "none"  # nothing: the head decides alone


@dataclass(frozen=True, slots=True)
class ExecutorChoice:
    """What runs the graphs."""

    name: str = "onnxruntime"
    precision: str = "fp32"
    threads: int = 2  # of each graph on the CPU
    device: DeviceOptions | None = None  # None: the defaults of an executor on a GPU


@dataclass(frozen=True, slots=True)
class Assembly:
    """An opened pipeline and what it was made of. Close it after use."""

    pipeline: Pipeline
    localizer: Localizer
    windows: WindowSupply
    pictures: WindowReader
    tiles: TileMap | None
    placer: FramePlacer | None
    store: FeatureStore | None = None
    ahead: ReadAhead | None = None  # of a live run with a store
    cores: tuple[int, ...] = ()  # that a live frame path stays on (`edge.cores.staying_on`)

    def close(self) -> None:
        """Let go of the threads, the store and the map."""
        if self.placer is not None:
            self.placer.close()
        if self.ahead is not None:
            self.ahead.close()
        if self.store is not None:
            self.store.close()
        if self.tiles is not None:
            self.tiles.close()


def open_bundle(path: str | os.PathLike[str] | None) -> Bundle:
    """A bundle, or the shipped one.

    Raises:
        BundleError: it is not there, or was altered.
    """
    return Bundle.open(Path(path) if path is not None else shipped_bundle_path())


def assemble_on_map(
    bundle: Bundle,
    map_path: str | os.PathLike[str],
    *,
    store_path: str | os.PathLike[str] | None = None,
    prior: PriorChoice = PriorChoice.ALIGNMENT,
    live: bool = False,
    executor: ExecutorChoice | None = None,
) -> Assembly:
    """A pipeline over a tile map.

    Args:
        bundle: an opened bundle.
        map_path: MBTiles, PMTiles, XYZ folder or GeoTIFF.
        store_path: folder of encoded windows of that map; None: encode on demand.
        prior: see PriorChoice.
        live: alignment, and reading of stored windows to come, run beside the frame path.
        executor: what runs the graphs; None: ONNX Runtime in fp32.

    Raises:
        MapError, GeoreferenceError: the map.
        BundleError: `prior` wants an alignment that the bundle has no graph for.
        FeatureStoreError: no store there, or one of another model, map, sampling distance or, where
            frames are aligned, alignment.
    """
    tiles = open_map(map_path)
    executor = executor or ExecutorChoice()
    store = None
    try:
        size = bundle.manifest.window
        grid = tiles.grid(size.gsd_m)

        def supply(cache: FeatureCache) -> WindowSupply:
            return LatticeWindows(cache, grid, size.width_px)

        if store_path is not None:
            # A store without the local features that this run asks for is no use to it; one with
            # more than it asks for is.
            graph = (
                None if prior is PriorChoice.NONE else bundle.manifest.files.get(ALIGNMENT_GRAPH)
            )
            origin = FeatureOrigin(bundle, executor.name, executor.precision, Path(map_path))
            store = open_features(
                Path(store_path),
                model_id=origin.model_id,
                map_id=tiles.map_id,
                grid=grid,
                alignment_id=graph,
                origin=origin,
            )
        found = assemble(
            bundle, grid, supply, store=store, prior=prior, live=live, executor=executor
        )
        return replace(found, tiles=tiles, store=store)
    except BaseException:
        if store is not None:
            store.close()
        tiles.close()
        raise


def assemble(
    bundle: Bundle,
    pictures: WindowReader,
    supply: Callable[[FeatureCache], WindowSupply],
    *,
    store: StoredFeatures | None = None,
    prior: PriorChoice = PriorChoice.ALIGNMENT,
    live: bool = False,
    track: bool = True,
    executor: ExecutorChoice | None = None,
) -> Assembly:
    """A pipeline over anything that windows can be read from.

    Args:
        bundle: an opened bundle.
        pictures: reads windows.
        supply: offers the windows of a frame, out of the cache that it is given.
        store: windows encoded before.
        prior: see PriorChoice.
        live: alignment, and reading of stored windows to come, run beside the frame path.
        track: an accepted fix is a prior for the next click of its id.
        executor: what runs the graphs; None: ONNX Runtime in fp32. Alignment is always its.

    Raises:
        BundleError: `prior` wants an alignment that the bundle has no graph for, or the executor a
            precision.
        ExecutorError: the executor is not available, or refuses the graph.
    """
    choice = _expecting(executor or ExecutorChoice(), bundle, store)
    beside = threads_beside(choice.threads) if live else choice.threads
    aligner = _aligner(bundle, prior, beside)
    if live and aligner is not None:
        aligner.reserve()
    shares = _shares(bundle, choice) if live else None
    crowded = live and aligner is not None and is_crowded(choice)
    chosen = choice.name, choice.precision, choice.threads, choice.device
    localizer = Localizer.open(bundle, *chosen, host=_host_threads(crowded, shares))
    describe = aligner.describe if aligner else None
    ahead = None
    if live and store is not None:
        ahead = ReadAhead(store, localizer.prepare)
    cache = FeatureCache(localizer, pictures, describe=describe, store=ahead or store, ahead=ahead)
    windows = supply(cache)
    placer = _placer(aligner, live, crowded, shares or ANYBODYS)
    budget_ms = LIVE_BUDGET_MS if live and placer is not None else None
    pipeline = Pipeline(localizer, windows, placer, track=track, budget_ms=budget_ms)
    return Assembly(
        pipeline,
        localizer,
        windows,
        pictures,
        None,
        placer,
        ahead=ahead,
        cores=(shares or ANYBODYS).others,
    )


def _expecting(
    choice: ExecutorChoice, bundle: Bundle, store: StoredFeatures | None
) -> ExecutorChoice:
    """What reads a store in INT8 on a GPU makes itself ready at opening, not in flight."""
    if choice.name not in ON_DEVICE or not isinstance(store, FeatureStore):
        return choice
    names = {each.name for each in bundle.manifest.features}
    if not any(each.name in names and each.dtype == "int8" for each in store.header.tensors):
        return choice
    device = replace(choice.device or DeviceOptions(), int8_features=True)
    return replace(choice, device=device)


def _aligner(bundle: Bundle, prior: PriorChoice, threads: int) -> Aligner | None:
    if prior is PriorChoice.NONE:
        return None
    if ALIGNMENT_GRAPH not in bundle.manifest.files:
        raise BundleError(
            f"the bundle {bundle.manifest.name} cannot align frames",
            expected=f"the file {ALIGNMENT_GRAPH} in it",
            found="none is listed in its manifest",
            do="run with --prior none, or take a bundle with an alignment graph",
        )
    return Aligner.open(bundle, threads=threads)


def is_crowded(executor: ExecutorChoice) -> bool:
    """Whether the graphs take all cores, so that nothing beside them has one of its own."""
    return executor.name not in ON_DEVICE and share_cores(executor.threads) is None


def _shares(bundle: Bundle, executor: ExecutorChoice) -> CoreShares | None:
    """Whose the cores are; None: nothing of the localizer can run beside the frame path."""
    form = graph_precision(executor.precision, executor.name)
    if executor.name != OnnxRuntimeExecutor.name or not bundle.in_parts(form):
        return None
    return share_cores(executor.threads)


def _host_threads(crowded: bool, shares: CoreShares | None) -> HostThreads:
    if shares is None:
        return HostThreads(spinning=not crowded)
    # A single thread that has a core for itself has nobody to spin for.
    return HostThreads(spinning=len(shares.graphs) != 1, apart=True, cores=shares.graphs)


def _placer(
    aligner: Aligner | None, live: bool, crowded: bool, shares: CoreShares
) -> FramePlacer | None:
    if aligner is None:
        return None
    if not live:
        return InlinePlacer(aligner)
    patience_s = CROWDED_PATIENCE_S if crowded else 0.0
    return WorkerPlacer(AlignmentWorker(aligner, shares=shares), patience_s=patience_s)
