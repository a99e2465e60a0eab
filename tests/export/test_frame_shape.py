"""Bundles for frames in the shape of a camera: few borders to compute, the answers of its model."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from edge.bundle import Bundle, shipped_bundle_path, write_bundle
from edge.cli import tilefix
from edge.errors import UsageError
from edge.localizer import Localizer
from export.arranged_lite import ArrangedLite
from export.bundle_weights import lite_from_bundle
from tests.support.torch_answers import check_torch, made_feature
from training.models import build
from training.recipes.reading import read_recipe
from training.tasks.lite import LiteTask


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open(shipped_bundle_path())


@pytest.fixture(scope="module")
def wide(shipped, tmp_path_factory) -> Bundle:
    """For frames of 192 x 112 px, made by the command; of the shipped weights, in float32."""
    home = tmp_path_factory.mktemp("wide")
    kept = (name for name in shipped.manifest.files if "/fp16/" not in name)
    source = write_bundle(
        home / "source", shipped.manifest, {name: shipped.file(name) for name in kept}
    )
    out = home / "lite_wide"
    words = ["export", "--from-bundle", str(source.path), "--out", str(out)]
    done = CliRunner().invoke(tilefix, [*words, "--frame-px", "192x112"], catch_exceptions=False)
    assert done.exit_code == 0 and "lite_192x112 4, fp32" in done.output
    return Bundle.open(out)


def test_frames_in_the_shape_of_a_camera(shipped, wide):
    frame = wide.manifest.frame
    assert (frame.width_px, frame.height_px) == (192, 112)
    assert wide.in_parts("fp32") and wide.encoder_id("fp32") == shipped.encoder_id("fp32")
    assert lite_from_bundle(wide).options.frame_hw_px == (112, 192)
    rng = np.random.default_rng(4)
    picture = rng.integers(0, 255, (112, 192, 3), dtype=np.uint8)
    check_torch(wide, picture, np.array([[40, 60], [180.5, 10.25], [96, 100]], np.float32))


def test_a_camera_of_another_shape_is_fitted_in(wide):
    """A picture of 16:9 has borders of two rows; one of 1:1 has them at its sides."""
    localizer = Localizer.open(wide)
    feature = made_feature(wide, np.random.default_rng(0))
    for high, wide_px in ((1080, 1920), (900, 900)):
        frame = np.full((high, wide_px, 3), 90, np.uint8)
        clicks = np.array([[0, 0], [wide_px, high]], np.float32)
        found = localizer.locate(frame, clicks, feature)
        assert np.isfinite(found.box_xyxy_px).all()


def test_what_knows_squares_alone_says_so():
    model = build("lite", frame_px=192, frame_height_px=112)
    with pytest.raises(ValueError, match=r"frames that are no squares, \(112, 192\)"):
        ArrangedLite(model)
    with pytest.raises(UsageError, match="a lite is trained on square frames") as caught:
        LiteTask(model, [], [], read_recipe("lite").lite, validation_batch=1)
    assert caught.value.found == "frames of 192 x 112 px"
    assert "--frame-px WIDTHxHEIGHT" in caught.value.do
