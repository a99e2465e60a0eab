"""Made-up features and stores of them, for the tests of the feature store."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import FeatureStoreError, OutputError
from edge.feature_header import FeatureHeader, tensor_specs
from edge.feature_store import FeatureStore
from edge.geodesy import MercatorGeometry
from edge.types import ReferenceFeature

MODEL, MAP = "a" * 64, "b" * 64


def feature(number: int, **changes) -> ReferenceFeature:
    rng = np.random.default_rng(number)
    values = {
        "tensors": {
            "v": rng.normal(size=(6, 8, 8)).astype(np.float16),
            "u": rng.normal(size=(3, 8, 8)).astype(np.float16),
            "align_count_1x": np.array([number], np.int32),
            "align_xy_1x": rng.integers(0, 999, (50, 2)).astype(np.int16),
        },
        "geometry": MercatorGeometry(19, 512.0 * number, 1024.0),
        "width_px": 1024,
        "height_px": 1024,
        "window_id": f"z19/x{512 * number}/y1024",
        "map_id": MAP,
        "model_id": MODEL,
        "coverage": 0.5 + number / 1000,
        "imagery_ce90_m": None if number % 2 else 3.25,
    }
    return ReferenceFeature(**(values | changes))


def header(**changes) -> FeatureHeader:
    values = {
        "model_id": MODEL,
        "map_id": MAP,
        "gsd_m": 0.2,
        "zoom": 19,
        "tensors": tensor_specs(feature(0).tensors),
    }
    return FeatureHeader(**(values | changes))


def fill(path, numbers):
    with FeatureStore.create(path, header()) as store:
        for number in numbers:
            store.write(feature(number))
    return path


def reader(path) -> FeatureStore:
    return FeatureStore.open(path, model_id=MODEL, map_id=MAP)


def check(found: ReferenceFeature, number: int) -> None:
    expected = feature(number)
    assert set(found.tensors) == set(expected.tensors)
    for name, value in expected.tensors.items():
        assert found.tensors[name].dtype == value.dtype
        np.testing.assert_array_equal(found.tensors[name], value)
    for name in ("geometry", "window_id", "map_id", "model_id", "coverage", "imagery_ce90_m"):
        assert getattr(found, name) == getattr(expected, name)
    assert (found.width_px, found.height_px) == (1024, 1024)


def refused(call, *values, **named) -> FeatureStoreError:
    return _error(FeatureStoreError, call, *values, **named)


def unwritten(call, *values, **named) -> OutputError:
    """What the disk refuses, not the store."""
    error = _error(OutputError, call, *values, **named)
    assert error.exit_code == 14
    return error


def _error(kind, call, *values, **named):
    with pytest.raises(kind) as caught:
        call(*values, **named)
    error = caught.value
    assert all((error.what, error.expected, error.found, error.do))
    return error
