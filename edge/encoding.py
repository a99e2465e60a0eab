"""Encode the windows of a map into a feature store: skips what is there, resumes, stops cleanly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge.bundle import ALIGNMENT_GRAPH
from edge.errors import FeatureStoreError, WindowError
from edge.feature_header import (
    HEADER_NAME,
    FeatureHeader,
    TensorSpec,
    read_header,
    stored_gsd_m,
    tensor_specs,
)
from edge.feature_quantization import quantized
from edge.feature_store import FeatureStore
from edge.tiles.lattice import STEP_PX, WindowPlace
from edge.tiles.window import WINDOW_PX, PixelGrid
from edge.types import ReferenceFeature, ReferenceWindow

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.devices.base import DeviceOptions
    from edge.feature_origin import FeatureOrigin


class WindowEncoder(Protocol):
    """Makes the features of windows."""

    model_id: str
    alignment_id: str | None  # sha256 of the alignment graph; None: no align_* tensors

    def encode(self, window: ReferenceWindow) -> ReferenceFeature:
        """All named tensors of one window, always of the same shapes."""
        ...


class BundleEncoder:
    """The encoder of a bundle, with the local features of its aligner if it has one."""

    def __init__(
        self,
        bundle: Bundle,
        executor: str = "onnxruntime",
        precision: str = "fp32",
        threads: int = 2,
        device: DeviceOptions | None = None,
        features: str = "float16",
    ) -> None:
        """Open both graphs; `features` says how a store holds them, one of `TYPES`.

        Raises:
            BundleError, ExecutorError: see `Localizer.open`.
        """
        from edge.localizer import Localizer

        self._localizer = Localizer.open(bundle, executor, precision, threads, device)
        names = tuple(each.name for each in bundle.manifest.features)
        self._quantized = names if features == "int8" else ()
        self.model_id = self._localizer.model_id
        self.alignment_id = bundle.manifest.files.get(ALIGNMENT_GRAPH)
        self._aligner = None
        if self.alignment_id is not None:
            from edge.alignment import Aligner

            self._aligner = Aligner.open(bundle, threads=threads)

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Localizer.notes`."""
        return self._localizer.notes

    def encode(self, window: ReferenceWindow) -> ReferenceFeature:
        """The tensors of the encoder, and the `align_*` tensors of the aligner."""
        feature = self._localizer.encode(window)
        tensors = quantized(feature.tensors, self._quantized)
        if self._aligner is not None:
            tensors |= self._aligner.describe(window)
        return replace(feature, tensors=tensors)


@dataclass(slots=True)
class EncodeCount:
    """What became of the windows so far."""

    encoded: int = 0
    kept: int = 0  # stored before and intact
    redone: int = 0  # stored before and corrupt; also counted as encoded
    empty: int = 0  # without imagery, not stored

    @property
    def done(self) -> int:
        """Windows dealt with."""
        return self.encoded + self.kept + self.empty


def encode_windows(
    grid: PixelGrid,
    map_id: str,
    places: Iterable[WindowPlace],
    encoder: WindowEncoder,
    folder: Path,
    *,
    window_px: tuple[int, int] = (WINDOW_PX, WINDOW_PX),
    resume_command: str | None = None,
    progress: Callable[[EncodeCount], None] = lambda count: None,
    may_be_empty: bool = False,
) -> EncodeCount:
    """Encode windows that the store does not hold intact.

    Args:
        grid: where the windows are read.
        map_id: of the map of that grid.
        places: windows of the lattice.
        encoder: what encodes them.
        folder: the store; made, or gone on with.
        window_px: width and height of the places.
        resume_command: what an error tells the reader to run again.
        progress: called after every window.
        may_be_empty: a share of a map without imagery is no mistake; then no store is made.

    Raises:
        FeatureStoreError: a store of something else.
        OutputError: the store cannot be written, as on a full disk; what was done is kept.
        WindowError: no window has imagery.
        MapError: the map broke.
    """
    count = EncodeCount()
    store = None
    if (folder / HEADER_NAME).exists():
        header = header_for(grid, map_id, encoder, read_header(folder).tensors, window_px)
        store = FeatureStore.create(folder, header, resume_command=resume_command)
    try:
        for place in places:
            window_id = grid.window_id(place.left_px, place.top_px)
            known = store is not None and window_id in store
            if store is not None and known and store.is_intact(window_id):
                count.kept += 1
            else:
                window = grid.read(place.left_px, place.top_px, place.width_px, place.height_px)
                if not window.valid.any():
                    count.empty += 1
                else:
                    feature = encoder.encode(window)
                    if store is None:
                        layout = tensor_specs(feature.tensors)
                        header = header_for(grid, map_id, encoder, layout, window_px)
                        store = FeatureStore.create(folder, header, resume_command=resume_command)
                    store.write(feature)
                    count.encoded += 1
                    count.redone += known
            progress(count)
    finally:
        if store is not None:
            store.close()
    if count.encoded + count.kept == 0 and not may_be_empty:
        raise WindowError(
            "no window has imagery",
            expected="at least one window with imagery",
            found=f"{count.empty} windows without any",
            do="check --bbox, or look at the map with tilefix tiles info",
        )
    return count


def header_for(
    grid: PixelGrid,
    map_id: str,
    encoder: WindowEncoder,
    tensors: tuple[TensorSpec, ...],
    window_px: tuple[int, int],
) -> FeatureHeader:
    """The header of a store for the lattice of a grid."""
    return FeatureHeader(
        model_id=encoder.model_id,
        map_id=map_id,
        gsd_m=stored_gsd_m(grid.gsd_m),
        zoom=grid.zoom,
        tensors=tensors,
        window_px=window_px,
        step_px=STEP_PX,
        alignment_id=encoder.alignment_id,
    )


def open_features(
    folder: Path,
    *,
    model_id: str,
    map_id: str,
    grid: PixelGrid,
    alignment_id: str | None = None,
    origin: FeatureOrigin | None = None,
) -> FeatureStore:
    """Open a store for a flight over `grid`; `origin` knows the run, so that errors name it.

    Raises:
        FeatureStoreError: no store, or one of another model, map, sampling distance or alignment.
    """
    if origin is not None:
        origin.check(folder, map_id)
    store = FeatureStore.open(folder, model_id=model_id, map_id=map_id)
    header = store.header
    same_gsd = abs(header.gsd_m / grid.gsd_m - 1) < 1e-6
    if same_gsd and header.zoom == grid.zoom and alignment_id in (None, header.alignment_id):
        return store
    store.close()
    raise FeatureStoreError(
        f"the feature store {folder} was made with other settings",
        expected=f"{grid.gsd_m:.6g} m/px, zoom {grid.zoom}, alignment {alignment_id}",
        found=f"{header.gsd_m:.6g} m/px, zoom {header.zoom}, alignment {header.alignment_id}",
        do="encode the map again with this bundle, into a new folder"
        + ("" if origin is None else f": {origin.command()}"),
    )
