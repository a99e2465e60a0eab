"""A store in INT8: made by the command, smaller as is said, and as good to locate with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge.bundle import Bundle, shipped_bundle_path
from edge.commands.tiles import tiles
from edge.errors import FeatureStoreError
from edge.feature_header import read_header
from edge.feature_quantization import dequantized, judged_note
from edge.feature_store import FeatureStore
from edge.localizer import Localizer
from edge.scoring import iou
from edge.types import Prior

MAP = Path(__file__).resolve().parents[2] / "edge" / "demo_data" / "flight" / "map.mbtiles"


def encode(store: Path, features: str, bbox: str):
    words = ["encode", f"--tiles={MAP}", f"--store={store}", f"--bbox={bbox}"]
    return CliRunner().invoke(tiles, [*words, f"--features={features}", "--threads=1"])


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, FeatureStore]:
    """The same windows in float16 and in int8."""
    home = tmp_path_factory.mktemp("stores")
    info = CliRunner().invoke(tiles, ["info", str(MAP)]).output
    bounds = next(line for line in info.splitlines() if line.split()[0] in ("bounds", "covers"))
    numbers = [float(x) for x in bounds.replace(",", " ").split() if _is_number(x)]
    west, south, east, north = numbers[:4]
    x, y = (west + east) / 2, (south + north) / 2
    opened = []
    for features in ("float16", "int8"):
        done = encode(home / features, features, f"{x},{y},{x + 1e-6},{y + 1e-6}")
        assert done.exit_code == 0, done.output
        header = read_header(home / features)
        opened.append(
            FeatureStore.open(home / features, model_id=header.model_id, map_id=header.map_id)
        )
    return opened[0], opened[1]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_int8_halves_what_the_localizer_reads(stores) -> None:
    plain, small = stores
    assert set(plain) == set(small) and len(small) >= 1
    bytes_of = [
        sum(
            spec.size_bytes
            for spec in store.header.tensors
            if spec.name.split(".")[0] in ("v", "u")
        )
        for store in stores
    ]
    assert bytes_of[1] < 0.51 * bytes_of[0]
    kinds = {spec.name: spec.dtype for spec in small.header.tensors}
    assert kinds["v"] == kinds["u"] == "int8" and kinds["v.scale"] == "float16"


def test_the_file_is_as_much_smaller_as_the_readme_says(stores) -> None:
    """Less than half: local features of the alignment stay as they are."""
    plain, small = ((each.path / "features.bin").stat().st_size / len(each) for each in stores)
    assert (plain, small) == (7_704_576, 4_558_848)
    readme = " ".join((Path(__file__).resolve().parents[2] / "README.md").read_text().split())
    share = f"{round(100 * (1 - small / plain))} % smaller"
    for text in (f"{plain:,.0f} to {small:,.0f} bytes", share):
        assert text in readme, text
    assert "halves a feature store" not in readme


def test_a_window_reads_as_it_lies_there_and_locates_the_same(stores) -> None:
    one, other = (store.read(next(iter(stores[0]))) for store in stores)
    assert set(other.tensors) - set(one.tensors) == {"v.scale", "u.scale"}
    restored = dequantized(other.tensors)
    for name, value in one.tensors.items():
        assert restored[name].dtype == value.dtype, name
        if name in ("v", "u"):
            assert other.tensors[name].dtype == np.int8
            assert not other.tensors[name].flags.writeable, "a view of the mapped file"
            error = value.astype(np.float32) - restored[name].astype(np.float32)
            relative = np.linalg.norm(error) / np.linalg.norm(value.astype(np.float32))
            assert 1e-4 < relative < 0.02, (name, relative)
        else:
            assert np.array_equal(other.tensors[name], value), name
    plain, small = boxes_in(one), boxes_in(other)
    pairs = zip(plain.tolist(), small.tolist(), strict=True)
    assert sum(iou(tuple(a), tuple(b)) > 0.9 for a, b in pairs) >= 7


def boxes_in(feature, precision: str = "fp32", executor: str = "onnxruntime"):
    bundle = Bundle.open(shipped_bundle_path())
    localizer = Localizer.open(bundle, executor, precision, threads=1)
    frame = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    clicks = np.random.default_rng(1).uniform(50, 460, (8, 2))
    feature = replace(feature, model_id=localizer.model_id)  # for other precisions as well
    return localizer.locate(frame, clicks, feature, Prior.none(8)).box_xyxy_px


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_boxes_are_those_of_float16_made_beforehand(stores, precision) -> None:
    """As when `FeatureStore.read` did it: in the graph in parts (fp32), and in the whole one."""
    feature = stores[1].read(next(iter(stores[1])))
    before = replace(feature, tensors=dequantized(feature.tensors))
    assert before.tensors["v"].dtype == np.float16
    np.testing.assert_array_equal(boxes_in(feature, precision), boxes_in(before, precision))


def test_what_is_kept_in_memory_takes_half(stores) -> None:
    one, other = (store.read(next(iter(stores[0]))) for store in stores)
    sizes = [sum(v.nbytes for n, v in each.tensors.items() if n[0] in "vu" and n != "valid_cells")
             for each in (one, other)]  # fmt: skip
    assert sizes[1] < 0.51 * sizes[0]


def test_a_store_keeps_the_type_that_it_was_begun_with(stores, tmp_path) -> None:
    plain, small = stores
    first = next(iter(small))
    with FeatureStore.create(tmp_path / "new", small.header) as fresh:
        with pytest.raises(FeatureStoreError, match="does not fit"):
            fresh.write(replace(plain.read(first), model_id=small.header.model_id))
        fresh.write(small.read(first))  # a copy, bit for bit
        copied = fresh.read(first).tensors
    for name, value in small.read(first).tensors.items():
        assert copied[name].dtype == value.dtype
        np.testing.assert_array_equal(copied[name], value, err_msg=name)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({}, "nobody has judged what windows in INT8 cost this bundle"),
        ({"int8": "by hand"}, "tilefix calibrate --int8-features"),
        ({"int8": {"outcome": "accepted"}}, "nobody has judged"),
        ({"int8": {"int8_features": "costs too much"}}, "says 'costs too much'"),
        ({"int8": {"int8_features": "undecided"}}, "says 'undecided': float16 costs nothing"),
    ],
)
def test_what_speaks_against_a_store_in_int8(scores, words) -> None:
    note = judged_note(scores)
    assert note is not None and words in note
    assert judged_note({"int8": {"int8_features": "held"}}) is None


def test_the_command_tells_it_before_it_encodes(tmp_path) -> None:
    outside = "0,0,1e-6,1e-6"  # nothing is there to encode
    told = [encode(tmp_path / each, each, outside).stderr for each in ("int8", "float16")]
    assert told[0].startswith("note: nobody has judged what windows in INT8 cost this bundle")
    assert "INT8" not in told[1]
