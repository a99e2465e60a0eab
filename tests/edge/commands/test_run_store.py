"""`tilefix run --store`: only a store that this run can use is opened, and it is closed again."""

from __future__ import annotations

import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import edge
from edge.assembly import PriorChoice, assemble_on_map, open_bundle
from edge.commands.run import run
from edge.commands.tiles import tiles
from edge.errors import FeatureStoreError
from edge.geodesy import MercatorGeometry
from edge.tiles.mbtiles_writer import MBTilesWriter

ZOOM, COLUMN, ROW = 19, 272976, 184400
GRAPH = Path(edge.__file__).parent / "bundles/lite/alignment/xfeat.onnx"


@pytest.fixture(scope="module")
def world(tmp_path_factory, make_tiny_bundle):
    """A bundle of two precisions, a map of two zooms, a frame and a click."""
    folder = tmp_path_factory.mktemp("world")
    other = make_tiny_bundle(folder / "other", window_wh_px=(512, 512), seed=5)
    kinds = ("reference_encoder", "localizer")
    extra = {f"graphs/fp16/{kind}.onnx": other.graph(kind).read_bytes() for kind in kinds}
    make_tiny_bundle(folder / "bundle", window_wh_px=(512, 512), extra_files=extra)
    blank = cv2.imencode(".png", np.full((256, 256, 3), 90, np.uint8))[1].tobytes()
    with MBTilesWriter(folder / "map.mbtiles", {"name": "two", "format": "png"}) as writer:
        for row in range(4):
            for column in range(4):
                writer.put(ZOOM, COLUMN + column, ROW + row, blank)
                writer.put(ZOOM - 1, COLUMN // 2 + column, ROW // 2 + row, blank)
    cv2.imwrite(str(folder / "frame.png"), np.full((64, 64, 3), 90, np.uint8))
    (folder / "clicks.csv").write_text("id,x,y\na,20,20\n")
    return folder


def encode(world, store, *more):
    words = ["encode", "--bundle", world / "bundle", "--tiles", world / "map.mbtiles"]
    words += ["--store", store, *more]
    done = CliRunner().invoke(tiles, list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return store


def fly(world, out, bundle, store, prior="none", *more):
    geometry = MercatorGeometry(ZOOM, COLUMN * 256.0, ROW * 256.0)
    lon, lat = geometry.lon_lat_deg(np.array([[500.0, 500.0]]))[0].tolist()
    words = ["--bundle", bundle, "--tiles", world / "map.mbtiles", "--source", world / "frame.png"]
    words += ["--clicks", world / "clicks.csv", "--position", f"{lon},{lat}", "--store", store]
    words += ["--prior", prior, "--out", out, *more]
    return CliRunner().invoke(run, list(map(str, words)), catch_exceptions=False)


def test_a_store_of_another_precision_is_named_and_the_advice_leads_out(world, tmp_path):
    bundle, store = world / "bundle", encode(world, tmp_path / "store")
    with pytest.raises(FeatureStoreError, match="is for another precision") as caught:
        fly(world, tmp_path / "out", bundle, store, "none", "--precision", "fp16")
    assert caught.value.exit_code == 8 and not (tmp_path / "out").exists()
    assert caught.value.expected == "bundle tiny in fp16"
    assert caught.value.found == "bundle tiny in fp32"
    advised = shlex.split(caught.value.do.partition("for this run: tilefix tiles ")[2])
    assert advised[advised.index("--bundle") + 1] == str(bundle)
    advised[advised.index("NEW")] = str(tmp_path / "new")
    assert CliRunner().invoke(tiles, advised, catch_exceptions=False).exit_code == 0
    new, out = tmp_path / "new", tmp_path / "out"
    assert fly(world, out, bundle, new, "none", "--precision", "fp16").exit_code == 0


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--precision", "fp16"), "is for another precision"),
        (("--features", "int8"), "holds its features in float16"),
    ],
)
def test_a_store_is_not_gone_on_with_in_another_way(world, tmp_path, monkeypatch, words, what):
    """Also an unfinished one, and before any window is encoded."""
    store = encode(world, tmp_path / "store")
    index = store / "index.jsonl"
    index.write_bytes(index.read_bytes().split(b"\n")[0] + b"\n")
    before = [(path.name, path.read_bytes()) for path in sorted(store.iterdir())]
    monkeypatch.setattr("edge.encoding.BundleEncoder", None)
    with pytest.raises(FeatureStoreError, match=what) as caught:
        encode(world, store, "--gsd-m", 0.3, *words)
    assert caught.value.exit_code == 8
    again = shlex.split(caught.value.do.partition(": tilefix tiles ")[2])
    assert "--gsd-m=0.3" in again and "=".join(words) in " ".join(again).replace(" ", "=")
    assert [(path.name, path.read_bytes()) for path in sorted(store.iterdir())] == before


def test_without_a_store_the_advised_command_is_that_of_this_run(world, tmp_path):
    with pytest.raises(FeatureStoreError, match="no readable feature store") as caught:
        fly(world, tmp_path / "o", world / "bundle", tmp_path / "s", "none", "--precision", "fp16")
    assert f"--bundle {world / 'bundle'}" in caught.value.do
    assert caught.value.do.endswith(f"--store {tmp_path / 's'} --precision fp16")


def test_a_store_of_another_zoom_is_refused_before_the_flight(world, tmp_path):
    store = encode(world, tmp_path / "store", "--gsd-m", 0.19)
    with pytest.raises(FeatureStoreError, match="made with other settings") as caught:
        fly(world, tmp_path / "out", world / "bundle", store)
    assert "zoom 18" in caught.value.expected and "zoom 19" in caught.value.found
    assert "into a new folder" in caught.value.do
    assert not (tmp_path / "out").exists()


def test_a_store_without_the_alignment_that_is_asked_for_is_refused(
    world, tmp_path, make_tiny_bundle
):
    store = encode(world, tmp_path / "store")
    extra = {"alignment/xfeat.onnx": GRAPH.read_bytes()}
    bundle = make_tiny_bundle(tmp_path / "b", window_wh_px=(512, 512), extra_files=extra).path
    with pytest.raises(FeatureStoreError, match="made with other settings") as caught:
        fly(world, tmp_path / "out", bundle, store, "alignment")
    assert "alignment None" in caught.value.found
    assert fly(world, tmp_path / "out", bundle, store, "none").exit_code == 0


def test_the_store_is_closed_with_the_rest(world, tmp_path):
    store = encode(world, tmp_path / "store")
    assembly = assemble_on_map(
        open_bundle(world / "bundle"),
        world / "map.mbtiles",
        store_path=store,
        prior=PriorChoice.NONE,
    )
    window_id = next(iter(assembly.store))
    assembly.store.read(window_id)
    assembly.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        assembly.store.read(window_id)
