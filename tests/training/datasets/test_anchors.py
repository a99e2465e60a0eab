import numpy as np
import pytest

from training.datasets.anchors import cluster, shape_iou


def test_clusters_recover_known_sizes() -> None:
    rng = np.random.default_rng(0)
    true = np.array([[90.0, 40.0], [20.0, 22.0]])
    sizes = true[rng.integers(0, 2, 400)] * rng.uniform(0.95, 1.05, (400, 2))
    anchors, mean_iou = cluster(sizes, 2)
    assert np.allclose(anchors, true, rtol=0.02)
    assert mean_iou > 0.9
    assert shape_iou(np.array([[10.0, 10.0]]), np.array([[10.0, 20.0]]))[0, 0] == pytest.approx(0.5)
