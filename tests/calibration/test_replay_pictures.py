"""The pictures that an INT8 bundle carries: which, whether nothing is lost, and where they go."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from made_selection import made_selection

from calibration.int8_bundle import RANGES, Proof, write_int8_bundle
from calibration.judging.agreement import meetings
from calibration.ranges.inputs import seeded_clicks
from calibration.ranges.record import Ranges
from calibration.replay_index import FOLDER, encode_webp, read_index, read_picture
from calibration.replay_pictures import FRAMES, WINDOWS, replay_files
from calibration.selection.record import SelectionFolder
from edge.bundle import Bundle, write_bundle
from edge.engine_manifest import REPLAY_INDEX
from edge.errors import BundleError, CalibrationError

RANGES_OF_NOTHING = Ranges(
    graph_sha256={}, selection_sha256="", method="minmax", preprocessing="", entries=()
)
INT8 = ("graphs/int8+fp16/localizer.onnx", "graphs/int8+fp16/reference_encoder.onnx")


@pytest.fixture(scope="module")
def selection(tmp_path_factory) -> SelectionFolder:
    """More frames and windows than the judge looks at, in the sizes of the tiny bundle."""
    return made_selection(tmp_path_factory.mktemp("made") / "selection", frames=70, windows=18)


@pytest.fixture(scope="module")
def bundle(tiny_bundle, selection, tmp_path_factory) -> Bundle:
    """Calibrated, as far as pictures are concerned."""
    return calibrated(tiny_bundle, tmp_path_factory.mktemp("int8") / "b", replay_files(selection))


def calibrated(source: Bundle, out, pictures, graphs=INT8) -> Bundle:
    """With the float graphs in the place of those in INT8."""
    files = {x: source.file(x.replace("int8+fp16", "fp32")) for x in graphs}
    return write_int8_bundle(source, files, Proof(RANGES_OF_NOTHING, pictures=pictures), out)


def test_few_of_the_judges_pictures_and_no_more(bundle, selection):
    index = read_index(bundle)
    assert (len(index.frames), len(index.windows)) == (FRAMES, WINDOWS) == (16, 2)
    files = {f"{FOLDER}/{x.file}" for x in (*index.frames, *index.windows)} | {REPLAY_INDEX}
    assert {x for x in bundle.manifest.files if x.startswith("calibration/replay/")} == files
    judged = {window.file: {x.file for x in frames} for window, frames in meetings(selection)}
    all_frames = set.union(*judged.values())
    assert {x.file.replace("webp", "png") for x in index.frames} <= all_frames
    kept = [x.file.replace("webp", "png") for x in index.windows]
    counts = sorted(map(len, judged.values()), reverse=True)
    assert sorted((len(judged[x]) for x in kept), reverse=True) == counts[:WINDOWS], "the busiest"
    assert {x.windows for x in index.frames} == {tuple(x.file for x in index.windows)}
    assert index.selection_sha256 == selection.selection.digest()
    assert index.pictures == "calibration frames"


def test_a_device_sees_what_the_judge_saw(bundle, selection):
    index = read_index(bundle)
    chosen = {x.file.replace("png", "webp"): x for x in selection.selection.images}
    for each in (*index.frames, *index.windows):
        assert np.array_equal(read_picture(bundle, each), selection.read(chosen[each.file]))
        assert bundle.file(f"{FOLDER}/{each.file}").read_bytes()[:4] == b"RIFF"
    for frame in index.frames:
        clicks = seeded_clicks(chosen[frame.file], index.frame_px, seed=0)
        assert np.array_equal(np.array(frame.click_xy_px, np.float32), clicks), "bit for bit"
        assert frame.frame_affine == chosen[frame.file].frame_affine


def test_the_same_selection_gives_the_same_bytes(selection):
    first = replay_files(selection)
    assert replay_files(SelectionFolder.open(selection.path)) == first
    other = made_selection(selection.path.parent / "fewer", frames=69, windows=18)
    assert replay_files(other)[REPLAY_INDEX] != first[REPLAY_INDEX]


def test_nothing_says_where_a_picture_was_taken(selection):
    """The made frames come from "noise" at "nowhere"."""
    text = replay_files(selection)[REPLAY_INDEX].decode()
    assert "noise" not in text and "nowhere" not in text
    assert set(json.loads(text)["frames"][0]) == {
        "file",
        "sha256",
        "frame_affine",
        "click_xy_px",
        "windows",
    }


@pytest.mark.parametrize("kind", ["flat", "noise", "ramp"])
def test_webp_loses_nothing(kind):
    random = np.random.default_rng(0)
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(31, 0).repeat(3, 2)
    ramp[..., 1] = 255 - ramp[..., 1]
    pictures = {
        "flat": np.full((31, 256, 3), (0, 1, 255), np.uint8),
        "noise": random.integers(0, 256, (31, 256, 3), dtype=np.uint8),
        "ramp": ramp,
    }
    data = encode_webp(pictures[kind])
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.array_equal(found, pictures[kind])
    assert encode_webp(pictures[kind].copy()) == data


@pytest.mark.parametrize(("frames", "windows"), [(3, 1), (1, 5), (20, 2)])
def test_a_small_selection_gives_what_it_has(tmp_path, tiny_bundle, frames, windows):
    small = made_selection(tmp_path / "small", frames=frames, windows=windows)
    index = read_index(calibrated(tiny_bundle, tmp_path / "int8", replay_files(small)))
    assert len(index.frames) == min(frames, FRAMES)
    assert len(index.windows) == min(windows, WINDOWS)


def test_without_windows_there_is_nothing_to_look_in(tmp_path):
    assert replay_files(made_selection(tmp_path / "none", windows=0)) == {}


def test_an_altered_picture_of_the_selection_goes_nowhere(tmp_path):
    small = made_selection(tmp_path / "small")
    other = (small.path / "frames/0001.png").read_bytes()
    (small.path / "frames/0000.png").write_bytes(other)
    with pytest.raises(CalibrationError, match="was altered"):
        replay_files(small)


def test_pictures_come_with_graphs_for_an_engine_alone(tiny_bundle, selection, tmp_path):
    """Rejected, there is nothing to compare; ONNX Runtime's form is what was judged."""
    pictures = replay_files(selection)
    rejected = calibrated(tiny_bundle, tmp_path / "rejected", pictures, graphs=())
    assert RANGES in rejected.manifest.files
    cpu = {
        x.replace("fp16", "fp32"): tiny_bundle.file(x.replace("int8+fp16", "fp32")) for x in INT8
    }
    proof = Proof(RANGES_OF_NOTHING, pictures=pictures)
    alone = write_int8_bundle(tiny_bundle, cpu, proof, tmp_path / "cpu")
    for bundle in (rejected, alone):
        assert not [x for x in bundle.manifest.files if x.startswith(f"{FOLDER}/")]


def test_pictures_of_an_earlier_calibration_do_not_stay(bundle, tmp_path):
    """Whatever the float bundle was made of: these are not the pictures of this selection."""
    few = replay_files(made_selection(tmp_path / "few", frames=1, windows=1))
    again = calibrated(bundle, tmp_path / "again", few)
    assert len([x for x in again.manifest.files if x.startswith(f"{FOLDER}/")]) == 3
    assert len(read_index(again).frames) == 1
    bare = calibrated(bundle, tmp_path / "bare", {})
    assert not [x for x in bare.manifest.files if x.startswith(f"{FOLDER}/")]


def rewritten(bundle: Bundle, folder, **values) -> Bundle:
    index = json.loads(bundle.file(REPLAY_INDEX).read_bytes()) | values
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    return write_bundle(
        folder, bundle.manifest, {**files, REPLAY_INDEX: json.dumps(index).encode()}
    )


@pytest.mark.parametrize(
    ("values", "expected", "found"),
    [
        ({"schema": "tilefix-replay/2"}, "tilefix-replay/1", "schema 'tilefix-replay/2'"),
        ({"schema": None}, "tilefix-replay/1", "schema None"),
        ({"more": 1}, "the keys of tilefix-replay/1", "unknown field `more`"),
        ({"frames": [{}]}, "the keys of tilefix-replay/1", "missing required field"),
        ({"frame_px": [32, 64]}, "(64, 64) and (128, 128) px", "(32, 64) and (128, 128) px"),
        ({"windows": []}, "windows that are listed", "windows/"),
        ({"frames": []}, "frames, each with windows", "[]"),
        ({"pictures": "a film"}, "held-out samples or calibration frames", "'a film'"),
    ],
)
def test_an_index_that_cannot_be_read(bundle, tmp_path, values, expected, found):
    with pytest.raises(CalibrationError) as error:
        read_index(rewritten(bundle, tmp_path / "other", **values))
    assert error.value.what.startswith("the pictures in ")
    assert expected in error.value.expected and found in error.value.found
    assert "--replay" in error.value.do and "calibrate again" in error.value.do


@pytest.mark.parametrize("change", [{"frame_affine": [1.0]}, {"click_xy_px": []}])
def test_a_frame_that_cannot_be_clicked(bundle, tmp_path, change):
    frames = json.loads(bundle.file(REPLAY_INDEX).read_bytes())["frames"]
    with pytest.raises(CalibrationError) as error:
        read_index(rewritten(bundle, tmp_path / "other", frames=[frames[0] | change]))
    assert frames[0]["file"] in error.value.found


def test_an_index_that_is_no_json(bundle, tmp_path):
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    broken = write_bundle(tmp_path / "x", bundle.manifest, {**files, REPLAY_INDEX: b"\xff"})
    with pytest.raises(CalibrationError, match="cannot be replayed"):
        read_index(broken)


def test_a_bundle_without_pictures_has_no_index(tiny_bundle):
    with pytest.raises(BundleError, match=r"has no file calibration/replay/index\.json"):
        read_index(tiny_bundle)


def test_a_picture_that_is_decoded_to_other_pixels(bundle, tmp_path):
    """As by another OpenCV, which the sha256 of the file cannot tell."""
    frames = json.loads(bundle.file(REPLAY_INDEX).read_bytes())["frames"]
    frames[0]["sha256"] = "0" * 64
    other = rewritten(bundle, tmp_path / "other", frames=frames)
    with pytest.raises(CalibrationError) as error:
        read_picture(other, read_index(other).frames[0])
    assert "pixels of sha256 0000" in error.value.expected
    name = f"{FOLDER}/{frames[1]['file']}"
    files = {x: other.file(x) for x in other.manifest.files}
    torn = write_bundle(tmp_path / "torn", other.manifest, {**files, name: b"RIFF"})
    with pytest.raises(CalibrationError) as error:
        read_picture(torn, read_index(torn).frames[1])
    assert error.value.found == "no picture that OpenCV can decode"
