"""What the graphs are fed: clicks inside the picture, features made once, nothing too much."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from small_graphs import DEPTH, FRAME_PX, GRID, small_bundle

from calibration.ranges import features
from calibration.ranges.bundle_observing import (
    BundleOptions,
    merge_bundle,
    observe_bundle,
)
from calibration.ranges.inputs import (
    CLICKS,
    encoder_feeds,
    localizer_feeds,
    preprocessing,
    seeded_clicks,
)
from calibration.ranges.observer_graph import needed_inputs
from calibration.selection.record import (
    ChosenImage,
    Selection,
    SelectionFolder,
    encode_png,
    pixels_sha256,
    record_bytes,
)
from edge.bundle import Bundle
from edge.errors import CalibrationError, UsageError
from edge.executors.base import open_executor
from edge.letterbox import letterbox

WIDTH, HEIGHT = 60, 34  # of the camera; small_graphs knows no affine


@pytest.fixture
def bundle(tmp_path, tiny) -> Bundle:
    return small_bundle(tmp_path / "bundle", tiny.tiny_manifest())


def selected(path: Path, window_px: int, frames: int = 3, windows: int = 4) -> SelectionFolder:
    """A selection folder as the selector writes it, of noise."""
    random = np.random.default_rng(0)
    images = []
    for kind, count in (("frame", frames), ("window", windows)):
        (path / f"{kind}s").mkdir(parents=True)
        for index in range(count):
            if kind == "frame":
                raw = random.integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
                fitted = letterbox(raw, FRAME_PX, FRAME_PX)
                pixels, affine = fitted.image, tuple(fitted.affine.ravel().tolist())
            else:
                pixels = random.integers(0, 255, (window_px, window_px, 3)).astype(np.uint8)
                affine = ()
            file = f"{kind}s/{index:04}.png"
            (path / file).write_bytes(encode_png(pixels))
            images.append(
                ChosenImage(
                    kind=kind,
                    file=file,
                    sha256=pixels_sha256(pixels),
                    source="noise",
                    place=str(index),
                    brightness=127,
                    contrast=70,
                    sharpness=1,
                    site="nowhere",
                    frame_affine=affine,
                )
            )
    selection = Selection(
        seed=0,
        frame_px=(FRAME_PX, FRAME_PX),
        window_px=(window_px, window_px),
        gsd_m=0.3,
        images=tuple(images),
        left_out={},
    )
    (path / "selection.json").write_bytes(record_bytes(selection))
    return SelectionFolder.open(path)


@pytest.fixture
def folder(tmp_path, bundle) -> SelectionFolder:
    encoder = open_executor("onnxruntime", bundle, "reference_encoder")
    return selected(tmp_path / "selection", int(encoder.inputs[0].shape[0]))


def test_clicks_lie_inside_the_picture_and_not_in_its_border(folder):
    size = folder.selection.frame_px
    for seed in range(50):
        for image in folder.frames:
            clicks = seeded_clicks(image, size, seed)
            assert clicks.shape == (CLICKS, 2) and clicks.dtype == np.float32
            assert (clicks > 0).all() and (clicks < [WIDTH, HEIGHT]).all()
    many = np.concatenate([seeded_clicks(folder.frames[0], size, seed) for seed in range(500)])
    np.testing.assert_allclose(many.mean(axis=0), [WIDTH / 2, HEIGHT / 2], rtol=0.05)
    assert (many.min(axis=0) < 6).all() and (many.max(axis=0) > [WIDTH - 8, HEIGHT - 8]).all()


def test_clicks_depend_on_seed_and_pixels_alone(folder):
    one, other = folder.frames[:2]
    clicks = seeded_clicks(one, (FRAME_PX, FRAME_PX), 0)
    renamed = msgspec.structs.replace(one, file="frames/0099.png")
    np.testing.assert_array_equal(seeded_clicks(renamed, (FRAME_PX, FRAME_PX), 0), clicks)
    assert (seeded_clicks(one, (FRAME_PX, FRAME_PX), 1) != clicks).all()
    assert (seeded_clicks(other, (FRAME_PX, FRAME_PX), 0) != clicks).all()


@pytest.mark.parametrize("affine", [(), (1.0, 0.0, 32.0, 0.0, 1.0, 0.0)])
def test_a_frame_that_cannot_be_clicked(folder, affine):
    image = msgspec.structs.replace(folder.frames[0], frame_affine=affine)
    with pytest.raises(CalibrationError, match=r"frames/0000\.png .* cannot be clicked"):
        seeded_clicks(image, (FRAME_PX, FRAME_PX), 0)


def test_only_what_is_needed_is_made(folder, bundle, tmp_path):
    (feed, *_) = localizer_feeds(bundle, folder, ("frame",), tmp_path / "f")
    made = feed.read()
    assert list(made) == ["frame"] and not (tmp_path / "f").exists()
    np.testing.assert_array_equal(made["frame"], folder.read(folder.frames[0]))
    assert (feed.name, feed.sha256) == (folder.frames[0].file, folder.frames[0].sha256)
    needs = ("frame", "click_xy_px", "prior_xy_px", "prior_inv_var", "frame_affine")
    made = localizer_feeds(bundle, folder, needs, tmp_path / "f")[1].read()
    assert tuple(made) == needs and not (tmp_path / "f").exists()
    assert made["frame_affine"].shape == (2, 3) and not made["prior_inv_var"].any()


def test_features_are_encoded_once_and_read_from_the_disk(folder, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "WINDOWS", 2)
    needs, work = ("frame", "v", "u"), tmp_path / "f"
    feeds = localizer_feeds(bundle, folder, needs, work, seed=3)
    made = [feed.read() for feed in feeds]
    assert len(list(work.rglob("*.npy"))) == 2 * 2 and not list(work.rglob("*.part"))
    encoder = open_executor("onnxruntime", bundle, "reference_encoder")
    wanted = [encoder.run({"image": folder.read(window)}) for window in folder.windows]
    for one in made:
        assert one["v"].dtype == np.float16 and isinstance(one["v"], np.memmap)
        assert one["v"].shape == (DEPTH, GRID, GRID)
        assert any((one["v"] == x["v"]).all() and (one["u"] == x["u"]).all() for x in wanted)
    monkeypatch.setattr(features, "open_executor", None)  # not needed any more
    again = [x.read() for x in localizer_feeds(bundle, folder, needs, work, seed=3)]
    for one, other in zip(made, again, strict=True):
        np.testing.assert_array_equal(one["v"], other["v"])
    stored = features.StoredFeatures.make(bundle, folder, ("v", "u"), work, 3, 1)
    stored.path(stored.windows[1], "v").write_bytes(b"x")
    stored.read(0)
    with pytest.raises(CalibrationError, match=r"features .*\.v\.npy cannot be read"):
        stored.read(1)


def test_a_feature_that_nothing_makes(folder, bundle, tmp_path):
    with pytest.raises(CalibrationError, match="takes w, which nothing makes") as caught:
        localizer_feeds(bundle, folder, ("frame", "w"), tmp_path)
    assert caught.value.expected == "a feature of the bundle: u, v"


def test_selections_without_frames_or_windows(tmp_path, bundle):
    no_windows = selected(tmp_path / "a", 64, frames=1, windows=0)
    with pytest.raises(CalibrationError, match="holds no window"):
        encoder_feeds(no_windows)
    with pytest.raises(CalibrationError, match="holds no window"):
        localizer_feeds(bundle, no_windows, ("frame", "v"), tmp_path / "f")
    assert len(localizer_feeds(bundle, no_windows, ("frame",), tmp_path / "f")) == 1
    no_frames = selected(tmp_path / "b", 64, frames=0, windows=1)
    with pytest.raises(CalibrationError, match="holds no frame"):
        localizer_feeds(bundle, no_frames, ("frame",), tmp_path / "f")


def names_of(bundle: Bundle, kind: str, op: str) -> list[str]:
    nodes = onnx.load(str(bundle.graph(kind))).graph.node
    return [name for node in nodes if node.op_type == op for name in node.output]


def test_both_graphs_of_a_bundle_in_one_run_and_in_shards(folder, bundle, tmp_path):
    """The localizer's query depends on clicks, its attention on features: all are fed."""
    wanted = {
        "reference_encoder": names_of(bundle, "reference_encoder", "Conv"),
        "localizer": [*names_of(bundle, "localizer", "Conv"), "attention"],
    }
    needs = needed_inputs(bundle.graph("localizer"), wanted["localizer"])
    assert {"frame", "click_xy_px", "v", "u"} <= set(needs)
    reports = []
    one = observe_bundle(
        bundle, folder, wanted, tmp_path / "one", None, lambda *each: reports.append(each)
    )
    assert reports[0] == ("reference_encoder", 0, 4) and reports[-1] == ("localizer", 3, 3)
    assert [list(x.tensors) for x in one] == list(wanted.values())
    assert one[1].tensors["attention"].counts.sum() == 3 * CLICKS * GRID * GRID
    assert one[0].identity.selection_sha256 == folder.selection.digest()
    assert one[0].identity.preprocessing == preprocessing(0)
    for number in range(2):
        observe_bundle(bundle, folder, wanted, tmp_path / "s", BundleOptions(shard=(number, 2)))
    both = merge_bundle(bundle, folder, wanted, tmp_path / "s", BundleOptions(shard=(0, 2)))
    assert [x.encoded() for x in both] == [x.encoded() for x in one]


def test_a_kind_that_there_is_none_of(folder, bundle, tmp_path):
    with pytest.raises(UsageError, match="no graph of the kind 'decoder'"):
        merge_bundle(bundle, folder, {"decoder": ["x"]}, tmp_path, BundleOptions())
