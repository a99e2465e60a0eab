"""Parts of a run that need no model: a plain map, a localizer that knows the answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.feature_cache import FeatureCache
from edge.geodesy import MercatorGeometry
from edge.types import (
    Click,
    Fix,
    Frame,
    Prior,
    PriorSource,
    ReferenceFeature,
    ReferenceWindow,
    Timings,
    Verdict,
)

ZOOM = 19
WORLD_PX = 256 * 2**ZOOM
LEFT_PX, TOP_PX = 69_881_856, 47_206_912  # on the lattice, near 7.43 E 47.00 N
GSD_M = 0.2036


class PlainGrid:
    """A map of 4096 x 4096 px of noise whose north-west corner is (LEFT_PX, TOP_PX)."""

    gsd_m = GSD_M
    zoom = ZOOM

    def __init__(self, side_px: int = 4096, covered: bool = True) -> None:
        self.extent_px = (LEFT_PX, TOP_PX, LEFT_PX + side_px, TOP_PX + side_px)
        self.covered = covered
        self.reads: list[tuple[int, int, int, int]] = []

    def geometry(self, left_px: float, top_px: float) -> MercatorGeometry:
        return MercatorGeometry(ZOOM, left_px, top_px)

    def window_id(self, left_px, top_px) -> str:
        return f"z{ZOOM}/x{left_px}/y{top_px}"

    def read(self, left_px, top_px, width_px=1024, height_px=1024) -> ReferenceWindow:
        self.reads.append((left_px, top_px, width_px, height_px))
        image = np.full((height_px, width_px, 3), (90, 120, 80), np.uint8)
        image[::32] = image[:, ::32] = 60
        return ReferenceWindow(
            image=image,
            valid=np.full((height_px, width_px), self.covered),
            geometry=self.geometry(left_px, top_px),
            window_id=self.window_id(left_px, top_px),
            map_id="f" * 64,
        )

    def lon_lat_deg(self, x_px: float, y_px: float) -> tuple[float, float]:
        """WGS84 of a pixel of the map, counted from its north-west corner."""
        at = np.array([[x_px, y_px]], np.float64)
        lon, lat = self.geometry(LEFT_PX, TOP_PX).lon_lat_deg(at)[0].tolist()
        return lon, lat


class FakeLocalizer:
    """Finds an object where `objects` says it is (map pixels), else nothing; keeps its priors."""

    executor = "fake"
    precision = "fp32"

    def __init__(self, objects: dict[str, tuple[float, float]] | None = None) -> None:
        self.objects = objects or {}
        self.calls: list[tuple[str, tuple[str, ...], Prior | None]] = []
        self.encoded: list[str] = []
        self.begun: list[Frame] = []

    def begin(self, frame: Frame) -> None:
        self.begun.append(frame)

    def encode(self, window: ReferenceWindow) -> ReferenceFeature:
        self.encoded.append(window.window_id)
        return ReferenceFeature(
            tensors={"v": np.zeros((1, 1, 1), np.float16)},
            geometry=window.geometry,
            width_px=window.image.shape[1],
            height_px=window.image.shape[0],
            window_id=window.window_id,
            map_id=window.map_id,
            model_id="m" * 64,
            coverage=window.coverage,
        )

    def prepare(self, feature: ReferenceFeature) -> None:
        """Nothing here depends on the window alone."""

    def localize(
        self,
        frame: Frame,
        clicks: Sequence[Click],
        feature: ReferenceFeature,
        prior: Prior | None = None,
    ) -> list[Fix]:
        self.calls.append((feature.window_id, tuple(c.click_id for c in clicks), prior))
        return [self._fix(frame, click, feature, prior) for click in clicks]

    def _fix(self, frame: Frame, click: Click, feature: ReferenceFeature, prior) -> Fix:
        geometry = feature.geometry
        assert isinstance(geometry, MercatorGeometry)
        x, y = self.objects.get(click.click_id, (-1e6, -1e6))
        x, y = x + LEFT_PX - geometry.left_px, y + TOP_PX - geometry.top_px
        inside = 0 <= x <= feature.width_px and 0 <= y <= feature.height_px
        # Best amid the window, so that the choice among windows can be told.
        away = max(abs(x - feature.width_px / 2), abs(y - feature.height_px / 2))
        probability = 0.9 - 0.4 * away / feature.width_px if inside else 0.05
        if not inside:
            x, y = 10.0, 10.0
        verdict = Verdict.ACCEPTED if inside else Verdict.NOT_HERE
        if feature.coverage < 0.25:
            verdict, probability = Verdict.NO_COVERAGE, 0.99
        lon, lat = geometry.lon_lat_deg(np.array([[x, y]], np.float64))[0].tolist()
        around = np.array([[x - 9, y - 7], [x + 9, y - 7], [x + 9, y + 7], [x - 9, y + 7]])
        return Fix(
            click_id=click.click_id,
            click_xy_px=(click.x_px, click.y_px),
            frame_index=frame.index,
            frame_source=frame.source,
            capture_time_s=frame.time_s,
            window_id=feature.window_id,
            box_xyxy_px=(x - 9, y - 7, x + 9, y + 7),
            lon_lat_deg=(lon, lat),
            corners_lon_lat_deg=tuple((a, b) for a, b in geometry.lon_lat_deg(around).tolist()),
            error_radius_m=4.0,
            acceptance_probability=probability,
            verdict=verdict,
            reason="because",
            prior_source=prior.source if prior is not None else PriorSource.NONE,
            prior_inliers=prior.inliers if prior is not None else 0,
            executor=self.executor,
            precision=self.precision,
            timings=Timings(preprocess_ms=1.0, localize_ms=2.0, total_ms=3.0),
        )


def frame(index: int = 0, time_s: float = 0.0, wide: int = 64, high: int = 48) -> Frame:
    """A grey frame."""
    image = np.full((high, wide, 3), 128, np.uint8)
    return Frame(image, index, time_s, f"frames/{index:03d}.jpg")


def cache(localizer: FakeLocalizer, grid: PlainGrid, **more) -> FeatureCache:
    """A cache that encodes by the fake."""
    return FeatureCache(localizer, grid, **more)
