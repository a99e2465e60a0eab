"""The windows of a recorded flight, encoded once for all that a run needs them for.

Scoring them and flying over them warm take the same windows, and encoding takes longer than either.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.scenarios.flights import Flight
from edge.assembly import ExecutorChoice
from edge.bundle import Bundle
from edge.encoding import BundleEncoder, encode_windows
from edge.feature_store import FeatureStore
from edge.tiles.lattice import WindowPlace
from edge.tiles.opening import open_map


class FlightStore:
    """A feature store on the disk, from its first use until it is closed."""

    def __init__(
        self,
        flight: Flight,
        bundle: Bundle,
        executor: ExecutorChoice,
        places: Sequence[WindowPlace],
    ) -> None:
        """Nothing is encoded yet.

        Args:
            flight: recorded: a pairs file alone has no lattice of windows.
            bundle: opened.
            executor: what encodes.
            places: all windows that the flight comes to.
        """
        self._flight, self._bundle, self._executor = flight, bundle, executor
        self._places = tuple(places)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._ids = "", ""  # of model and map

    @contextmanager
    def opened(self) -> Iterator[FeatureStore | None]:
        """The store, open; None: the flight is a pairs file alone.

        Raises:
            ExecutorError, MapError: a window cannot be encoded.
        """
        if self._flight.folder is None:
            yield None
            return
        if self._folder is None:
            self._folder = self._encoded(self._flight.folder)
        model_id, map_id = self._ids
        store = FeatureStore.open(Path(self._folder.name), model_id=model_id, map_id=map_id)
        try:
            yield store
        finally:
            store.close()

    def close(self) -> None:
        """Take it from the disk."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _encoded(self, recorded: Path) -> tempfile.TemporaryDirectory[str]:
        bundle, chosen = self._bundle, self._executor
        tiles, size = open_map(recorded / "map.mbtiles"), bundle.manifest.window
        folder = tempfile.TemporaryDirectory(prefix="tilefix-bench-")
        try:
            encoder = BundleEncoder(
                bundle, chosen.name, chosen.precision, chosen.threads, chosen.device
            )
            encode_windows(
                tiles.grid(size.gsd_m),
                tiles.map_id,
                self._places,
                encoder,
                Path(folder.name),
                window_px=(size.width_px, size.height_px),
            )
            self._ids = encoder.model_id, tiles.map_id
        except BaseException:
            folder.cleanup()
            raise
        finally:
            tiles.close()
        return folder
