"""Resident memory, from the files of a process."""

from __future__ import annotations

import os

import numpy as np
import pytest

from benchmarks.record.lines import Memory, Unknown
from benchmarks.scenarios.memory import MemoryWatch

PAGE = os.sysconf("SC_PAGE_SIZE")


def write(folder, pages, peak_kb):
    (folder / "statm").write_text(f"9999 {pages} 7 1 0 5 0\n")
    (folder / "status").write_text(f"Name:\tpython\nVmHWM:\t  {peak_kb} kB\nVmRSS:\t 1 kB\n")


def test_start_end_and_peak_are_read_where_the_kernel_writes_them(tmp_path):
    write(tmp_path, 100, 4096)
    watch = MemoryWatch(tmp_path)
    assert (tmp_path / "clear_refs").read_text() == "5", "the peak of before is not ours"
    write(tmp_path, 120, 8192)
    assert watch.read() == Memory(100 * PAGE, 120 * PAGE, 8192 * 1024)


def test_a_peak_that_is_not_told_is_at_least_what_was_seen(tmp_path):
    write(tmp_path, 100, 4)
    watch = MemoryWatch(tmp_path)
    (tmp_path / "status").unlink()
    assert watch.read() == Memory(100 * PAGE, 100 * PAGE, 100 * PAGE)


@pytest.mark.parametrize("content", [None, "", "12", "a b c"])
def test_what_cannot_be_read_is_unknown_with_its_path(tmp_path, content):
    if content is not None:
        (tmp_path / "statm").write_text(content)
    found = MemoryWatch(tmp_path).read()
    assert isinstance(found, Unknown)
    assert str(tmp_path / "statm") in found.reason


def test_the_real_process_shows_what_it_takes():
    watch = MemoryWatch()
    taken = np.ones(8_000_000)  # 64 MB, touched
    found = watch.read()
    assert isinstance(found, Memory)
    assert found.end_bytes - found.start_bytes > 0.8 * taken.nbytes
    assert found.peak_bytes >= found.end_bytes
