"""Warnings of torch's ONNX exporter that say nothing to whoever exports a model."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

SILENCED = (
    (FutureWarning, r"`isinstance\(treespec, LeafSpec\)` is deprecated"),  # torch about itself
    # Two inputs share a number of clicks, as they should: one name is enough.
    (UserWarning, r"# The axis name: .* will not be used, since it shares the same shape"),
)


@contextlib.contextmanager
def quiet_torch() -> Iterator[None]:
    """Keep these warnings back; every other one is shown."""
    with warnings.catch_warnings():
        for category, text in SILENCED:
            warnings.filterwarnings("ignore", text, category)
        yield
