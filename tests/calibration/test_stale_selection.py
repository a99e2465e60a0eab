"""A work folder of another calibration: the command says what was asked for now and what then."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import onnx
import pytest

from calibration.calibrate import open_float, selected
from calibration.request import CalibrationRequest
from calibration.selection.asked import REQUEST_NAME
from calibration.selection.request import ImageSource
from edge.bundle import LOCALIZER, Bundle, write_bundle
from edge.cli import main
from tests.support.made_flights import make_flight
from tests.support.settled_lite import FRAME_PX
from tests.support.small_calibration import FRAMES, WINDOWS, make_places, words_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, once) -> Path:
    """bundle/, flight/, map.mbtiles, and work/ with the selection of `words_of`."""
    home = make_places(tmp_path_factory.mktemp("stale"), once)
    make_flight(home / "later", FRAMES + 4, first_seed=700)
    make_selection(request_of(home))
    bundle = Bundle.open(home / "bundle")
    write_bundle(home / "larger", with_frame_px(bundle, 2 * FRAME_PX), files_of(bundle))
    graphs = {
        name: with_a_note(bundle.file(name)) for name in bundle.manifest.files if LOCALIZER in name
    }
    write_bundle(home / "other", bundle.manifest, files_of(bundle) | graphs)
    return home


def request_of(home: Path) -> CalibrationRequest:
    return CalibrationRequest(
        bundle=home / "bundle",
        out=home / "int8",
        frames=(ImageSource(home / "flight"),),
        maps=(ImageSource(home / "map.mbtiles"),),
        frame_count=FRAMES,
        window_count=WINDOWS,
        threads=1,
        work=home / "work",
    )


def make_selection(request: CalibrationRequest):
    return selected(request, open_float(request.bundle), lambda step: None)


def files_of(bundle: Bundle) -> dict[str, bytes | Path]:
    return {name: bundle.file(name) for name in bundle.manifest.files}


def with_frame_px(bundle: Bundle, side_px: int):
    frame = msgspec.structs.replace(bundle.manifest.frame, width_px=side_px, height_px=side_px)
    return msgspec.structs.replace(bundle.manifest, frame=frame)


def with_a_note(path: Path) -> bytes:
    """Another graph, as another training would give one."""
    model = onnx.load(str(path), load_external_data=False)
    model.doc_string = "trained longer"
    return model.SerializeToString()


def said(words: list[str], monkeypatch, capsys) -> str:
    """The error of the console command."""
    monkeypatch.setattr(sys, "argv", ["tilefix", "calibrate", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    text = capsys.readouterr().err
    assert ended.value.code == 15, text
    return text


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (["--frame-count=33"], ["number of frames: wanted 33, found 32"]),
        (["--window-count=17"], ["number of windows: wanted 17, found 16"]),
        (["--seed=5"], ["seed: wanted 5, found 0"]),
        (
            ["--seed=5", "--frame-count=33"],
            ["number of frames: wanted 33, found 32; seed: wanted 5, found 0\n"],
        ),
        (["bundle=larger"], ["frame size in px: wanted 256 x 256, found 128 x 128"]),
        (["bundle=other"], ["model: wanted peaks of ", ", found peaks of "]),
        (["frames=later"], ["frames of sources: wanted later, found flight"]),
        (["frames=flight=later"], ["frames of sources: wanted flight=later, found flight"]),
        (["--season=flight=dry"], ["other files, season or telemetry of flight"]),
    ],
    ids=lambda value: value[0] if str(value[0]).startswith(("-", "b", "f")) else "",
)
def test_what_differs_is_told(places, change, texts, monkeypatch, capsys) -> None:
    words = words_of(places, places / "int8", f"--work={places / 'work'}")
    for each in change:
        key, _, value = each.partition("=")
        if key == "bundle":
            words[0] = str(places / value)
        elif key == "frames":
            site, sign, name = value.rpartition("=")
            words[1] = f"--frames={site}{sign}{places / name}"
        else:
            words.append(each)
    text = said(words, monkeypatch, capsys)
    target = places / "work" / "selection"
    assert f"the selection cannot be written to {target}" in text
    assert f"give another --work, or remove {target}\n" in text and "--out" not in text
    found = text.partition("found:")[2].partition("do:")[0]
    assert all(each in found + "\n" for each in texts), found
    named = [name for name in ("number of", "seed", "size", "model", "sources") if name in found]
    assert len(named) <= len(change), f"more than what changed: {found}"


def test_the_same_request_takes_the_selection_of_an_earlier_version(places, tmp_path) -> None:
    """A folder without request.json: taken where the request is the same, and left as it is."""
    request = replace(request_of(places), work=tmp_path)
    made = make_selection(request)
    (made.path / REQUEST_NAME).unlink()
    again = make_selection(request)
    assert again.selection == made.selection
    assert not (made.path / REQUEST_NAME).exists()


def test_of_another_request_it_says_that_it_cannot_know(places, tmp_path, monkeypatch, capsys):
    made = make_selection(replace(request_of(places), work=tmp_path))
    (made.path / REQUEST_NAME).unlink()
    words = words_of(places, places / "int8", f"--work={tmp_path}", "--seed=5")
    text = said(words, monkeypatch, capsys)
    assert "made by an earlier version of tilefix" in text and REQUEST_NAME in text
    assert "sources that have changed" not in text
