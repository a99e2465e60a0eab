"""Memory for running and for building, with the low-memory preset."""

from __future__ import annotations

import pytest
from system_trees import memory, orin_jetpack_6, put

from edge.checkups.finding import State
from edge.checkups.memory import ADD_SWAP, ENCODE_BYTES, LOCATE_BYTES, STOP_DESKTOP, examine_memory
from edge.errors import ExecutorError
from edge.machine import build_memory_bytes
from export.engines.memory import limit_memory


def by_name(root, **options):
    return {each.name: each for each in examine_memory(root, **options)}


@pytest.mark.parametrize(
    ("available_mb", "state", "word"),
    [
        (ENCODE_BYTES >> 20, State.OK, "900 MB"),
        ((ENCODE_BYTES >> 20) - 1, State.NOTE, "--store"),
        ((LOCATE_BYTES >> 20) - 1, State.FAILED, "end other programs"),
    ],
)
def test_running(tmp_path, available_mb, state, word):
    put(tmp_path, {"proc/meminfo": memory(4000, available_mb)})
    finding = by_name(tmp_path)["memory"]
    assert finding.state is state
    assert word in finding.found + finding.remedy


def test_a_system_that_does_not_say(tmp_path):
    (finding,) = examine_memory(tmp_path)
    assert finding.state is State.NOTE and "does not say" in finding.found


def test_an_orin_agx_has_room(tmp_path):
    found = by_name(orin_jetpack_6(tmp_path))
    assert {each.state for each in found.values()} == {State.OK}
    assert list(found) == ["memory", "swap", "engine build"]


def test_an_orin_nano_with_a_desktop_gets_the_low_memory_preset(tmp_path):
    put(tmp_path, {"proc/meminfo": memory(7_600, 2_000, 512), "run/gdm3/greeter": ""})
    found = by_name(tmp_path)
    build = found["engine build"]
    assert build.state is State.NOTE
    assert build.found == "may take 2.2 GB of memory and swap, takes 2.7 GB at most"
    assert build.commands == (STOP_DESKTOP, ADD_SWAP)
    assert build.advice.startswith("low-memory preset: ") and "0.8 GB" in build.advice
    assert found["swap"].found == "0.5 GB"
    (tmp_path / "run/gdm3/greeter").unlink()
    (tmp_path / "run/gdm3").rmdir()
    assert STOP_DESKTOP not in by_name(tmp_path)["engine build"].remedy


def test_swap_is_room_for_a_build(tmp_path):
    put(tmp_path, {"proc/meminfo": memory(7_600, 2_000, 8_000)})
    found = by_name(tmp_path)
    assert found["engine build"].state is found["swap"].state is State.OK


LARGEST_GRAPH_BYTES = 220_000_000


@pytest.mark.parametrize("available_mb", [900, 2500, 4000])
def test_doctor_and_build_agree_about_swap_to_the_megabyte(tmp_path, available_mb):
    """Swap is added until the doctor is content; there, and not before, the build begins."""

    def begins(swap_mb: int) -> tuple[bool, bool]:
        put(tmp_path, {"proc/meminfo": memory(7_600, available_mb, swap_mb)})
        try:
            limit_memory("tensorrt", LARGEST_GRAPH_BYTES, build_memory_bytes(tmp_path))
        except ExecutorError:
            built = False
        else:
            built = True
        return by_name(tmp_path)["engine build"].state is State.OK, built

    least, enough = -1, 8000
    while enough - least > 1:
        middle = (least + enough) // 2
        content, built = begins(middle)
        assert content == built
        least, enough = (least, middle) if content else (middle, enough)
    # 0.9 x 3066 MiB are the first to hold 1500 MiB and six copies of 220 MB
    assert enough == max(0, 3066 - available_mb)


def test_where_nothing_is_built_neither_swap_nor_build_is_a_matter(tmp_path):
    put(tmp_path, {"proc/meminfo": memory(2_000, 1_500)})
    assert list(by_name(tmp_path, builds=False)) == ["memory"]
