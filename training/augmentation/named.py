"""How samples are changed before training, by the name that a recipe gives.

    none     as they are
    detgeo   the window alone: safe crop p 0.2, quarter turns p 0.5, then noise 0.5, hue 0.3, one
             of blur and median 0.5, one of brightness and CLAHE 0.5, grey 0.2, gamma 0.3. The query
             and its click are never changed. [CODE of DetGeo; OCGNet and det_geo_2 have the same]
    trogeo   the window: safe crop p 0.4, a turn by 90, 180 or 270 degrees p 0.75, flips 0.5 each.
             The frame: mirrored with its click p 0.5, alone. No change of colour. [CODE of TROGeo]
    mogeo    as detgeo: MOGeo's paper does not say, its precursor's loader is DetGeo's [assumption]

All chance comes from the generator that is passed in, so a sample is changed the same way by the
same seed, in whatever thread. Boxes, clicks, polygons, masks, expected places and georeference move
with the pixels. Objects that are not present stay at zeros.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from edge.errors import UsageError
from training.augmentation import photometry
from training.augmentation.moves import (
    Move,
    View,
    flip_across,
    flip_down,
    move_frame,
    move_window,
    quarter_turn,
    safe_crop,
)
from training.augmentation.photometry import Tint
from training.datasets.sample import PairSample

Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class Chance(Generic[Step]):
    """A step that happens with a probability: one of its choices, drawn by weight."""

    probability: float
    choices: tuple[Step, ...]
    weights: tuple[float, ...] = ()  # empty: alike

    def draw(self, rng: np.random.Generator) -> Step | None:
        """The choice of this time; None: nothing happens."""
        if rng.random() >= self.probability:
            return None
        share = np.array(self.weights or (1.0,) * len(self.choices))
        return self.choices[rng.choice(len(self.choices), p=share / share.sum())]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Steps in their order: moves of the window, moves of the frame, tints of the window."""

    name: str
    window_moves: tuple[Chance[Move], ...] = ()
    frame_moves: tuple[Chance[Move], ...] = ()
    window_tints: tuple[Chance[Tint], ...] = ()

    def __call__(self, sample: PairSample, rng: np.random.Generator) -> PairSample:
        """A changed copy of a sample; sizes stay.

        Args:
            sample: what to change; its arrays are not written to.
            rng: source of all chance.
        """
        for move, chances in (
            (move_window, self.window_moves),
            (move_frame, self.frame_moves),
        ):
            steps = [step for chance in chances if (step := chance.draw(rng)) is not None]
            if steps:
                sample = move(sample, lambda view, steps=steps: _run(steps, view, rng))
        window = sample.window
        for chance in self.window_tints:
            tint = chance.draw(rng)
            window = window if tint is None else tint(window, rng)
        return sample if window is sample.window else replace(sample, window=window)


def augmentation(name: str) -> Augmentation:
    """The augmentation of a name.

    Raises:
        UsageError: there is none; the nearest is named.
    """
    if name in AUGMENTATIONS:
        return AUGMENTATIONS[name]
    near = difflib.get_close_matches(name, AUGMENTATIONS, n=1, cutoff=0.0)[0]
    raise UsageError(
        f"there is no augmentation {name!r}",
        expected=f"one of {', '.join(AUGMENTATIONS)}",
        found=repr(name),
        do=f"write {near!r} if that was meant",
    )


def _run(steps: list[Move], view: View, rng: np.random.Generator) -> View:
    for step in steps:
        view = step(view, rng)
    return view


def _turn_by_any(view: View, rng: np.random.Generator) -> View:
    return quarter_turn(view, int(rng.integers(4)))


def _one_quarter_turn(view: View, rng: np.random.Generator) -> View:
    return quarter_turn(view, 1)


def _half_turn(view: View, rng: np.random.Generator) -> View:
    return quarter_turn(view, 2)


def _three_quarter_turn(view: View, rng: np.random.Generator) -> View:
    return quarter_turn(view, 3)


def _mirror(view: View, rng: np.random.Generator) -> View:
    return flip_across(view)


def _upend(view: View, rng: np.random.Generator) -> View:
    return flip_down(view)


_DETGEO = Augmentation(
    "detgeo",
    window_moves=(Chance(0.2, (safe_crop,)), Chance(0.5, (_turn_by_any,))),
    window_tints=(
        Chance(0.5, (photometry.add_noise,)),
        Chance(0.3, (photometry.shift_hue,)),
        Chance(0.5, (photometry.blur, photometry.median_blur), (0.4, 0.3)),
        Chance(0.5, (photometry.change_brightness, photometry.equalize), (0.4, 0.3)),
        Chance(0.2, (photometry.to_grey,)),
        Chance(0.3, (photometry.change_gamma,)),
    ),
)
_TROGEO = Augmentation(
    "trogeo",
    window_moves=(
        Chance(0.4, (safe_crop,)),
        Chance(0.75, (_one_quarter_turn, _half_turn, _three_quarter_turn)),
        Chance(0.5, (_mirror,)),
        Chance(0.5, (_upend,)),
    ),
    frame_moves=(Chance(0.5, (_mirror,)),),
)
AUGMENTATIONS = {
    each.name: each
    for each in (Augmentation("none"), _DETGEO, _TROGEO, replace(_DETGEO, name="mogeo"))
}
