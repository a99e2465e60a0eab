"""`tilefix train --qat` from end to end on a handful of samples, and what it refuses."""

from __future__ import annotations

import json

import msgspec
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from small_lite import WINDOW_PX, small_lite

from calibration.quantization.policy import sort_convolutions
from calibration.ranges.carried import ranges_for
from calibration.ranges.record import Ranges, TensorRange
from edge.bundle import ENCODER, LOCALIZER, Bundle, sha256_of, shipped_bundle_path
from edge.errors import BundleError, CalibrationError, ConfigError, UsageError
from training.batches.lite import Collection
from training.checkpoints.weights import load_weights, save_weights
from training.models.folded_norms import fold_batch_norms
from training.quantization.bundle_ranges import convolution_amax
from training.quantization.lite import QuantizedLite
from training.quantization.observing import observe
from training.recipes.reading import read_recipe, with_values
from training.tasks.lite import LiteTask
from training.trainer.command import train


def call(*arguments: str):
    return CliRunner().invoke(train, [*arguments])


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(shipped_bundle_path())


@pytest.fixture(scope="module")
def ranges(bundle: Bundle) -> Ranges:
    """Made up, of every value that the shipped graphs quantise."""
    import onnx

    entries = []
    for kind in (ENCODER, LOCALIZER):
        chosen = sort_convolutions(onnx.load(str(bundle.graph(kind)))).eligible
        for number, source in enumerate(dict.fromkeys(c.source for c in chosen)):
            entries.append(
                TensorRange(
                    tensor=source,
                    amax=2.0 + number / 16,
                    lowest=-1.0,
                    highest=2.0,
                    saturated_share=0.0,
                    method="minmax",
                    graph=kind,
                )
            )
    return Ranges(
        graph_sha256={kind: sha256_of(bundle.graph(kind)) for kind in (ENCODER, LOCALIZER)},
        selection_sha256="5" * 64,
        method="minmax",
        preprocessing="a test",
        entries=tuple(entries),
    )


@pytest.fixture
def trained(tmp_path):
    path = tmp_path / "start.safetensors"
    save_weights(small_lite(), path, {})
    return path


def test_a_short_run_leaves_a_plain_checkpoint_that_says_how_it_was_made(
    small_folder, trained, tmp_path
) -> None:
    folder = str(small_folder.path)
    command = (
        *("--qat", "--data", folder, "--val", folder, "--out", str(tmp_path / "run")),
        *("--init", str(trained), "--epochs", "1", "--batch", "4", "--window-px", str(WINDOW_PX)),
    )
    result = call(*command)
    assert result.exit_code == 0, result.exception
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[0]["agreement"] > 1e-4, "the float model teaches"
    assert lines[0]["loss"] == pytest.approx(
        0.1 * lines[0]["distillation"] + 10 * lines[0]["agreement"], rel=1e-2, abs=2e-3
    )
    model, record = load_weights(tmp_path / "run" / "last.safetensors")
    start = small_lite()
    fold_batch_norms(start)
    before, after = start.state_dict(), model.state_dict()
    assert list(before) == list(after)
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert "backbone._conv_stem.weight" in moved and "query_neck.bn.bias" in moved
    assert not [name for name in moved if "running" in name or name.endswith("bn.weight")]
    apart = max(float((before[n] - after[n]).abs().max()) for n in moved)
    assert apart < 3 * 2e-5 * 1.01, "three steps of the recipe's rate"
    note = record["quantization"]
    assert note["start"] == "a checkpoint" and note["method"] == "minmax of 8 batches of 4"
    assert note["amax"][ENCODER].keys() > {"backbone._conv_stem", "reference_hidden"}
    with safe_open(tmp_path / "run" / "last.safetensors", "pt") as stream:
        assert not [name for name in stream.keys() if "fake" in name or "scale" in name]  # noqa: SIM118
    again = call(*command)
    assert again.exit_code == 0, "there was nothing left to do"
    other = call(*command[:-2], "--window-px", "96")
    assert "other options" in str(other.exception)


def test_observed_ranges_are_the_largest_values_and_the_same_each_time(small_folder) -> None:
    pictures = Collection.open([small_folder], preload=True)
    recipe = read_recipe("lite_qat")
    assert recipe.lite is not None
    found = []
    for _ in range(2):
        model = QuantizedLite(small_lite())
        task = LiteTask(model, pictures, pictures, recipe.lite, validation_batch=4)
        observe(model, task, 13, 4)
        found.append(model.amax)
    assert found[0] == found[1]
    stem = found[0][LOCALIZER]["backbone._conv_stem"]
    frames = [pictures.views[0].batch("frame", [i])[1] for i in range(len(pictures))]
    largest = max(float(((f.float() - 127) / 128).abs().max()) for f in frames)
    assert stem == pytest.approx(largest)


def test_observed_pictures_come_to_the_device_of_the_model(small_folder, monkeypatch) -> None:
    """Before training it is the CPU, whatever holds the pictures."""
    pictures = Collection.open([small_folder])
    recipe, model, asked = read_recipe("lite_qat"), QuantizedLite(small_lite()), []
    task = LiteTask(model, pictures, pictures, recipe.lite, validation_batch=4)
    assemble = task.batch

    class Elsewhere:
        def __init__(self, batch):
            self.batch = batch

        def to(self, device):
            asked.append(device)
            return self.batch.to(device)

    monkeypatch.setattr(task, "batch", lambda *given: Elsewhere(assemble(*given)))
    observe(model, task, 13, 4)
    assert asked and set(asked) == {torch.device("cpu")}


def test_ranges_of_a_calibration_come_to_the_convolutions_that_read_them(bundle, ranges) -> None:
    amax = convolution_amax(bundle, ranges)
    model = QuantizedLite(small_lite())
    assert amax[ENCODER].keys() == set(model.quantized) - {
        n for n in model.quantized if n.startswith("query_")
    }
    twice = [amax[ENCODER][n] for n in ("reference_embedding", "reference_hidden")]
    assert twice[0] == twice[1], "both read one value"
    known = {e.amax for e in ranges.of(ENCODER).values()}
    assert {*amax[ENCODER].values()} == known


def test_ranges_of_another_model_are_refused(bundle, ranges, tmp_path, small_folder) -> None:
    other = {**ranges.graph_sha256, ENCODER: "0" * 64}
    msgspec.structs.replace(ranges, graph_sha256=other).write(tmp_path / "ranges.json")
    folder = str(small_folder.path)
    data = ("--data", folder, "--val", folder, "--out", str(tmp_path / "run"))
    result = call("--qat", *data, "--ranges", str(tmp_path / "ranges.json"))
    assert isinstance(result.exception, CalibrationError), result.exception
    assert f"sha256 of {ENCODER}.onnx" in result.exception.what
    assert "0000" in result.exception.found
    assert not (tmp_path / "run").exists()
    few = msgspec.structs.replace(ranges, entries=ranges.entries[:-1])
    with pytest.raises(CalibrationError, match="there is no range for"):
        convolution_amax(bundle, few)


def test_a_tuned_bundle_gets_the_ranges_that_it_was_trained_with(bundle, ranges) -> None:
    """The shipped one stands for its own successor: each range comes back to its place."""
    carried = ranges_for(ranges, bundle, bundle)
    assert carried.graph_sha256 == ranges.graph_sha256
    for kind in (ENCODER, LOCALIZER):
        assert {n: e.amax for n, e in carried.of(kind).items()} == {
            n: e.amax for n, e in ranges.of(kind).items()
        }


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (("--qat", "detgeo_cvogl_drone"), UsageError, "only its INT8 graphs are known"),
        (("--qat", "lite"), ConfigError, "lite.freeze_backbone = true, run.precision"),
        (("--qat", "--mixed-precision"), ConfigError, 'run.precision = "bfloat16"'),
        (("--qat", "--from-scratch"), UsageError, "goes on from a trained model"),
        (("--qat", "--weights", "a.pth"), UsageError, "--weights a.pth"),
        (("--qat", "--init", "a.safetensors", "--ranges", "r"), UsageError, "of a bundle"),
        (("--ranges", "r.json"), UsageError, "means nothing without --qat"),
        (("--qat", "--init", "."), BundleError, "no readable bundle"),
        (("--qat", "--option", "width=8"), UsageError, "leave out --option width=8"),
        (
            ("--qat", "--init", ".", "--set", "model.options.width=8"),
            UsageError,
            "leave out --set model.options.width=8",
        ),
        (("lite_qat",), UsageError, "lite_qat needs --qat"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_all_work(arguments, kind, says, tmp_path) -> None:
    result = call(*arguments, "--data", str(tmp_path), "--out", str(tmp_path / "run"))
    assert isinstance(result.exception, kind), result.exception
    assert says in str(result.exception)
    for part in ("what", "expected", "found", "do"):
        assert getattr(result.exception, part)
    assert not (tmp_path / "run").exists()


def test_the_recipe_asks_for_what_is_trained_here() -> None:
    recipe = read_recipe("lite_qat")
    assert recipe.lite is not None
    assert (recipe.lite.labels, recipe.lite.freeze_backbone) == (0.0, False)
    assert recipe.run.precision == "float32"
    assert with_values(recipe, {"lite.agreement": 1.0}, "a test").lite.agreement == 1.0
    assert read_recipe("lite_whole").lite.labels == 1.0, "as before"
