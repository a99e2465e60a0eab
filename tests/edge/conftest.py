"""Fixtures of frame alignment."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from edge.alignment import Aligner
from edge.bundle import ALIGNMENT_GRAPH, shipped_bundle_path
from edge.types import ReferenceFeature, ReferenceWindow


@pytest.fixture(scope="session")
def drawn_town() -> ModuleType:
    """The module tests/edge/drawn_town.py."""
    path = Path(__file__).parent / "drawn_town.py"
    spec = importlib.util.spec_from_file_location("drawn_town", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def aligner() -> Aligner:
    """The shipped alignment graph."""
    return Aligner.from_graph(shipped_bundle_path() / ALIGNMENT_GRAPH)


def _described(aligner, image, name):
    window = ReferenceWindow(image, np.ones(image.shape[:2], bool), None, name, "m")
    size = image.shape[1], image.shape[0]
    return ReferenceFeature(aligner.describe(window), None, *size, name, "m", "x", 1.0)


@pytest.fixture(scope="session")
def town(drawn_town, aligner) -> SimpleNamespace:
    """A town: `image` [512, 512, 3] and its described `feature`."""
    image = drawn_town.draw_town(1)
    return SimpleNamespace(image=image, feature=_described(aligner, image, "town"))


@pytest.fixture(scope="session")
def other_town(drawn_town, aligner) -> SimpleNamespace:
    """Another one."""
    image = drawn_town.draw_town(2)
    return SimpleNamespace(image=image, feature=_described(aligner, image, "other"))
