"""Crops, turns and flips of a picture together with all that is marked on it.

The pixels, boxes, masks and points are moved by torchvision.transforms.v2, each as the tensor type
that it has for them. Its key points count from pixel centres in flips and from pixel corners in
turns and resizes; here all points count from corners, as everywhere in this project, so a flip
shifts them by half a pixel and back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge.geodesy import AffineGeometry
from edge.types import WindowGeometry
from training.datasets.sample import PairSample
from training.vision_ops import import_torchvision

EROSION = 0.2  # share of a box's side that a safe crop may cut off at each end
HALF_PX = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """A picture and what is marked on it, as torchvision's tensor types; corners at integers."""

    image: Any  # tv_tensors.Image [3, H, W] uint8
    boxes: Any  # tv_tensors.BoundingBoxes [N, 4] float32, XYXY
    points: Any  # tv_tensors.KeyPoints [K, 2] float32
    masks: Any  # tv_tensors.Mask [M, H, W] uint8; M 0: none

    @property
    def size_hw_px(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[-2], self.image.shape[-1]

    def moved(self, move: Callable[[Any], Any], *, about_centres: bool = False) -> View:
        """The same move on all parts.

        Args:
            move: a functional of torchvision.transforms.v2 with its parameters.
            about_centres: whether it takes points as counted from pixel centres.
        """
        shift = HALF_PX if about_centres else 0.0
        tv_tensors = _tensor_types()
        points = move(tv_tensors.wrap(self.points - shift, like=self.points))
        return View(
            image=move(self.image),
            boxes=move(self.boxes),
            points=tv_tensors.wrap(points + shift, like=points),
            masks=move(self.masks) if len(self.masks) else self.masks,
        )


Move = Callable[[View, np.random.Generator], View]


def quarter_turn(view: View, quarters: int) -> View:
    """Turn counterclockwise by `quarters` of a full turn; no pixel is interpolated."""
    functional = _functional()
    return view.moved(lambda part: functional.rotate(part, 90.0 * (quarters % 4), expand=True))


def flip_across(view: View) -> View:
    """Mirror left and right."""
    return view.moved(_functional().horizontal_flip, about_centres=True)


def flip_down(view: View) -> View:
    """Mirror top and bottom."""
    return view.moved(_functional().vertical_flip, about_centres=True)


def safe_crop(view: View, rng: np.random.Generator) -> View:
    """Crop anywhere around the boxes and stretch to the old size, so the aspect may change.

    The crop's edges are uniform between the picture's edges and those of the box around all boxes,
    each first eroded by EROSION on every side: a fifth of an object may be cut off at each end.
    Boxes are then clipped to the picture. Without boxes nothing happens. After albumentations'
    RandomSizedBBoxSafeCrop(erosion_rate=0.2), the first step of DetGeo's recipe.
    """
    if not len(view.boxes):
        return view
    height, width = view.size_hw_px
    low, high = view.boxes[:, :2].double(), view.boxes[:, 2:].double()  # [N, 2]
    margin = EROSION * (high - low)
    size = torch.tensor([width, height], dtype=torch.float64)
    first = (low + margin).amin(0).clamp_min(0).minimum(size - 1)
    last = (high - margin).amax(0).minimum(size).maximum(first + 1)
    u = torch.from_numpy(rng.random(4))
    left, top = (first * u[:2]).floor().int().tolist()
    right, bottom = (last + (size - last) * u[2:]).ceil().int().tolist()
    functional = _functional()
    cropped = view.moved(
        lambda part: functional.resized_crop(
            part, top, left, bottom - top, right - left, [height, width]
        )
    )
    return replace(
        cropped, boxes=functional.clamp_bounding_boxes(cropped.boxes, clamping_mode="hard")
    )


def move_window(sample: PairSample, move: Callable[[View], View]) -> PairSample:
    """Move a sample's window with its boxes, polygons, masks, expected places and georeference.

    The georeference of another kind than `AffineGeometry` is dropped: it cannot be turned.
    """
    height, width = sample.window.shape[:2]
    frame_of = np.array([[0, 0], [width, 0], [0, height]], np.float32)  # carries the georeference
    polygons = sample.polygon_xy_px
    corners = np.zeros((0, 2), np.float32) if polygons is None else polygons.reshape(-1, 2)
    points = np.concatenate([frame_of, sample.expected_xy_px, corners]).astype(np.float32)
    before = _view(sample.window, sample.box_xyxy_px[sample.present], points, sample.mask)
    after = move(before)
    moved = np.asarray(after.points)
    boxes = np.zeros_like(sample.box_xyxy_px)
    boxes[sample.present] = np.asarray(after.boxes)
    count = len(sample.expected_xy_px)
    return replace(
        sample,
        window=_image(after),
        box_xyxy_px=boxes,
        expected_xy_px=moved[3 : 3 + count],
        polygon_xy_px=None if polygons is None else moved[3 + count :].reshape(polygons.shape),
        mask=None if sample.mask is None else np.asarray(after.masks).astype(bool),
        geometry=_moved_geometry(sample.geometry, moved[:3], (width, height)),
    )


def move_frame(sample: PairSample, move: Callable[[View], View]) -> PairSample:
    """Move a sample's frame with its clicks."""
    no_boxes = np.zeros((0, 4), np.float32)
    after = move(_view(sample.frame, no_boxes, sample.click_xy_px, None))
    return replace(sample, frame=_image(after), click_xy_px=np.asarray(after.points))


def _tensor_types() -> Any:
    import_torchvision()
    from torchvision import tv_tensors

    return tv_tensors


def _functional() -> Any:
    import_torchvision()
    from torchvision.transforms.v2 import functional

    return functional


def _view(
    image: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    points: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
) -> View:
    tv_tensors = _tensor_types()
    size = image.shape[:2]
    plain = np.zeros((0, *size), np.uint8) if mask is None else mask.astype(np.uint8)
    return View(
        image=tv_tensors.Image(torch.from_numpy(_writable(image)).permute(2, 0, 1)),
        boxes=tv_tensors.BoundingBoxes(
            torch.from_numpy(boxes.astype(np.float32)),
            format="XYXY",
            canvas_size=size,
            clamping_mode=None,  # a box that the data set lets hang over keeps its size
        ),
        points=tv_tensors.KeyPoints(torch.from_numpy(points.astype(np.float32)), canvas_size=size),
        masks=tv_tensors.Mask(torch.from_numpy(plain)),
    )


def _writable(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same array, or a copy where torch would warn that it cannot be written to."""
    return np.require(image, requirements=["C", "W"])


def _image(view: View) -> NDArray[np.uint8]:
    return np.ascontiguousarray(view.image.permute(1, 2, 0).numpy())


def _moved_geometry(
    geometry: WindowGeometry | None, frame_of: NDArray[np.float32], size_wh_px: tuple[int, int]
) -> AffineGeometry | None:
    """The georeference of the moved window, from where its origin and two corners went."""
    if not isinstance(geometry, AffineGeometry):
        return None
    origin, right, down = frame_of.astype(np.float64)
    moved = np.eye(3)  # old pixel -> new pixel
    moved[:2, 0] = (right - origin) / size_wh_px[0]
    moved[:2, 1] = (down - origin) / size_wh_px[1]
    moved[:2, 2] = origin
    x0, dx_col, dx_row, y0, dy_col, dy_row = geometry.geotransform
    world = np.array([[dx_col, dx_row, x0], [dy_col, dy_row, y0]]) @ np.linalg.inv(moved)
    (a, b, x), (c, d, y) = world.tolist()
    return AffineGeometry((x, a, b, y, c, d), geometry.epsg)
