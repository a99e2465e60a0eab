"""The table of areas states the file that `tilefix bench scale` wrote, by its formulas."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from benchmarks.scale.areas import parse_area
from benchmarks.scale.estimate import Device, area_cost, search_cost
from benchmarks.scale.sample import Spread, WindowCost
from benchmarks.scale.table import read_report, table
from benchmarks.scale.text import ScaleReport
from edge.errors import BenchmarkError

SPREAD = Spread(1.0, 0.5, 2.0)
COST = WindowCost(
    windows=5,
    read=SPREAD,
    encode=SPREAD,
    write=SPREAD,
    whole=Spread(100.0, 90.0, 110.0),
    load=Spread(2.0, 1.0, 3.0),
    locate=Spread(8.0, 7.0, 9.0),
    record_bytes=8_000_000,
    int8_record_bytes=4_000_000,
    index_bytes=200.0,
    map_windows=49,
    map_m=(600.0, 600.0),
    map_gsd_m=0.25,
)
DEVICES = (Device("this machine", 100.0, True), Device("Orin", 40.0, False))
REPORT = ScaleReport(
    schema="tilefix-scale/1",
    command="tilefix bench scale",
    machine="2 x Xeon",
    date="2026-11-20",
    load_average=0.25,
    bundle="lite",
    threads=2,
    gsd_m=0.25,
    gsd_from="of the bundle",
    sampled_map="map.mbtiles",
    sampled_map_formula_windows=50.0,
    measured=COST,
    areas=(area_cost(parse_area("10x10"), 0.25, COST, DEVICES, (1, 8), 0.3),),
    searches=(search_cost(20.0, 0.25, COST),),
)


def test_a_row_is_what_the_formulas_give():
    lines = table(REPORT).splitlines()
    heads = [head.strip() for head in lines[0].strip("|").split("|")]
    assert heads[2:6] == [
        "hours, 1 x this machine",
        "hours, 8 x this machine",
        "hours, 1 x Orin",
        "hours, 8 x Orin",
    ]
    windows = (10_000 / 128 + 1) ** 2
    hours = [windows * ms / 3.6e6 / count for ms in (100, 40) for count in (1, 8)]
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells[:2] == ["10 x 10 km", f"{windows:,.0f}"]
    assert cells[2:6] == [f"{value:.3g}" for value in hours]
    sizes = [windows * size / 1e9 for size in (8_000_200, 4_000_200, 0.3 * 8_000_200)]
    assert cells[6:] == [f"{value:.3g} GB" for value in sizes]
    reach = 2 * 20 / 128
    found = 1 + 4 * reach + 3.14159265 * reach**2
    text = "\n".join(lines[3:])
    assert f"20 m: {found:.1f} windows, {10 * found:.0f} ms" in text
    for part in ("5 windows of map.mbtiles", "100 ms", "2 x Xeon, 2 threads", "share of 0.3"):
        assert part in text
    assert "load 0.2 at the start" in text
    assert "load not known" in table(dataclasses.replace(REPORT, load_average=None))


def test_it_comes_back_out_of_its_file(tmp_path):
    path = tmp_path / "scale.json"
    path.write_bytes(msgspec.json.encode(REPORT))
    assert table(read_report(path)) == table(REPORT)


@pytest.mark.parametrize("text", [None, "", "{}", '{"schema": 3}'])
def test_what_is_no_such_file(tmp_path, text):
    path = tmp_path / "scale.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BenchmarkError, match="no costs of areas") as caught:
        read_report(path)
    assert "tilefix bench scale --out" in caught.value.do
