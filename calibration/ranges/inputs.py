"""What the graphs are fed for calibration: the pictures of a selection, with seeded clicks.

The encoder takes the windows. The localizer takes the frames, each with four clicks inside the
picture (never in the border of the letterbox), the features of one of at most sixteen windows, and
no prior. Clicks and windows depend on the seed and on the pixels of the frame alone, so they are
the same for every shard and in every order. Only what the wanted tensors depend on is made: `lite`
needs the frame alone, DetGeo its clicks too, AttenGeo and TROGeo the features as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.ranges.features import StoredFeatures
from calibration.ranges.observing import Feed
from calibration.selection.record import ChosenImage, SelectionFolder
from edge.bundle import Bundle
from edge.errors import CalibrationError
from edge.letterbox import inverse_affine
from edge.types import Array, Float32

CLICKS = 4  # per frame: activations behind the click are seen for this many, with the frame's own
_SEED = ", seed "
PER_FRAME = ("frame", "frame_affine", "click_xy_px", "prior_xy_px", "prior_inv_var")


def preprocessing(seed: int) -> str:
    """The feeding in words: a part of the identity of histograms and ranges."""
    return f"inputs/1: uint8 RGB as selected, {CLICKS} clicks a frame, no prior{_SEED}{seed}"


def unseeded(words: str) -> str:
    """A feeding without its seed: another draw of clicks is compared with, not refused."""
    return words.partition(_SEED)[0]


def encoder_feeds(folder: SelectionFolder) -> tuple[Feed, ...]:
    """The windows of a selection: image uint8 [H, W, 3].

    Raises:
        CalibrationError: there are none.
    """
    _check_any(folder, folder.windows, "window")
    return tuple(_Window(folder, image).feed() for image in folder.windows)


def localizer_feeds(
    bundle: Bundle,
    folder: SelectionFolder,
    needs: Sequence[str],
    work: Path,
    seed: int = 0,
    threads: int = 2,
) -> tuple[Feed, ...]:
    """The frames of a selection with all that the graph's observer needs.

    Args:
        bundle: its fp32 encoder makes the features, where they are needed.
        folder: the selection.
        needs: `needed_inputs` of the localizer for the wanted tensors.
        work: folder for the features; a shard may find there what another one encoded.
        seed: of clicks and windows.
        threads: for encoding.

    Raises:
        CalibrationError: no frames, or no windows although features are needed; a frame without
            an affine.
        OutputError: the features cannot be written.
    """
    _check_any(folder, folder.frames, "frame")
    names = tuple(name for name in needs if name not in PER_FRAME)
    features: StoredFeatures | None = None
    if names:
        _check_any(folder, folder.windows, "window")
        features = StoredFeatures.make(bundle, folder, names, work, seed, threads)
    wanted = tuple(needs)
    return tuple(_Frame(folder, image, wanted, features, seed).feed() for image in folder.frames)


def seeded_clicks(image: ChosenImage, frame_px: tuple[int, int], seed: int) -> Float32:
    """Clicks of one frame in pixels of the camera, float32 [4, 2].

    They are even over the picture inside its letterbox, one pixel from its edges at least. Where
    the letterbox was rounded to whole pixels, one more pixel on the far side is left out.

    Raises:
        CalibrationError: the frame has no affine, or it leaves no room.
    """
    affine = _affine(image)
    size = np.array(frame_px, np.float64)
    offset = affine[:, 2].astype(np.float64)  # left and top border
    lowest, highest = offset + 1, size - offset - 2
    if not (lowest < highest).all():
        raise _odd_affine(image)
    fitted = lowest + _random(image, seed).random((CLICKS, 2)) * (highest - lowest)
    back = inverse_affine(affine)
    return (fitted @ back[:, :2].T + back[:, 2]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Window:
    folder: SelectionFolder
    image: ChosenImage

    def feed(self) -> Feed:
        return Feed(self.image.file, self.image.sha256, self.read)

    def read(self) -> Mapping[str, Array]:
        return {"image": self.folder.read(self.image)}


@dataclass(frozen=True, slots=True)
class _Frame:
    folder: SelectionFolder
    image: ChosenImage
    needs: tuple[str, ...]
    features: StoredFeatures | None
    seed: int

    def feed(self) -> Feed:
        return Feed(self.image.file, self.image.sha256, self.read)

    def read(self) -> Mapping[str, Array]:
        """What the observer needs of this frame, and no more."""
        made: dict[str, Array] = {"frame": self.folder.read(self.image)}
        if "frame_affine" in self.needs or "click_xy_px" in self.needs:
            made["frame_affine"] = _affine(self.image)
            size = self.folder.selection.frame_px
            made["click_xy_px"] = seeded_clicks(self.image, size, self.seed)
        made["prior_xy_px"] = np.zeros((CLICKS, 2), np.float32)
        made["prior_inv_var"] = np.zeros(CLICKS, np.float32)
        if self.features is not None:
            draw = _random(self.image, self.seed + 1)
            made |= self.features.read(int(draw.integers(self.features.count)))
        return {name: made[name] for name in self.needs}


def _random(image: ChosenImage, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, int(image.sha256[:16], 16)])


def _affine(image: ChosenImage) -> Float32:
    if len(image.frame_affine) != 6:
        raise _odd_affine(image)
    return np.array(image.frame_affine, np.float32).reshape(2, 3)


def _odd_affine(image: ChosenImage) -> CalibrationError:
    return CalibrationError(
        f"the frame {image.file} of the selection cannot be clicked",
        expected="the six numbers of a letterbox, with a picture inside it",
        found=f"frame_affine {list(image.frame_affine)}",
        do="select frames again with this version of tilefix",
    )


def _check_any(folder: SelectionFolder, images: Sequence[ChosenImage], kind: str) -> None:
    if not images:
        raise CalibrationError(
            f"the selection {folder.path} holds no {kind}",
            expected=f"at least one {kind}: its graph is calibrated on these",
            found="none",
            do="select from flights and from the map: tilefix calibrate --frames ... --tiles ...",
        )
