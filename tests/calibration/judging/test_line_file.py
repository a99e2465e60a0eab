import msgspec
import pytest

from calibration.judging.line_file import LineFile
from edge.errors import CalibrationError, OutputError


class Done(msgspec.Struct, frozen=True):
    key: str
    value: float


def test_what_was_done_is_found_again(tmp_path):
    path = tmp_path / "work" / "done.jsonl"
    LineFile(path, Done).add(Done("a", 0.1))
    lines = LineFile(path, Done)
    assert lines.get("a") == Done("a", 0.1) and lines.get("b") is None
    lines.add(Done("b", 0.2))
    assert LineFile(path, Done).get("b") == Done("b", 0.2)


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_line_that_a_kill_cut_is_done_again(tmp_path, cut):
    path = tmp_path / "done.jsonl"
    lines = LineFile(path, Done)
    lines.add(Done("a", 0.1))
    lines.add(Done("b", 0.2))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = LineFile(path, Done)
    assert again.get("a") is not None and again.get("b") is None
    again.add(Done("b", 0.2))
    assert path.read_bytes() == whole


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "done.jsonl"
    path.write_text('{"key": "a", "value": "much"}\n')
    with pytest.raises(CalibrationError, match="earlier work is damaged") as caught:
        LineFile(path, Done)
    assert f"remove {path}" in caught.value.do


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        LineFile(tmp_path / "file" / "done.jsonl", Done).add(Done("a", 0.1))
