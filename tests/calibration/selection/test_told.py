"""Season and telemetry from the command line: whose they become, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from made_flights import make_flight, make_map, make_request

import calibration.calibrate as course
from calibration.command import calibrate
from calibration.selection.request import ImageSource, checked
from calibration.selection.selector import select
from calibration.selection.told import with_told
from edge.errors import UsageError

HARBOUR, FIELDS = ImageSource(Path("flights/0412"), site="harbour"), ImageSource(Path("fields"))


def test_each_goes_to_the_sources_of_its_site():
    again = ImageSource(Path("flights/0413"), site="harbour")
    made = with_told(
        (HARBOUR, FIELDS, again),
        ("harbour=a.csv", "harbour=b.csv"),
        ("fields=Mar-May", "harbour=wet=season"),
    )
    assert [each.telemetry for each in made] == [Path("a.csv"), None, Path("b.csv")]
    assert [each.season for each in made] == ["wet=season", "Mar-May", "wet=season"]
    assert [(x.path, x.site) for x in made] == [
        (x.path, x.site) for x in (HARBOUR, FIELDS, again)
    ], "the request has the same sites as without"


def test_two_folders_of_one_name_are_told_apart_as_in_the_selection():
    sources = ImageSource(Path("a/frames")), ImageSource(Path("b/frames"))
    made = with_told(sources, ("b/frames=t.csv",), ())
    assert [each.telemetry for each in made] == [None, Path("t.csv")]


@pytest.mark.parametrize(
    ("telemetry", "seasons", "what", "do"),
    [
        (("harbor=t.csv",), (), "--telemetry names a site", "--telemetry harbour=t.csv, or name"),
        ((), ("field=dry",), "--season names a site", "--season fields=dry, or name"),
        (("t.csv",), (), "--telemetry cannot be read", "give a site before and a file behind"),
        ((), ("fields=",), "--season cannot be read", "give a site before and a name behind"),
        ((), ("fields=dry", "fields=wet"), "has more than one season", "--frames NAME=PATH"),
        (("fields=a", "fields=b"), (), "does not fit its sources", "give one --telemetry fields="),
    ],
)
def test_what_cannot_be_meant_is_refused(telemetry, seasons, what, do):
    with pytest.raises(UsageError) as caught:
        with_told((HARBOUR, FIELDS), telemetry, seasons)
    error = caught.value
    assert what in error.what and do in error.do
    assert error.expected and error.found
    if "names a site" in what:
        assert error.expected == "one of: harbour, fields"


def test_without_frames_there_is_no_site():
    with pytest.raises(UsageError, match="names a site that no frames are of") as caught:
        with_told((), ("harbour=t.csv",), ())
    assert caught.value.do == "give --frames SITE=PATH"


def test_one_file_for_two_flights_of_a_site_is_refused():
    with pytest.raises(UsageError) as caught:
        with_told((HARBOUR, HARBOUR), ("harbour=a.csv",), ())
    assert "(2), in their order" in caught.value.expected
    assert caught.value.do == "give --telemetry harbour=FILE 2 times"


def test_the_options_reach_the_groups_of_the_selection(tmp_path, monkeypatch):
    """By the command, up to the request; from there by the selection."""
    asked = []

    def stop(request, progress):
        asked.append(request)
        raise UsageError("enough", expected="", found="", do="")

    monkeypatch.setattr(course, "calibrate", stop)
    make_flight(tmp_path / "flight", 14)
    rows = [f"{n},{100 if n % 2 else 40}" for n in range(14)]
    (tmp_path / "t.csv").write_text("frame,alt_m\n" + "\n".join(rows) + "\n")
    words = [
        "bundle",
        f"--frames=harbour={tmp_path / 'flight'}",
        f"--telemetry=harbour={tmp_path / 't.csv'}",
        "--season=harbour=monsoon",
        f"--out={tmp_path / 'out'}",
    ]
    CliRunner().invoke(calibrate, words)
    (request,) = asked
    make_map(tmp_path / "map.mbtiles")
    made = make_request(list(request.frames), [tmp_path / "map.mbtiles"], frames=8)
    folder = select(made, tmp_path / "selection")
    seen = {(image.site, image.season, image.altitude_m) for image in folder.frames}
    assert seen == {("harbour", "monsoon", 40), ("harbour", "monsoon", 100)}
    assert checked(made).sources == made.sources


def test_a_check_of_a_flight_reads_neither():
    for words in (["--telemetry=a=b"], ["--season=a=b"]):
        done = CliRunner().invoke(calibrate, ["nowhere", "--check=flight", *words])
        assert isinstance(done.exception, UsageError)
        assert done.exception.found == words[0].rpartition("=a=b")[0]
