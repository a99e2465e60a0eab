"""Why a picture is left out of a selection."""

from __future__ import annotations

from enum import Enum


class PoorImage(str, Enum):
    """A reason, as selection.json and the contact sheet name it."""

    UNREADABLE = "unreadable"  # no decoder understands it, or it breaks off
    BLACK = "black"
    CONSTANT = "constant"  # one colour all over: a lens cap, a white sky, open water on a map
    BLURRED = "blurred"  # against the other pictures of its own source
    DUPLICATE = "near-duplicate"  # of a picture that was kept
    NO_IMAGERY = "too little imagery"  # windows only


WHAT_IT_MEANS: dict[PoorImage, str] = {
    PoorImage.UNREADABLE: "cannot be decoded",
    PoorImage.BLACK: "are black",
    PoorImage.CONSTANT: "are one colour all over",
    PoorImage.BLURRED: "are blurred against the rest of their source",
    PoorImage.DUPLICATE: "show the same as another",
    PoorImage.NO_IMAGERY: "have too little imagery",
}
