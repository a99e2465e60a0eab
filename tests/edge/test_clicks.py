"""Click files: what they say, and what is said of broken ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clicks import ClickSchedule, read_clicks
from edge.errors import ClickError
from edge.types import Click, Frame


def write(folder, text, name="clicks.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def frame(index=0, time_s=0.0, source="a/pic.jpg"):
    return Frame(np.zeros((480, 640, 3), np.uint8), index, time_s, source)


def test_csv_and_json_lines_say_the_same(tmp_path):
    csv = write(tmp_path, "frame,id,x,y\n3,b1,10.5,20\n3,b2,0,480\n4,b1,11,21\n")
    lines = '{"frame": 3, "id": "b1", "x": 10.5, "y": 20}\n\n'
    lines += '{"x": 0, "y": 480, "id": "b2", "frame": "3"}\n{"frame":4,"id":"b1","x":11,"y":21}\n'
    json = write(tmp_path, lines, "clicks.jsonl")
    first, second = (
        [(item.click, item.frame) for item in read_clicks(path)] for path in (csv, json)
    )
    assert first == second
    assert first[0] == (Click("b1", 10.5, 20.0), 3)


def test_clicks_by_index_by_name_and_for_every_frame(tmp_path):
    by_name = ClickSchedule.read(write(tmp_path, "frame,id,x,y\npic.jpg,a,1,2\n7,b,3,4\n"))
    assert by_name.take(frame()) == (Click("a", 1, 2),)
    assert by_name.take(frame(7, source="other.jpg")) == (Click("b", 3, 4),)
    assert by_name.take(frame(8, source="other.jpg")) == ()
    assert by_name.unused == 0
    always = ClickSchedule.read(write(tmp_path, "id,x,y\ncross,320,240\n"))
    assert always.take(frame(0)) == always.take(frame(99)) == (Click("cross", 320, 240),)


def test_a_click_by_time_is_for_the_first_frame_after_it(tmp_path):
    text = "time,id,x,y\n0.95,a,1,1\n1.00,b,2,2\n1.5,a,3,3\n1.6,a,4,4\n9,z,5,5\n"
    schedule = ClickSchedule.read(write(tmp_path, text))
    assert schedule.take(frame(0, 0.5)) == ()
    assert schedule.take(frame(1, 1.0)) == (Click("a", 1, 1), Click("b", 2, 2))
    assert schedule.take(frame(2, 2.0)) == (Click("a", 4, 4),)  # of two on one object the later
    assert schedule.take(frame(3, 20.0)) == ()  # the click at 9 s is too old for a frame at 20 s
    assert schedule.unused == 1  # an overtaken click has done its duty, a late one has not


def test_clicks_of_frames_that_never_come_are_counted(tmp_path):
    schedule = ClickSchedule.read(write(tmp_path, "frame,id,x,y\n0,a,1,1\n50,a,1,1\n51,b,1,1\n"))
    schedule.take(frame(0))
    assert schedule.unused == 2


CASES = {
    "unknown column": ("frame,id,x,yy\n", ["line 1", "unknown column `yy`", "write `y`"]),
    "misspelt time": ("tme,id,x,y\n0,a,1,1\n", ["unknown column `tme`", "write `time`"]),
    "missing column": ("frame,id,x\n", ["the column `y` is missing", "frame,id,x,y"]),
    "doubled column": ("frame,id,x,x,y\n", ["the column `x` is there twice"]),
    "NaN": ("frame,id,x,y\n0,a,1,2\n0,b,nan,2\n", ["line 3", "`x` is not a number", "'nan'"]),
    "infinity": ("frame,id,x,y\n0,a,1,inf\n", ["line 2", "`y` is not a number"]),
    "text": ("frame,id,x,y\n0,a,left,2\n", ["line 2", "`x` is not a number", "'left'"]),
    "empty cell": ("frame,id,x,y\n0,a,,2\n", ["line 2", "`x` is empty"]),
    "empty file": ("", ["is empty", "at least one line"]),
    "only a header": ("frame,id,x,y\n", ["is empty", "a header without lines"]),
    "doubled id": ("frame,id,x,y\n0,a,1,2\n1,a,1,2\n0,a,5,6\n", ["line 4", "twice", "line 2"]),
    "no id": ("frame,id,x,y\n0,,1,2\n", ["line 2", "no id"]),
    "half a frame": ("frame,id,x,y\n1.5,a,1,2\n", ["`frame` is not an index", "'1.5'", "`time`"]),
    "decimal commas": ("frame,id,x,y\n0,a,1,5,2\n", ["not as many cells", "5 cells"]),
    "semicolons": ("frame;id;x;y\n0;a;1;2\n", ["line 1", "not separated by commas", "points in"]),
    "tabs": ("frame\tid\tx\ty\n0\ta\t1\t2\n", ["line 1", "not separated by commas"]),
    "a swallowed file": ('frame,id,x,y\n0,"a' + 140_000 * "b", ["line 2", "quotation mark"]),
    "a long frame": (f"frame,id,x,y\n{'9' * 5000},a,1,2\n", ["line 2", "`frame` is not an index"]),
    "both": ("frame,time,id,x,y\n0,1.0,a,1,2\n", ["more than one of frame, time", "frame 0"]),
    "one without": ("frame,id,x,y\n0,a,1,2\n,b,1,2\n", ["line 3", "a click of no frame", "'b'"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_file_names_its_line_and_what_to_do(tmp_path, name):
    text, words = CASES[name]
    path = write(tmp_path, text)
    with pytest.raises(ClickError) as caught:
        read_clicks(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)
    assert all((caught.value.what, caught.value.expected, caught.value.found, caught.value.do))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"frame": 0, "id": "a", "x": 1, "y": 2}\n[1, 2]\n', ["line 2", "not a JSON object"]),
        ('{"frame": 0, "id": "a", "x": 1', ["line 1", "not a JSON object"]),
        ('{"frame": 0, "id": "a", "X": 1, "y": 2}', ["unknown column `X`", "write `x`"]),
        ('{"frame": 0, "id": "a", "x": true, "y": 2}', ["`x` is not a number", "'true'"]),
        ('{"frame": 0, "id": "a", "x": NaN, "y": 2}', ["`x` is not a number"]),
        ("[" * 100_000, ["line 1", "not a JSON object"]),
        ('{"frame": 0, "id": "a", "x": 1, "y": 2, "foo": 3}', ["`foo`", "do:       take the col"]),
    ],
)
def test_broken_json_lines(tmp_path, text, words):
    with pytest.raises(ClickError) as caught:
        read_clicks(write(tmp_path, text, "clicks.jsonl"))
    for word in words:
        assert word in str(caught.value)


def test_a_line_of_json_ends_where_the_line_does(tmp_path):
    text = (
        '{"frame": 0, "id": "a\u2028b", "x": 1, "y": 2}\r\n{"frame": 1, "id": "c", "x": 1, "y": 2}'
    )
    clicks = read_clicks(write(tmp_path, text, "clicks.jsonl"))
    assert [placed.click.click_id for placed in clicks] == ["a\u2028b", "c"]
    text = 'frame,id,x,y\n0,"a\u2028b",1,2\n'
    assert read_clicks(write(tmp_path, text))[0].click.click_id == "a\u2028b"


def test_files_that_are_missing_or_no_text(tmp_path):
    with pytest.raises(ClickError, match="cannot be read"):
        read_clicks(tmp_path / "none.csv")
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ClickError, match="in UTF-8"):
        read_clicks(path)
    with pytest.raises(ClickError, match="Is a directory"):
        read_clicks(tmp_path)


def test_another_encoding_is_named_with_its_place(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("frame,id,x,y\n0,Straße,1,2\n".encode("latin-1"))
    with pytest.raises(ClickError) as caught:
        read_clicks(path)
    assert "latin.csv cannot be read" in caught.value.what
    assert "byte 0xdf at position 19" in caught.value.found and "as UTF-8" in caught.value.do


def test_shares_of_the_frame_are_not_taken_for_pixels(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text("frame,id,x,y\n0,a,0.5,0.59\n1,b,1.0,0.25\n")
    with pytest.raises(ClickError, match="are not in pixels") as caught:
        read_clicks(path)
    assert caught.value.found == "none above 1: the first is x 0.5, y 0.59"
    assert "by the width" in caught.value.do
    for pixels in ("0,a,0,0\n1,b,1,0", "0,a,0.5,0.5\n1,b,300,0.5", "0,a,-0.5,0.5"):
        path.write_text(f"frame,id,x,y\n{pixels}\n")
        assert len(read_clicks(path)) == pixels.count("\n") + 1


def test_a_click_outside_its_frame_names_its_line(tmp_path):
    schedule = ClickSchedule.read(write(tmp_path, "frame,id,x,y\n0,edge,640,480\n1,far,640.1,3\n"))
    assert schedule.take(frame(0))  # the far edge itself is inside
    with pytest.raises(ClickError) as caught:
        schedule.take(frame(1))
    for word in ("line 3", "'far' lies outside the frame", "x from 0 to 640", "x 640.1, y 3"):
        assert word in str(caught.value)


numbers = st.floats(0, 4000, allow_nan=False).map(lambda value: round(value, 3))
ids = st.text("abcdefgh0123456789-_ äß", min_size=1, max_size=8).map(str.strip).filter(bool)
rows = st.lists(
    st.tuples(st.integers(0, 20), ids, numbers, numbers),
    min_size=1,
    max_size=20,
    unique_by=lambda row: row[:2],
).filter(lambda found: max(value for row in found for value in row[2:]) > 1)  # pixels


@given(rows)
def test_what_is_written_is_read(tmp_path_factory, rows):
    text = "frame,id,x,y\n" + "".join(f"{n},{name},{x},{y}\n" for n, name, x, y in rows)
    path = write(tmp_path_factory.mktemp("clicks"), text)
    found = [(i.frame, i.click.click_id, i.click.x_px, i.click.y_px) for i in read_clicks(path)]
    assert found == rows


def test_an_empty_click_file_is_told_what_can_be_done(tmp_path):
    for text in ("", "frame,id,x,y\n"):
        with pytest.raises(ClickError, match="is empty") as caught:
            read_clicks(write(tmp_path, text))
        assert "frame,id,x,y / 0,house-1" in caught.value.expected
        assert caught.value.do == "write that into it"  # --clicks cannot be left out
