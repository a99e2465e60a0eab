"""A disk that is full: the error says so, and what was there before is whole."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

import edge.cli
from edge.bundle import Bundle, write_bundle
from edge.errors import OutputError

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def rewrite(bundle: Bundle, folder, **options) -> Bundle:
    names = bundle.manifest.files
    return write_bundle(folder, bundle.manifest, {n: bundle.file(n) for n in names}, **options)


def fill_up(monkeypatch, after: int) -> None:
    """So many files can still be copied."""
    copied = []

    def copyfile(source, target):
        if len(copied) >= after:
            raise FULL
        copied.append(target)
        return whole(source, target)

    whole = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", copyfile)


@pytest.mark.parametrize("after", [0, 1])
def test_no_half_bundle_is_left(tiny_bundle, tmp_path, monkeypatch, after):
    fill_up(monkeypatch, after)
    with pytest.raises(OutputError) as caught:
        rewrite(tiny_bundle, tmp_path / "new")
    assert caught.value.what == f"{tmp_path / 'new'} cannot be written"
    assert caught.value.found == "OSError: No space left on device"
    assert "free some space" in caught.value.do
    assert list(tmp_path.iterdir()) == []


def test_the_bundle_that_was_there_stays(tiny_bundle, tmp_path, monkeypatch):
    there = rewrite(tiny_bundle, tmp_path / "there")
    with monkeypatch.context() as patch:
        fill_up(patch, 1)
        with pytest.raises(OutputError):
            rewrite(tiny_bundle, tmp_path / "there", replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert Bundle.open(tmp_path / "there").manifest == there.manifest


def test_a_folder_that_cannot_be_made(tiny_bundle, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match="is no folder, or a file is in its way"):
        rewrite(tiny_bundle, tmp_path / "file" / "new")


def test_a_file_to_copy_that_is_not_there_is_not_called_a_full_disk(tiny_bundle, tmp_path):
    missing = {"graphs/fp32/localizer.onnx": tmp_path / "none.onnx"}
    with pytest.raises(FileNotFoundError):
        write_bundle(tmp_path / "new", tiny_bundle.manifest, missing)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_the_command_ends_with_four_parts_wherever_it_was_met(monkeypatch, capsys, number):
    def verb() -> None:
        raise OSError(number, os.strerror(number), "work/answers.jsonl")

    monkeypatch.setattr(edge.cli, "tilefix", verb)
    with pytest.raises(SystemExit) as ended:
        edge.cli.main()
    assert ended.value.code == OutputError.exit_code == 14
    assert capsys.readouterr().err.splitlines() == [
        "tilefix: work/answers.jsonl cannot be written",
        "  expected: a folder that may be written to, with room",
        f"  found:    OSError: {os.strerror(number)}",
        "  do:       free some space, or choose another folder with --out; "
        "what was written before is kept",
    ]


def test_another_error_of_the_system_is_a_defect_and_stays_a_traceback(monkeypatch):
    def verb() -> None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(edge.cli, "tilefix", verb)
    with pytest.raises(OSError, match="Bad file descriptor"):
        edge.cli.main()
