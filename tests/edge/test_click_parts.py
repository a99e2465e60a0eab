import numpy as np
import pytest

from edge.bundle import LOCALIZER
from edge.click_parts import run_in_parts
from edge.executors.base import open_executor
from edge.localizer import NUMBERS, Localizer
from edge.types import ReferenceWindow


class Limited:
    """An executor that takes at most a few clicks, and counts its runs."""

    def __init__(self, executor, limit):
        self._executor, self.click_limit, self.counts = executor, limit, []

    def __getattr__(self, name):
        return getattr(self._executor, name)

    def run(self, inputs, outputs=None):
        self.counts.append(len(inputs["click_xy_px"]))
        assert self.counts[-1] <= self.click_limit
        return self._executor.run(inputs, outputs)


@pytest.fixture
def inputs(tiny_bundle):
    random = np.random.default_rng(0)
    shapes = {feature.name: feature.shape for feature in tiny_bundle.manifest.features}
    frame = tiny_bundle.manifest.frame
    features = {k: random.normal(size=s).astype(np.float16) for k, s in shapes.items()}
    return features, {
        "frame": random.integers(0, 256, (frame.height_px, frame.width_px, 3), dtype=np.uint8),
        "frame_affine": np.eye(2, 3, dtype=np.float32),
        "click_xy_px": random.uniform(0, 40, (11, 2)).astype(np.float32),
        "prior_xy_px": random.uniform(0, 90, (11, 2)).astype(np.float32),
        "prior_inv_var": random.uniform(0, 0.1, 11).astype(np.float32),
    }


@pytest.mark.parametrize(
    ("limit", "counts"), [(4, [4, 4, 3]), (11, [11]), (64, [11]), (1, [1] * 11)]
)
def test_the_parts_are_joined_in_order(tiny_bundle, inputs, limit, counts):
    features, fed = inputs
    whole = open_executor("onnxruntime", tiny_bundle, LOCALIZER)
    whole.bind(features)
    limited = Limited(whole, limit)
    names = (*NUMBERS, "attention")
    found, wanted = run_in_parts(limited, fed, names), whole.run(fed, names)
    assert limited.counts == counts
    assert found.keys() == wanted.keys()
    for name in names:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5, atol=1e-5)


def test_a_localizer_cuts_what_its_executor_does_not_take(tiny_bundle):
    localizer = Localizer.open(tiny_bundle)
    random = np.random.default_rng(1)
    size, frame = tiny_bundle.manifest.window, tiny_bundle.manifest.frame
    image = random.integers(0, 256, (size.height_px, size.width_px, 3), dtype=np.uint8)
    window = ReferenceWindow(image, np.ones(image.shape[:2], bool), None, "w", "m")
    feature = localizer.encode(window)
    picture = random.integers(0, 256, (frame.height_px, frame.width_px, 3), dtype=np.uint8)
    clicks = random.uniform(1, 40, (5, 2)).astype(np.float32)
    wanted = localizer.locate(picture, clicks, feature)
    limited = localizer._executor = Limited(localizer._executor, 2)
    found = localizer.locate(picture, clicks, feature)
    assert limited.counts == [2, 2, 1]
    np.testing.assert_allclose(found.box_xyxy_px, wanted.box_xyxy_px, rtol=1e-5)
