"""Damage to a bundle, and the error that must answer it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.bundle import Bundle
from edge.errors import BundleError


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "bundle.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def refusal(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    error = caught.value
    assert all((error.what, error.expected, error.found, error.do))
    return error
