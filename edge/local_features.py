"""Local features of a picture: the XFeat graph behind one call, and frames warped before it.

XFeat bears no large turn or zoom: it matches within about 22 degrees and a factor of 1.4. So a
frame is first warped near the window's own pixels (`warp_to`), and its keypoints come back in the
pixels of the window's level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import BundleError, ExecutorError
from edge.matching import project
from edge.types import FILL_RGB, Bool, Float32, Float64, Uint8

SIDE_STEP_PX = 32  # the network halves five times
LEAST_SIDE_PX = 64
DESCRIPTOR_SIZE = 64
MOST_CANVAS_PX = 400_000  # a warped frame beyond this is made smaller: XFeat bears a zoom of 1.4
LEAST_DEPTH = 0.1  # of the deepest corner: beyond it the ground is ten times as small
_OUTPUTS = ("keypoint_xy_px", "descriptor", "score")


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """Keypoints of a picture, strongest first."""

    xy_px: Float64  # [N, 2], pixel corners on integers
    descriptor: Float32  # [N, 64] of unit length
    score: Float32  # [N]

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, slots=True)
class WarpedFrame:
    """A frame brought near the pixels of a window's level."""

    image: Uint8  # [H, W, 3]
    valid: Bool  # [H, W], False outside the frame
    to_level: Float64  # [3, 3], pixels of this picture -> pixels of the level


class FeatureExtractor:
    """The XFeat graph in ONNX Runtime (CPU)."""

    def __init__(self, graph_path: Path, *, threads: int = 2) -> None:
        """Load the graph.

        Raises:
            BundleError: no graph there, or not the graph of `export.xfeat`.
            ExecutorError: ONNX Runtime refuses the file.
        """
        import onnxruntime

        self.graph_path = Path(graph_path)
        if not self.graph_path.is_file():
            raise BundleError(
                "the graph of frame alignment is missing",
                expected="an ONNX file written by export.xfeat",
                found=f"no file {self.graph_path}",
                do="use a complete bundle, or run python -m export.xfeat PATH",
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Other sessions share the cores of a drone: idle threads must not spin.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(self.graph_path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises its own classes, without a common base
            raise ExecutorError(
                "ONNX Runtime refuses the graph of frame alignment",
                expected="an ONNX file written by export.xfeat",
                found=f"{self.graph_path}: {error}",
                do="use an unaltered bundle, or run python -m export.xfeat PATH",
            ) from error
        names = tuple(output.name for output in self._session.get_outputs())
        if names != _OUTPUTS:
            raise BundleError(
                "this graph is not the one of frame alignment",
                expected=f"outputs {', '.join(_OUTPUTS)}",
                found=f"{self.graph_path} with outputs {', '.join(names)}",
                do="use a complete bundle, or run python -m export.xfeat PATH",
            )

    def reserve(self) -> None:
        """Take the memory for warped frames now, and not in the midst of a flight.

        ONNX Runtime keeps what a run took, and takes more for every larger picture: by and by, some
        ten megabytes at a time. Taken is what the largest need, of sides up to 3 to 1; a longer
        one, which the sides' multiples make larger still, adds a little.
        """
        side_px = _padded(math.isqrt(MOST_CANVAS_PX)) + SIDE_STEP_PX
        self.extract(np.zeros((side_px, side_px, 3), np.uint8))

    def extract(
        self, image: Uint8, valid: Bool | None = None, *, most: int | None = None
    ) -> LocalFeatures:
        """Keypoints and descriptors of a picture of any size.

        Args:
            image: uint8 [H, W, 3] RGB.
            valid: bool [H, W]; no keypoint is born where it is False.
            most: keep only so many, the strongest.
        """
        height, width = image.shape[:2]
        rows, columns = _padded(height), _padded(width)
        canvas, mask = image, np.ones((rows, columns), np.uint8)
        if (rows, columns) != (height, width):
            canvas = np.empty((rows, columns, 3), np.uint8)
            canvas[:] = FILL_RGB
            canvas[:height, :width] = image
            mask[height:] = 0
            mask[:, width:] = 0
        if valid is not None:
            mask[:height, :width] = valid
        inputs = {"image": np.ascontiguousarray(canvas), "valid": mask}
        xy_px, descriptor, score = self._session.run(list(_OUTPUTS), inputs)
        count = int((score > 0.0).sum())
        count = count if most is None else min(count, most)
        return LocalFeatures(
            xy_px[:count].astype(np.float64), descriptor[:count].copy(), score[:count].copy()
        )


def _padded(side_px: int) -> int:
    return max(LEAST_SIDE_PX, -(-side_px // SIDE_STEP_PX) * SIDE_STEP_PX)


def corners_px(width_px: int, height_px: int) -> Float64:
    """Corners of a picture, clockwise from the origin. -> [4, 2]."""
    return np.array([[0, 0], [width_px, 0], [width_px, height_px], [0, height_px]], np.float64)


def warp_to(
    image: Uint8, to_level: Float64, *, bounds_px: tuple[float, float, float, float] | None = None
) -> WarpedFrame | None:
    """Draw a frame in the pixels of a window's level, as far as `bounds_px` reaches.

    A drawing finer than the frame, or larger than `MOST_CANVAS_PX`, is made smaller instead. The
    sky, and the ground far towards the horizon, are left out.

    Args:
        image: uint8 [H, W, 3].
        to_level: [3, 3], pixels of the frame -> pixels of the level; its depth is positive on the
            ground.
        bounds_px: left, top, right, bottom of the level; None: all of the frame.

    Returns:
        None where nothing of the frame lies inside, or the transform cannot be drawn.
    """
    height, width = image.shape[:2]
    corners = corners_px(width, height)
    depth = np.column_stack([corners, np.ones(4)]) @ to_level[2]
    least = LEAST_DEPTH * float(depth.max())
    outline = _nearer(corners, depth, least)
    if least <= 0.0 or len(outline) < 3:
        return None  # nothing but sky
    drawn = project(to_level, outline)
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    if bounds_px is not None:
        low = np.maximum(low, bounds_px[:2])
        high = np.minimum(high, bounds_px[2:])
    extent = high - low
    if not np.isfinite(extent).all() or extent.min() < 32.0:
        return None
    # Level pixels per frame pixel.
    zoom = np.sqrt(abs(_area(drawn)) / abs(_area(outline)))
    if outline is not corners:  # far ground is vast, and not what counts
        zoom = _zoom_at(to_level, outline.mean(axis=0))
    shrink = min(1.0, 1.0 / zoom, float(np.sqrt(MOST_CANVAS_PX / extent.prod())))
    columns, rows = (int(n) for n in np.ceil(extent * shrink))
    canvas_to_level = np.array([[1 / shrink, 0, low[0]], [0, 1 / shrink, low[1]], [0, 0, 1.0]])

    source, from_frame = _reduced(image, zoom * shrink)
    matrix = np.linalg.inv(canvas_to_level) @ to_level @ np.linalg.inv(from_frame)
    # OpenCV puts the centre of the first pixel at (0, 0); here it is at (0.5, 0.5).
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    matrix = np.linalg.inv(half) @ matrix @ half
    warped = cv2.warpPerspective(
        source, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderValue=FILL_RGB
    )
    ground = np.full(source.shape[:2], 255, np.uint8)
    if outline is not corners:
        ground[:] = 0
        kept = np.floor(project(from_frame, outline)).astype(np.int32)
        cv2.fillConvexPoly(ground, kept, 255)
    mask = cv2.warpPerspective(ground, matrix, (columns, rows), flags=cv2.INTER_LINEAR)
    mask = cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=0)
    return WarpedFrame(np.asarray(warped, np.uint8), np.asarray(mask > 254), canvas_to_level)


def _nearer(polygon: Float64, depth: Float64, least: float) -> Float64:
    """The part of a convex polygon [N, 2] of at least that depth; itself where that is all."""
    if depth.min() >= least:
        return polygon
    kept = []
    for index in range(len(polygon)):
        here, before = depth[index] - least, depth[index - 1] - least
        if here * before < 0:  # the edge from the corner before crosses
            share = before / (before - here)
            kept.append(polygon[index - 1] + share * (polygon[index] - polygon[index - 1]))
        if here >= 0:
            kept.append(polygon[index])
    return np.array(kept, np.float64).reshape(-1, 2)


def _zoom_at(matrix: Float64, xy: Float64) -> float:
    """Root of the local change of area."""
    depth = float(matrix[2] @ np.append(xy, 1.0))
    return float(np.sqrt(abs(np.linalg.det(matrix) / depth**3)))


def _reduced(image: Uint8, zoom: float) -> tuple[Uint8, Float64]:
    """The frame at about `zoom` of its size without aliasing, and the transform to it."""
    height, width = image.shape[:2]
    if zoom > 0.8:
        return image, np.eye(3)
    size = max(8, round(width * zoom)), max(8, round(height * zoom))
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8), np.diag([size[0] / width, size[1] / height, 1.0])


def _area(polygon: Float64) -> float:
    """Signed area of a polygon [N, 2], positive where it is not mirrored."""
    following = np.roll(polygon, -1, axis=0)
    return float(0.5 * (polygon[:, 0] * following[:, 1] - polygon[:, 1] * following[:, 0]).sum())
