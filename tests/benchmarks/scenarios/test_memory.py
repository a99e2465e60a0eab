"""Resident memory, from the files of a process."""

from __future__ import annotations

import gc
import os

import numpy as np
import pytest

from benchmarks.record.lines import Memory, Unknown
from benchmarks.scenarios.memory import LEAST_SAMPLES, MOST_SAMPLES, MemoryWatch, give_back

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
    give_back()  # else this takes what was free before
    watch = MemoryWatch()
    taken = np.ones(8_000_000)  # 64 MB, touched
    found = watch.read()
    assert isinstance(found, Memory)
    assert found.end_bytes - found.start_bytes > 0.8 * taken.nbytes
    assert found.peak_bytes >= found.end_bytes


def sampled(folder, pages):
    """What is read after a sample at each of these sizes, the last of them also the end."""
    write(folder, pages[0], 4)
    watch = MemoryWatch(folder)
    for each in pages:
        write(folder, each, 4)
        watch.sample()
    return watch.read()


def test_growth_is_between_the_first_tenth_and_the_last(tmp_path):
    """One page more at every sample; a moment's peak at either end does not count."""
    pages = [500, *range(101, 139), 900]
    found = sampled(tmp_path, pages)
    assert found.samples_bytes == tuple(PAGE * each for each in pages)
    first, last = PAGE * np.median([500, 101, 102, 103]), PAGE * np.median([136, 137, 138, 900])
    assert (found.first_bytes, found.last_bytes) == (int(first), int(last))
    assert found.growth == pytest.approx(last / first - 1)
    assert found.peak_bytes == 900 * PAGE
    assert sampled(tmp_path, [100] * 40).growth == 0.0


def test_few_samples_leave_both_ends(tmp_path):
    found = sampled(tmp_path, [100] * (LEAST_SAMPLES - 2) + [110])
    assert found.first_bytes is None and found.last_bytes is None
    assert found.growth == pytest.approx(0.1)


def test_samples_of_a_long_run_stay_few_and_even(tmp_path):
    write(tmp_path, 1, 4)
    watch, count = MemoryWatch(tmp_path), 3 * MOST_SAMPLES + 5
    for number in range(1, count + 1):
        (tmp_path / "statm").write_text(f"9 {number} 7")
        watch.sample()
    pages = np.array(watch.read().samples_bytes) // PAGE
    assert MOST_SAMPLES / 2 <= len(pages) < MOST_SAMPLES
    assert pages[0] == 1 and count - pages[-1] < 4 and set(np.diff(pages)) == {4}


def test_what_nobody_holds_is_given_back():
    """A ring of small pieces, which only the collector finds and malloc keeps for itself."""
    gc.disable()
    try:
        ring = [bytes(bytearray([7]) * 40_000) for _ in range(1000)]  # 40 MB
        ring.append(ring)
        watch = MemoryWatch()
        del ring
        held = watch.read()
        give_back()
        freed = watch.read()
    finally:
        gc.enable()
    assert held.end_bytes - freed.end_bytes > 20_000_000
