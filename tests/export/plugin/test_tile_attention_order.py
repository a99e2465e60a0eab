"""What TileAttention's blocks have to do, by index: all once, nothing ahead of what it needs."""

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
    unsigned const min_max = number(1), windows = number(2), shares = number(3), clicks = number(4);
    Order const order = order_of_work(min_max, windows, shares, clicks);
    std::set<std::tuple<int, int, int>> seen;
    std::map<int, unsigned> cosines, ranks;  // shares of a window, of blocks that began before
    auto const is_new = [&](int work, int window, int index, unsigned count) {
        return window < int(windows) && index >= 0 && index < int(count) &&
               seen.insert({work, window, index}).second;
    };
    for (unsigned block = 0; block < order.items(); ++block) {
        Item const item = order.item_of(block);
        if (item.cosines < 0 && item.ranks < 0 && item.answers < 0) return 1;  // nothing to do
        if (item.answers >= 0 && (item.cosines >= 0 || item.ranks >= 0)) return 2;
        if (item.cosines >= 0 && !is_new(0, item.cosines, item.index, shares)) return 3;
        if (item.cosines >= 0) ++cosines[item.cosines];  // a block's own come first
        if (item.ranks >= 0 && !is_new(1, item.ranks, item.index, shares)) return 4;
        if (item.ranks >= 0 && min_max && cosines[item.ranks] != shares) return 5;
        if (item.ranks >= 0 && !min_max && item.ranks != item.cosines) return 6;
        if (item.ranks >= 0) ++ranks[item.ranks];
        if (item.answers >= 0 && !is_new(2, item.answers, item.index, clicks)) return 7;
        if (item.answers >= 0 && ranks[item.answers] != shares) return 8;
    }
    return seen.size() == size_t(windows) * (2 * shares + clicks) ? 0 : 9;
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
def test_all_work_is_done_once_and_after_what_it_waits_for(program, min_max):
    for windows in (1, 2, 7, 8, 33):
        for shares in (1, 3, 64, 1000):
            for clicks in (1, 16, 64):
                words = [str(x) for x in (min_max, windows, shares, clicks)]
                found = subprocess.run([program, *words]).returncode
                assert found == 0, (windows, shares, clicks)
