"""Values of known distributions, and their histograms without any graph."""

from __future__ import annotations

import numpy as np

from calibration.ranges.histogram import Histogram, HistogramBuilder, Scratch
from calibration.ranges.histogram_file import Identity, TensorHistograms

_RANDOM = np.random.default_rng(7)
DISTRIBUTIONS = {
    "normal": _RANDOM.normal(size=40_000).astype(np.float32),
    "laplace": _RANDOM.laplace(0, 3, 40_000).astype(np.float32),
    "even": _RANDOM.uniform(-1, 1, 40_000).astype(np.float32),
    "rectified": np.maximum(_RANDOM.normal(size=40_000), 0).astype(np.float32),
    "heavy tail": _RANDOM.standard_t(2.5, 40_000).astype(np.float32),
    "outlier": np.append(_RANDOM.normal(size=40_000), 60).astype(np.float32),
}


def histogram_of(values: np.ndarray, bounds: tuple[float, float] | None = None) -> Histogram:
    """The histogram of one image with these values, all of them sampled."""
    sample = np.asarray(values, np.float32)
    lowest, highest = bounds or (float(sample.min()), float(sample.max()))
    builder = HistogramBuilder()
    builder.add(lowest, highest, sample, Scratch())
    return builder.histogram()


def identity(graph: str = "localizer", **other: str) -> Identity:
    """An identity without a graph behind it."""
    values = {
        "graph_sha256": "1" * 64,
        "selection_sha256": "2" * 64,
        "preprocessing": "as drawn",
        "sampling": "all",
        "runtime": "none",
        "tensors_sha256": "3" * 64,
    }
    return Identity(graph=graph, **{**values, **other})


def tensor_histograms(graph: str = "localizer", **values: np.ndarray) -> TensorHistograms:
    """Histograms of one image, a tensor for each keyword."""
    tensors = {name: histogram_of(sample) for name, sample in values.items()}
    return TensorHistograms(identity(graph), (("0.png", "4" * 64),), tensors)
