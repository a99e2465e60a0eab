"""The pictures of an INT8 bundle that was judged on held-out samples: some of these."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from made_samples import made_samples
from made_selection import made_selection
from small_graphs import small_bundle

from calibration import calibrate as course
from calibration import replay_pictures
from calibration.int8_bundle import Proof, write_int8_bundle
from calibration.judging.held_out import open_held_out
from calibration.ranges.record import Ranges
from calibration.replay_index import FOLDER, read_index, read_picture
from calibration.replay_pictures import SAMPLES, replay_files
from calibration.request import CalibrationRequest
from edge.bundle import LOCALIZER, Bundle
from edge.engine_manifest import REPLAY_INDEX
from edge.errors import DataError
from edge.letterbox import letterbox

NOTHING = Ranges(
    graph_sha256={}, selection_sha256="", method="minmax", preprocessing="", entries=()
)
GRAPH = f"graphs/int8+fp16/{LOCALIZER}.onnx"
MIXED = [(True, False, True), (False, False), (True,)]  # the second shows nothing of the map


@pytest.fixture(scope="module")
def selection(tmp_path_factory):
    return made_selection(tmp_path_factory.mktemp("made") / "selection")


@pytest.fixture
def carried(tiny_bundle, selection, tmp_path):
    """`carried(folders)`: a bundle with their pictures."""

    def make(*folders, every: int = 1) -> Bundle:
        pictures = replay_files(selection, folders, every)
        graphs = {GRAPH: tiny_bundle.graph(LOCALIZER)}
        return write_int8_bundle(
            tiny_bundle, graphs, Proof(NOTHING, pictures=pictures), tmp_path / "int8"
        )

    return make


def test_frames_come_with_their_own_windows_and_clicks(carried, selection, tmp_path):
    folder = made_samples(tmp_path / "samples", MIXED)
    bundle = carried(folder)
    index = read_index(bundle)
    assert index.pictures == "held-out samples"
    assert index.selection_sha256 == selection.selection.digest()
    listed = {f"{FOLDER}/{x.file}" for x in (*index.frames, *index.windows)} | {REPLAY_INDEX}
    assert {x for x in bundle.manifest.files if x.startswith(f"{FOLDER}/")} == listed
    assert len(index.frames) == len(index.windows) == 2
    judged = {each.index: each.read() for each in open_held_out([folder])}
    seen = set()
    for frame, window in zip(index.frames, index.windows, strict=True):
        assert frame.windows == (window.file,)
        pixels = read_picture(bundle, window)
        (number,) = [n for n, x in judged.items() if np.array_equal(x.window, pixels)]
        seen.add(number)
        sample = judged[number]
        fitted = letterbox(sample.frame, 64, 64)
        assert np.array_equal(read_picture(bundle, frame), fitted.image)
        affine = np.array(frame.frame_affine, np.float32).reshape(2, 3)
        assert np.array_equal(affine, fitted.affine)
        clicks = np.array(frame.click_xy_px, np.float32)
        assert np.array_equal(clicks, sample.click_xy_px[sample.present]), "on the map, bit for bit"
    assert seen == {0, 2}


def test_which_is_drawn_by_the_pictures_alone(selection, tmp_path):
    first = made_samples(tmp_path / "a", [(True, True)] * 9)
    second = made_samples(tmp_path / "b", [(True,)] * 9, seed=1)
    files = replay_files(selection, (first, second))
    assert replay_files(selection, (second, first)) == files
    frames = json.loads(files[REPLAY_INDEX])["frames"]
    assert len(frames) == SAMPLES
    assert {len(each["click_xy_px"]) for each in frames} == {1, 2}, "of both folders"
    fewer = replay_files(selection, (first, second), 3)
    assert fewer[REPLAY_INDEX] != files[REPLAY_INDEX], "those that were judged alone"
    assert b"town" not in files[REPLAY_INDEX] and str(tmp_path).encode() not in files[REPLAY_INDEX]


def test_large_windows_are_fewer(selection, tmp_path, monkeypatch):
    folder = made_samples(tmp_path / "samples", [(True,)] * 9)
    whole = sum(map(len, replay_files(selection, [folder]).values()))
    monkeypatch.setattr(replay_pictures, "MOST_BYTES", whole // 2)
    found = replay_files(selection, [folder])
    kept = len(json.loads(found[REPLAY_INDEX])["frames"])
    assert 2 <= kept < SAMPLES and len(found) == 2 * kept + 1
    assert sum(len(x) for name, x in found.items() if name != REPLAY_INDEX) <= whole // 2
    monkeypatch.setattr(replay_pictures, "MOST_BYTES", 1)
    assert len(replay_files(selection, [folder])) == 3, "one is shown in any case"


def test_a_sample_that_cannot_be_read_is_told(selection, tmp_path):
    folder = made_samples(tmp_path / "samples", [(True,)])
    (folder / "000000_frame.jpg").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        replay_files(selection, [folder])


@pytest.mark.parametrize("wanted", [True, False])
def test_a_calibration_hands_on_what_it_judged(tiny, selection, tmp_path, monkeypatch, wanted):
    """With all that takes hours left out."""
    written = []
    bundle = small_bundle(tmp_path / "bundle", tiny.tiny_manifest())
    side = tiny.tiny_manifest().window.width_px
    folder = made_samples(tmp_path / "samples", [(True,)] * 3, window_px=(side, side))
    judged = SimpleNamespace(method="minmax", graph_sha256={})
    seen = course.Observations(selection, (), {"minmax": NOTHING})
    monkeypatch.setattr(course, "observe", lambda *_: seen)
    monkeypatch.setattr(course, "JudgeRequest", lambda **_: SimpleNamespace(check=lambda: None))
    monkeypatch.setattr(course, "ranked_on_device", lambda *given: given)
    monkeypatch.setattr(course, "judge", lambda *_: judged)
    monkeypatch.setattr(course, "page", lambda _: "")
    monkeypatch.setattr(course, "write_int8_bundle", lambda *given: written.append(given[2]))
    (selection.path / "contact_sheet.jpg").write_bytes(b"")
    course.calibrate(
        CalibrationRequest(
            bundle.path,
            tmp_path / "out",
            frames=(),
            maps=(),
            samples=(folder,),
            every=2,
            replay_pictures=wanted,
        )
    )
    (proof,) = written
    assert proof.pictures == (replay_files(selection, [folder], 2) if wanted else {})
