"""The order in which TileAttention's blocks take up work: nothing waits for what comes after it."""

from __future__ import annotations

import subprocess

import pytest

from export.plugin.build import SOURCES

PROGRAM = """
#include <cstdlib>
#include <map>
#include <set>
#include <tuple>
#include "tile_attention_tensor.h"
using namespace tilefix;
int main(int, char** words) {
    auto const number = [&](int i) { return unsigned(std::atoi(words[i])); };
    unsigned const min_max = number(1), windows = number(2), tiles = number(3), clicks = number(4);
    std::set<std::tuple<int, int, int>> seen;
    std::map<int, unsigned> cosines, ranks;  // tiles of a window
    unsigned const all = windows * tiles * (min_max ? 2 : 1) + windows * clicks;
    for (unsigned ticket = 0; ticket < all; ++ticket) {
        Item const item = item_of(ticket, min_max, windows, tiles, clicks);
        if (item.window < 0 || item.window >= int(windows)) return 1;
        if (item.index < 0 || item.index >= int(item.work == kAnswer ? clicks : tiles)) return 2;
        if (!seen.insert({item.work, item.window, item.index}).second) return 3;
        if (item.work == kRanks && cosines[item.window] != tiles) return 4;
        if (item.work == kAnswer && ranks[item.window] != tiles) return 5;
        if (item.work & kCosines) ++cosines[item.window];
        if (item.work & kRanks) ++ranks[item.window];
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(host_cxx, tmp_path_factory):
    folder = tmp_path_factory.mktemp("order")
    source, made = folder / "x.cpp", folder / "x.out"
    source.write_text(PROGRAM)
    flags = ("-std=c++17", "-O1", "-DTILEFIX_HOST", f"-I{SOURCES}")
    subprocess.run([host_cxx, *flags, source, "-o", made], check=True)
    return made


@pytest.mark.parametrize("min_max", [0, 1])
def test_every_ticket_is_other_work_after_what_it_waits_for(program, min_max):
    for windows in (1, 2, 7, 8, 33):
        for tiles in (1, 3, 64, 1000):
            for clicks in (1, 16, 64):
                words = map(str, (min_max, windows, tiles, clicks))
                assert subprocess.run([program, *words]).returncode == 0, (windows, tiles, clicks)
