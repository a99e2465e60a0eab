"""One file for each model, over shared blocks; `build` constructs any of them by name."""

from __future__ import annotations

from typing import Any

from training.models.lite import Lite, LiteOptions

NAMES = ("lite",)


def build(name: str, **options: Any) -> Lite:
    """Construct a model by name.

    Args:
        name: one of `NAMES`.
        options: fields of the model's options class, `LiteOptions` for `lite`.

    Raises:
        ValueError: an unknown name or option.
    """
    if name != "lite":
        raise ValueError(f"unknown model {name!r}; known: {', '.join(NAMES)}")
    try:
        return Lite(LiteOptions(**options))
    except TypeError as error:
        raise ValueError(f"model {name!r}: {error}") from error
