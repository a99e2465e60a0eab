import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import CheckpointError, DataError
from training.checkpoints.safe_pickle import load_plain

RECORDS = [(7, "7_1_2.jpg", "a.jpg", (400, 222), (200, 111), [1.5, 2.0, 3.0, 4.0], [0.0] * 8, "x")]
PROTOCOLS = (2, 3, 4, 5)


class Malicious:
    """What an attacker would put into a file: a command that runs when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch '{self.witness}'",)


def test_records_come_back_as_they_were_written(tmp_path) -> None:
    torch.save(RECORDS, tmp_path / "a.pth")
    assert load_plain(tmp_path / "a.pth") == RECORDS


@pytest.mark.parametrize("as_zip", [True, False])
def test_numpy_numbers_and_arrays_are_plain_values(tmp_path, as_zip) -> None:
    value = [(np.int64(7), np.float32(1.5), np.array([[1.0, 2.0]]), np.array(["a", "b"]), b"q")]
    torch.save(value, tmp_path / "a.pth", _use_new_zipfile_serialization=as_zip)
    (got,) = load_plain(tmp_path / "a.pth")
    assert got[:2] == value[0][:2] and got[4] == b"q"
    assert got[2].tolist() == [[1.0, 2.0]] and got[3].tolist() == ["a", "b"]


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("wrap", [list, set, lambda v: {"a": v}, lambda v: np.array(v, object)])
def test_a_file_that_would_run_a_command_does_not(tmp_path, as_zip, wrap) -> None:
    witness = tmp_path / "was_here"
    path = tmp_path / "evil.pth"
    value = [(1, wrap([Malicious(witness)]))]
    torch.save(value, path, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(DataError, match=r"could run code") as caught:
        load_plain(path)
    assert not witness.exists()
    assert any(name in caught.value.found for name in ("posix.system", "numpy.", "set"))
    torch.load(path, weights_only=False)
    assert witness.exists(), "the file is as harmful as the test needs it to be"


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
@pytest.mark.parametrize("as_zip", [True, False])
def test_truncated_file_is_said_to_be_broken(tmp_path, as_zip, share) -> None:
    path = tmp_path / "cut.pth"
    torch.save(RECORDS * 20, path, _use_new_zipfile_serialization=as_zip)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError) as caught:
        load_plain(path)
    assert "download or copy the file again" in str(caught.value)
    assert f"{path.stat().st_size} bytes" in caught.value.found


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<!DOCTYPE html><html>Virus scan warning</html>", "a web page"),
        (b"1 2 3\n" * 50, "of something else"),
        *(
            (pickle.dumps(RECORDS, protocol), "a pickle that is not torch's")
            for protocol in PROTOCOLS
        ),
    ],
)
def test_other_content_is_described(tmp_path, content, found) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with (
        warnings.catch_warnings(),
        pytest.raises(DataError, match=r"a\.pth cannot be read") as caught,
    ):
        warnings.simplefilter("error")  # torch has advice of its own, which is not ours
        load_plain(path)
    assert found in caught.value.found
    assert "weights_only" not in str(caught.value), "never tell how to switch the guard off"


def test_missing_file_and_folder_name_the_path(tmp_path) -> None:
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(DataError, match="check the path"):
            load_plain(path)


def test_the_caller_chooses_the_error(tmp_path) -> None:
    with pytest.raises(CheckpointError):
        load_plain(tmp_path / "none.pth", CheckpointError)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_loaded_or_refused(tmp_path_factory, content, magic) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.pth"
    path.write_bytes((b"\x80\x02" if magic else b"") + content)
    with pytest.raises(DataError):
        load_plain(path)
