"""A fine-tuned bundle keeps the ranges that it was trained with."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from calibration.command import calibrate
from calibration.float_bundle import equalised_bundle
from calibration.int8_bundle import JUDGEMENT, RANGES
from calibration.quantization.convolutions import carried_over
from calibration.ranges.record import Ranges
from calibration.selection.record import SelectionFolder
from edge.bundle import ENCODER, LOCALIZER, Bundle, sha256_of
from edge.errors import CalibrationError, UsageError
from tests.support.small_calibration import make_places, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, once) -> Path:
    """bundle/, flight/ and map.mbtiles, and int8/, made of them."""
    home = make_places(tmp_path_factory.mktemp("tuned"), once)
    done = run(home, home / "int8", "--method=minmax")
    assert done.exit_code == 0, done.output
    return home


@pytest.fixture(scope="module")
def tuned(places: Path) -> Bundle:
    """The same model with other weights: equalised ones stand for those of a fine-tuning."""
    bundle, pairs = equalised_bundle(Bundle.open(places / "bundle"), places / "other" / "bundle")
    assert pairs > 0
    for name in ("flight", "map.mbtiles"):
        (places / "other" / name).symlink_to(places / name)
    return bundle


def test_the_ranges_are_those_of_the_bundle_before(places, tuned) -> None:
    done = run(places / "other", places / "kept", f"--tuned-from={places / 'int8'}")
    assert done.exit_code == 0, done.output
    start, kept = Bundle.open(places / "int8"), Bundle.open(places / "kept")
    before, after = (Ranges.read(x.file(RANGES)) for x in (start, kept))
    assert after.method == "minmax"
    for kind in (ENCODER, LOCALIZER):
        assert after.graph_sha256[kind] == sha256_of(tuned.graph(kind)) != before.graph_sha256[kind]
        old, new = (onnx.load(str(x.graph(kind))) for x in (start, kept))
        known = {name: x.amax for name, x in before.of(kind).items()}
        assert {n: x.amax for n, x in after.of(kind).items()} == carried_over(known, old, new)
    selection = SelectionFolder.open(places / "kept.work" / "selection").selection
    assert after.selection_sha256 == selection.digest()
    reasons = json.loads(kept.file(JUDGEMENT).read_bytes())["reasons"]
    assert reasons[-1].startswith("thresholds as the fine-tuning was given them")
    beyond = {x.tensor: x.saturated_share for x in before.of(ENCODER).values()}
    assert any(x.saturated_share != beyond.get(x.tensor) for x in after.of(ENCODER).values())
    words = [str(places / "kept"), f"--check={places / 'flight'}", "--threads=1"]
    checked = CliRunner().invoke(calibrate, words)
    assert checked.exit_code == 0, checked.output  # the flight that it was calibrated on


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--method=mse"], "--method mse"),
        (["--equalise"], "--equalise"),
        (["--correct-bias"], "--correct-bias"),
    ],
)
def test_what_would_change_them_is_refused(places, tuned, more, says) -> None:
    with pytest.raises(UsageError, match="are kept as they are") as caught:
        run(places / "other", places / "odd", f"--tuned-from={places / 'int8'}", *more)
    assert caught.value.found == says
    assert not (places / "odd.work").exists()


def test_a_bundle_without_ranges_is_refused(places, tuned) -> None:
    with pytest.raises(CalibrationError, match="has no ranges that a model could") as caught:
        run(places / "other", places / "odd", f"--tuned-from={places / 'bundle'}")
    assert caught.value.found == "graphs in fp16, fp32"
    assert not (places / "odd").exists() and not (places / "odd.work" / "selection").exists()
