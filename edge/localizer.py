"""The two verbs of a model: encode a window once, locate the clicks of a frame in it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import numpy as np

from edge.acceptance import AcceptanceModel
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.centre_spread import click_sigma_px, open_spread
from edge.click_parts import run_in_parts
from edge.coverage import TENSOR, cell_coverage, coverage_at
from edge.devices.base import DeviceOptions
from edge.errors import ExecutorError, FeatureStoreError, WindowError
from edge.executors.base import Executor, open_executor
from edge.executors.graph_inputs import check_inputs
from edge.executors.host_threads import ALONE, HostThreads
from edge.executors.localizer_parts import LocalizerInParts
from edge.feature_quantization import SCALE
from edge.fitted_frames import FittedFrames
from edge.fix_building import fixes_of
from edge.letterbox import Letterbox
from edge.placement import place
from edge.precisions import graph_precision, judged_form_note
from edge.request import checked_positions, checked_prior, click_positions
from edge.types import (
    Array,
    Click,
    Fix,
    Float32,
    Frame,
    Localizations,
    Prior,
    ReferenceFeature,
    ReferenceWindow,
    Timings,
    Uint8,
)

NUMBERS = (
    "box_xyxy_px",
    "confidence_logit",
    "peak_similarity",
    "second_peak_similarity",
    "cell_similarity",
)


class Localizer:
    """A bundle in an executor. One thread at a time, but for `prepare`; the encoder loads late."""

    def __init__(
        self,
        bundle: Bundle,
        executor: str,
        precision: str,
        threads: int,
        device: DeviceOptions | None = None,
        host: HostThreads = ALONE,
    ) -> None:
        self.bundle = bundle
        self.model_id = bundle.encoder_id(precision)  # features must carry the same
        self._opened_with = precision, threads, device, host
        self.acceptance = AcceptanceModel.from_spec(bundle.manifest.acceptance)
        self._executor = open_executor(executor, bundle, LOCALIZER, *self._opened_with)
        self.clock = self._executor.clock  # what the runs of the localizer graph took so far
        self._encoder: Executor | None = None
        self._bound: ReferenceFeature | None = None
        keep = self._executor.keep_frame if isinstance(self._executor, LocalizerInParts) else None
        size = bundle.manifest.frame
        self._frames = FittedFrames(size.width_px, size.height_px, keep)
        self._spread = open_spread(bundle, precision)
        self._feature_names = tuple(feature.name for feature in bundle.manifest.features)
        check_inputs(bundle, self._executor)

    @staticmethod
    def open(
        bundle: Bundle | str | os.PathLike[str],
        executor: str = "onnxruntime",
        precision: str = "fp32",
        threads: int = 2,
        device: DeviceOptions | None = None,
        host: HostThreads = ALONE,
    ) -> Localizer:
        """Open a bundle, or the folder of one, in the named executor and precision, or not at all.

        `device` says how an executor on a GPU uses it; None: by the defaults. See `open_executor`
        for `host`.

        Raises:
            BundleError: a broken bundle, or one without that precision.
            ExecutorError: an executor that is not there, or that refuses the graph.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        form = graph_precision(precision, executor)
        return Localizer(opened, executor, form, threads, device, host)

    @property
    def executor(self) -> str:
        """Name of the executor that locates."""
        return self._executor.name

    @property
    def precision(self) -> str:
        """Precision of the graphs."""
        return self._executor.precision

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the executors, such as an engine of another board."""
        judged = judged_form_note(self.bundle.manifest.scores, self.precision)
        encoder = self._encoder.notes if self._encoder else ()
        return (*([judged] if judged else ()), *self._executor.notes, *encoder)

    def encode(self, window: ReferenceWindow) -> ReferenceFeature:
        """Run the reference encoder on one window, [H, W, 3] of exactly the bundle's size.

        Raises:
            WindowError: the window has another size.
        """
        size = self.bundle.manifest.window
        wanted = size.height_px, size.width_px, 3
        if window.image.shape != wanted or window.image.dtype != np.uint8:
            high, wide = window.image.shape[:2]
            raise WindowError(
                f"window {window.window_id} does not fit the bundle {self.bundle.manifest.name}",
                expected=f"{size.width_px} x {size.height_px} px: uint8 {list(wanted)}",
                found=f"{wide} x {high} px: {window.image.dtype.name} {list(window.image.shape)}",
                do="read the window with the width and height of the bundle's manifest",
            )
        if self._encoder is None:
            self._encoder = open_executor(self.executor, self.bundle, ENCODER, *self._opened_with)
        image = np.ascontiguousarray(window.image)
        tensors = self._encoder.run({"image": image}, self._feature_names)
        cells = cell_coverage(window.valid, self.bundle.manifest.head.stride_px)
        return ReferenceFeature(
            tensors={**tensors, TENSOR: cells},
            geometry=window.geometry,
            width_px=size.width_px,
            height_px=size.height_px,
            window_id=window.window_id,
            map_id=window.map_id,
            model_id=self.model_id,
            coverage=window.coverage,
            imagery_ce90_m=window.imagery_ce90_m,
        )

    def prepare(self, feature: ReferenceFeature) -> None:
        """Have ready what a first look into a window costs beyond later ones; by another thread.

        Any thread may do so beside the one that locates. Only a localizer in parts, on the CPU, has
        anything to prepare; another one is not touched.

        Raises:
            FeatureStoreError: the feature was made by another model, where it is looked at.
        """
        if isinstance(self._executor, LocalizerInParts):
            self._executor.prepare(self._tensors_of(feature))

    def begin(self, frame: Frame) -> None:
        """Begin what needs a frame alone, where threads apart can; `localize` of it goes on.

        Raises:
            SourceError, ExecutorError: see `locate` and `Executor.run`.
        """
        if isinstance(self._executor, LocalizerInParts) and self._executor.apart:
            self._frames.of_frame(frame)

    def locate(
        self,
        frame_image: Uint8,
        click_xy_px: Float32,
        feature: ReferenceFeature,
        prior: Prior | None = None,
        *,
        attention: bool = False,
    ) -> Localizations:
        """Locate N clicks of a frame in an encoded window; numbers only.

        Args:
            frame_image: RGB uint8 [H, W, 3], any size.
            click_xy_px: [N, 2], pixels of that frame.
            feature: the window; its tensors are read where they lie, never copied.
            prior: what is known beforehand of the N clicks; None: nothing.
            attention: also return the similarity of every cell, [N, Hg, Wg].

        Raises:
            ClickError: no clicks, clicks that are not numbers, or outside the frame.
            FeatureStoreError: the feature was made by another model.
            UsageError: a prior of another length, or one that is not made of numbers.
            SourceError: a frame that is not an RGB picture.
        """
        fitted = self._frames.of_image(frame_image)
        clicks = checked_positions(click_xy_px, frame_image)
        known = checked_prior(prior, len(clicks))
        return self._run(fitted, clicks, feature, known, attention)

    def localize(
        self,
        frame: Frame,
        clicks: Sequence[Click],
        feature: ReferenceFeature,
        prior: Prior | None = None,
    ) -> list[Fix]:
        """Locate the clicks of a frame in a window, on the Earth, with a verdict, in their order.

        A fix that is not accepted still carries its box and position, the best guess, for display
        and for scoring: read its verdict first. Boxes may reach beyond the window (see
        `edge.placement.place`; `edge.centre_spread` states the error radius). Without a geometry
        there is no position, only pixels.

        A `Frame` that is asked about again, in another window, is not read again: its picture must
        stay what it was.

        Raises:
            ClickError: no clicks, two of one id, not numbers, or outside the frame.
            FeatureStoreError, UsageError, SourceError: see `locate`.
        """
        start_s, fitted = time.perf_counter(), self._frames.of_frame(frame)
        xy_px = click_positions(clicks, frame.image, f"frame {frame.index}")
        known = checked_prior(prior, len(clicks))
        fitted_s = time.perf_counter()
        found = self._run(fitted, xy_px, feature, known, attention=False)
        located_s = time.perf_counter()
        click_px = click_sigma_px(self.bundle.manifest, frame.pose, fitted, feature)
        sigma_px = self._spread.sigma_px(found.box_xyxy_px, known.inv_var, click_px)
        places = place(found.box_xyxy_px, feature, sigma_px)
        imagery = coverage_at(feature, found.box_xyxy_px, self.bundle.manifest.head.stride_px)
        judged = self.acceptance.judge(found, known, feature.coverage, imagery)
        timings = Timings(
            preprocess_ms=1e3 * (fitted_s - start_s),
            localize_ms=1e3 * (located_s - fitted_s),
            total_ms=1e3 * (time.perf_counter() - start_s),
        )
        return fixes_of(
            found,
            judged,
            places,
            known,
            frame=frame,
            clicks=clicks,
            window_id=feature.window_id,
            made_by=(self.executor, self.precision),
            timings=timings,
        )

    def _run(
        self,
        fitted: Letterbox,
        click_xy_px: Float32,
        feature: ReferenceFeature,
        prior: Prior,
        attention: bool,
    ) -> Localizations:
        """The localizer graph on checked inputs."""
        if feature is not self._bound:  # the same window as for the last frame stays bound
            self._bound = None
            self._executor.bind(self._tensors_of(feature))
            self._bound = feature
        inputs: dict[str, Array] = {
            "frame": fitted.image,
            "frame_affine": fitted.affine,
            "click_xy_px": click_xy_px,
            "prior_xy_px": prior.xy_px,
            "prior_inv_var": prior.inv_var,
        }
        names = (*NUMBERS, "attention") if attention else NUMBERS
        found = Localizations(**run_in_parts(self._executor, inputs, names))
        numbers = found.box_xyxy_px, found.confidence_logit, found.peak_similarity
        if not all(np.isfinite(each).all() for each in numbers):
            raise ExecutorError(
                f"the model {self.bundle.manifest.name} returned boxes that are not numbers",
                expected="finite boxes, confidences and similarities",
                found=f"boxes {found.box_xyxy_px.tolist()}, window {feature.window_id}",
                do="encode this window again; if that does not help, run with precision fp32",
            )
        return found

    def _tensors_of(self, feature: ReferenceFeature) -> dict[str, Array]:
        """The tensors that the graph takes, out of all that are cached for a window."""
        size = self.bundle.manifest.window
        missing = [name for name in self._feature_names if name not in feature.tensors]
        wanted = f"model {self.model_id}, {size.width_px} x {size.height_px} px"
        found = f"model {feature.model_id}, {feature.width_px} x {feature.height_px} px"
        if wanted != found or missing:
            raise FeatureStoreError(
                f"the feature of window {feature.window_id} was not made by the bundle "
                f"{self.bundle.manifest.name} in {self.precision}",
                expected=f"{wanted}, with {', '.join(self._feature_names)}",
                found=found + (f", without {', '.join(missing)}" if missing else ""),
                do="encode the map again with this bundle: tilefix tiles encode",
            )
        names = [each for name in self._feature_names for each in (name, name + SCALE)]
        return {name: feature.tensors[name] for name in names if name in feature.tensors}
