"""`tilefix calibrate` from end to end on a small `lite`: select, observe, judge, write, use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from calibration.calibrate import Observations, float_source, observe, open_float, shifts_of
from calibration.command import calibrate
from calibration.flight_check import calibrated_graphs
from calibration.int8_bundle import JUDGEMENT, RANGES, REPORT, Proof, write_int8_bundle
from calibration.quantization.int8_graphs import FloatGraphs
from calibration.ranges.record import Ranges
from calibration.replay_index import read_index
from calibration.replay_pictures import replay_files
from calibration.request import CalibrationRequest
from calibration.selection.record import SelectionFolder
from calibration.selection.request import ImageSource
from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from edge.cli import tilefix
from edge.errors import CalibrationError
from edge.executors.base import open_executor
from edge.localizer import Localizer
from edge.types import ReferenceWindow
from tests.support.killed_calibration import Lines, judge_lines, killed_when
from tests.support.made_flights import texture
from tests.support.settled_lite import FRAME_PX, WINDOW_PX
from tests.support.small_calibration import FRAMES, WINDOWS, make_places, run, words_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, once) -> Path:
    """bundle/, flight/ and map.mbtiles."""
    return make_places(tmp_path_factory.mktemp("calibrate"), once)


@pytest.fixture(scope="module")
def calibrated(places: Path):
    """The command's answer and its bundle, by min-max ranges, after two kills, and their traces.

    The first kill is among the ranges, the second in the judge, while it locates with INT8 graphs.
    """
    out, work = places / "int8", places / "int8.work"
    words = [*words_of(places, out), "--method=minmax"]
    killed_when(words, lambda: bool(list(work.glob("ranges/*/*.histograms"))))
    killed_when(words, lambda: sum(bool(x) for x in answers_in(judge_lines(work))) == 2)
    assert not out.exists()
    before = judge_lines(work)
    done = run(places, out, "--method=minmax")
    assert done.exit_code == 0, done.output
    return done, Bundle.open(out), before


def answers_in(lines: Lines) -> list[list[str]]:
    """Of float32 and of each candidate: frames that were located."""
    return [keys for name, keys in lines.items() if name.startswith("selection-")]


def test_the_bundle_has_both_forms_and_the_proof(calibrated, places) -> None:
    done, bundle, _ = calibrated
    assert bundle.precisions == ("fp16", "fp32", "int8+fp16", "int8+fp32")
    assert bundle.in_parts("int8+fp32") and not bundle.in_parts("int8+fp16")
    for name in (RANGES, JUDGEMENT, REPORT):
        assert name in bundle.manifest.files
    judgement = json.loads(bundle.file(JUDGEMENT).read_bytes())
    outcome = bundle.manifest.scores["int8"]["outcome"].partition(":")[0]
    assert outcome == f"{judgement['outcome']}, by agreement alone"
    assert judgement["outcome"] in done.output
    assert "rests on agreement" in " ".join(judgement["reasons"]), "nothing was labelled"
    assert any(each.startswith("blocks ranked by ") for each in judgement["reasons"])
    assert judgement["ranking"]["by"] == "MACs" and judgement["ranking"]["reason"]  # no plugin here
    for name, sha256 in judgement["graph_sha256"].items():
        assert bundle.manifest.files[name] == sha256
    assert Ranges.read(bundle.file(RANGES)).method == "minmax"
    before = Bundle.open(places / "bundle").manifest.files
    assert {name: bundle.manifest.files[name] for name in before} == before


def test_pictures_of_the_flight_are_in_it_unless_they_shall_not_be(calibrated, places) -> None:
    done, bundle, _ = calibrated
    work = places / "int8.work"
    index = read_index(bundle)
    selection = SelectionFolder.open(work / "selection")
    assert index.selection_sha256 == selection.selection.digest()
    assert (len(index.frames), len(index.windows)) == (16, 2)
    assert f"work, which can be removed now: {work}\n" in done.output
    sheet = '<img class="sheet"'
    assert sheet in bundle.file(REPORT).read_text()
    more = ["--method=minmax", f"--work={work}", "--no-replay-pictures"]
    said = run(places, places / "bare", *more).output
    assert f"no pictures for engines: keep {work / 'selection'}, and give it to" in said
    assert "until then `tilefix run` warns of INT8\nthe rest of the work, which can be" in said
    bare = Bundle.open(places / "bare")
    assert set(bundle.manifest.files) - set(bare.manifest.files) == set(replay_files(selection))
    assert sheet not in bare.file(REPORT).read_text()
    for name, sha256 in bare.manifest.files.items():
        assert name.startswith("calibration/") or bundle.manifest.files[name] == sha256


def test_int8_locates_about_as_float32_does(calibrated) -> None:
    bundle = calibrated[1]
    plain, int8 = (Localizer.open(bundle, precision=name, threads=1) for name in ("fp32", "int8"))
    assert int8.precision == "int8+fp32"
    picture = texture(7, (WINDOW_PX, WINDOW_PX))
    window = ReferenceWindow(picture, np.ones(picture.shape[:2], bool), None, "w", "made")
    features = [each.encode(window) for each in (plain, int8)]
    for name in ("v", "u"):
        one, other = (each.tensors[name].astype(np.float64) for each in features)
        cosine = (one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other)
        assert 0.9 < cosine < 0.99999, (name, cosine)


def test_check_keeps_the_flight_that_fits_and_refuses_one_beyond_the_ranges(
    calibrated, places
) -> None:
    bundle = calibrated[1]
    own = CliRunner().invoke(calibrate, [str(bundle.path), f"--check={places / 'flight'}"])
    assert own.exit_code == 0 and "\nkeep (" in own.output, own.output
    assert "windows were not looked at" in own.output
    ranges = Ranges.read(bundle.file(RANGES))
    halved = [msgspec.structs.replace(each, amax=each.amax / 4) for each in ranges.entries]
    narrow = msgspec.structs.replace(ranges, entries=tuple(halved))
    small = write_int8_bundle(Bundle.open(places / "bundle"), {}, Proof(narrow), places / "narrow")
    other = CliRunner().invoke(calibrate, [str(small.path), f"--check={places / 'flight'}"])
    assert "\nrecalibrate (" in other.output and other.exit_code == 1, other.output
    assert "of its values saturate" in other.output


def request_of(places: Path, name: str, **more) -> CalibrationRequest:
    return CalibrationRequest(
        bundle=places / "bundle",
        out=places / name,
        frames=(ImageSource(places / "flight"),),
        maps=(ImageSource(places / "map.mbtiles"),),
        method="minmax",
        frame_count=FRAMES,
        window_count=WINDOWS,
        threads=1,
        **more,
    )


def test_what_the_killed_judge_had_finished_was_not_done_again(calibrated, places) -> None:
    before, after = calibrated[2], judge_lines(places / "int8.work")
    assert any(name.startswith("blocks-") for name in before)
    counts = sorted(map(len, answers_in(before)))
    assert 0 < counts[0] < counts[1] == 2 * FRAMES, "in the midst of the candidate's frames"
    for name, keys in before.items():
        assert after[name][: len(keys)] == keys
    for name, keys in after.items():
        assert len(set(keys)) == len(keys), f"{name}: done again"
    assert sum(map(len, after.values())) > sum(map(len, before.values()))


@pytest.mark.full_size  # a whole run more; tests of each part are beside the parts
def test_the_killed_run_ended_as_one_that_was_not(calibrated, places) -> None:
    """Of all that is in the bundle only what tells of time differs."""
    done = run(places, places / "again", "--method=minmax")
    assert done.exit_code == 0, done.output
    killed, whole = calibrated[1], Bundle.open(places / "again")
    differ = {
        name
        for name in killed.manifest.files.keys() | whole.manifest.files.keys()
        if killed.manifest.files.get(name) != whole.manifest.files.get(name)
    }
    assert differ <= {JUDGEMENT, REPORT}  # so ranges and graphs in all forms are the same
    assert sum("int8" in name for name in whole.manifest.files) >= 4
    one, other = (json.loads(each.file(JUDGEMENT).read_bytes()) for each in (killed, whole))
    for told in (one, other):
        assert told.pop("seconds") > 0 and set(told.pop("latency_ratio")) == {ENCODER, LOCALIZER}
    assert one == other
    assert killed.manifest.scores["int8"] == whole.manifest.scores["int8"]


def test_shards_by_the_command_are_the_ranges_of_one_run(calibrated, places) -> None:
    """Two runs over a copy of the selection, and the histograms that the whole one found."""
    work = places / "sharded.work"
    shutil.copytree(places / "int8.work" / "selection", work / "selection")
    request = request_of(places, "sharded", shards=2)
    bundle = open_float(request.bundle)
    with pytest.raises(CalibrationError, match="holds no histograms"):
        observe(request, bundle, lambda step: None)
    for number in (1, 0):
        more = ["--method=minmax", "--shards=2", f"--shard={number}"]
        done = run(places, places / "sharded", *more)
        assert f"localizer: {FRAMES // 2} pictures of shard {number} of 2" in done.output
        assert not (places / "sharded").exists()
    merged = observe(request, bundle, lambda step: None).ranges["minmax"]
    assert merged == Ranges.read(calibrated[1].file(RANGES))


def test_equalised_and_corrected_graphs_are_others_of_the_same_answers(calibrated, places) -> None:
    request = request_of(places, "int8", equalise=True, correct_bias=True)
    bundle = open_float(request.bundle)
    source, words = float_source(request, bundle)
    assert int(words.split()[0]) >= 1 and "pairs of convolutions equalised" in words
    assert source.in_parts("fp32"), "INT8 of an equalised bundle is cut in parts as well"
    assert open_executor("onnxruntime", source, LOCALIZER, "fp32", 1), "parts of its own localizer"
    assert float_source(request, bundle)[0].manifest == source.manifest, "made once"
    window = np.ascontiguousarray(texture(7, (WINDOW_PX, WINDOW_PX)))
    answers = [
        open_executor("onnxruntime", each, ENCODER, "fp32", 1).run({"image": window})["v"]
        for each in (bundle, source)
    ]
    assert np.abs(answers[0].astype(np.float32) - answers[1].astype(np.float32)).max() < 2e-3
    seen = Observations(SelectionFolder.open(places / "int8.work" / "selection"), (), {})
    check_equalised(bundle, source, places)
    shifts = shifts_of(request, FloatGraphs(source), seen, lambda step: None)
    assert set(shifts) == {"reference_encoder", "localizer"}
    assert any(np.abs(each).max() > 0 for each in shifts["localizer"].values())


def check_equalised(bundle: Bundle, source: Bundle, places: Path) -> None:
    """`--check` finds the graphs that were calibrated again; those of another bundle it refuses."""
    own = Ranges.read(Bundle.open(places / "int8").file(RANGES))
    files = source.manifest.files
    found_in = {kind: files[f"graphs/fp32/{kind}.onnx"] for kind in own.graph_sha256}
    ranges = msgspec.structs.replace(own, graph_sha256=found_in)
    assert calibrated_graphs(bundle, own, places / "scratch") is bundle
    twin = calibrated_graphs(bundle, ranges, places / "scratch")
    assert {k: twin.manifest.files[f"graphs/fp32/{k}.onnx"] for k in found_in} == found_in
    made = write_int8_bundle(bundle, {}, Proof(ranges), places / "equalised")
    done = CliRunner().invoke(calibrate, [str(made.path), f"--check={places / 'flight'}"])
    assert "\nkeep (" in done.output, done.output
    strange = msgspec.structs.replace(own, graph_sha256=dict.fromkeys(found_in, "0" * 64))
    with pytest.raises(CalibrationError, match="of graphs that it does not hold") as caught:
        calibrated_graphs(bundle, strange, places / "strange")
    assert "0000000000000000" in caught.value.expected
    assert "pairs of convolutions are equalised" in caught.value.found


def test_an_int8_bundle_is_not_calibrated_again(calibrated, tmp_path) -> None:
    words = [str(calibrated[1].path), "--frames=a", "--tiles=b", f"--out={tmp_path / 'x'}"]
    done = CliRunner().invoke(tilefix, ["calibrate", *words])
    assert done.exception is not None and "cannot be calibrated" in str(done.exception)


def test_the_shipped_bundle_is_the_default() -> None:
    done = CliRunner().invoke(calibrate, ["--check=nowhere"])
    assert str(shipped_bundle_path()) in str(done.exception)


def test_frames_are_letterboxed_to_the_bundle(calibrated, places) -> None:
    record = json.loads((places / "int8.work" / "selection" / "selection.json").read_bytes())
    assert record["frame_px"] == [FRAME_PX, FRAME_PX]
