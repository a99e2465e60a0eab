"""The tables in README files are what the command makes of the kept records, word by word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.command import bench
from benchmarks.record.frame_ages import all_ages_ns, percentile_or_never_ms
from benchmarks.record.lines import Memory
from benchmarks.report.periodic_table import flown_of, table
from benchmarks.report.shown import read_shown
from benchmarks.table_command import KINDS, made_of
from edge.errors import BenchmarkError, UsageError

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "benchmarks" / "records"
OWN = "benchmarks/README.md"
KEPT = {  # kind -> its records, and the file that shows them
    "peers": (RECORDS / "peers.jsonl", "README.md"),
    "periodic": (RECORDS / "periodic", OWN),
    "scale": (RECORDS / "scale.json", OWN),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_says_what_the_record_says(kind):
    record, shown_in = KEPT[kind]
    marks, made = made_of(kind, (record,))
    readme = (ROOT / shown_in).read_text(encoding="utf-8")
    _, begin, rest = readme.partition(marks.begin)
    inside, end, _ = rest.partition(marks.end)
    assert begin and end
    do = f"tilefix bench table --of {kind} {record.relative_to(ROOT)} --write {shown_in}"
    assert inside == f"\n{made}\n", f"run {do}"
    assert do in readme


def test_what_the_main_page_says_of_live_cameras_is_in_the_records():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    flown = {each.name: each for each in flown_of([RECORDS / "periodic"])}
    wide = flown["512 px, 10 Hz, int8"]
    late = wide.late
    assert f"512 px at 10 Hz missed {late.missed} of {late.scheduled:,} frames" in text
    assert isinstance(wide.measured.line.memory, Memory)
    assert f"memory {wide.measured.line.memory.growth:+.1%} (at most" in text
    assert "512 px at 10 Hz reached (int8)" in table([wide])
    late = flown["192 px, 30 Hz, int8"].late
    said = f"192 px at 30 Hz missed {late.missed / late.scheduled:.2%} of {late.scheduled:,}"
    assert said.replace("%", " %") in text
    assert f"memory {flown['192 px, 30 Hz, int8'].measured.line.memory.growth:+.1%}" in text
    ages = all_ages_ns(late)
    assert f"half of them within {percentile_or_never_ms(ages, 50.0):.1f} ms" in text
    for name, words in (
        ("512 px, 10 Hz, fp32", "10 Hz at 512 px missed"),
        ("256 px, 30 Hz, fp32", "VNNI,"),
    ):
        other = flown[name].late
        said = f"{words} {other.missed / other.scheduled:.2%}".replace("%", " %")
        assert said in text
    plain = flown["512 px, 10 Hz, fp32"]
    assert isinstance(plain.measured.line.memory, Memory)
    said = f"of {plain.late.scheduled:,}, memory {plain.measured.line.memory.growth:+.1%}: reached"
    assert said in text and "512 px at 10 Hz reached (fp32)" in table([plain])
    runs = read_shown([RECORDS / "periodic" / "lite_192x144_int8_30hz.jsonl"])
    loops = [measured.line for run in runs for measured in run.measured]
    shares = [line.punctuality.missed / line.punctuality.scheduled for line in loops]
    said = "missed {:.2%}, {:.2%}, {:.2%}, {:.2%}, {:.2%} and {:.2%} at 30 Hz".format(*shares)
    said = said.replace("%", " %")
    assert said in text
    stolen = [line.processor.stolen_s for line in loops if line.processor.cores == 2]
    said = "stole {:.2f}, {:.2f}, {:.2f}, {:.2f} and {:.2f} s of the last five".format(*stolen)
    assert said in text and min(stolen) == loops[4].processor.stolen_s
    reached = table(flown_of([RECORDS / "periodic" / "lite_192x144_int8_30hz.jsonl"]))
    assert "**not reached** (int8, 192 x 144 px, 0.22 % missed, in 1 of 6 runs)" in reached
    assert shares[4] <= 0.001 < min(shares[:4] + shares[5:])
    assert f"but in the fifth, where it stole least (memory {loops[4].memory.growth:+.1%})" in text
    shaped = percentile_or_never_ms(all_ages_ns(loops[-1].punctuality), 50.0)
    assert f"192 x 144 px, half are answered within {shaped:.1f} ms" in text
    counts = [str(line.punctuality.missed) for line in loops]
    own = " ".join((ROOT / OWN).read_text(encoding="utf-8").split())
    assert f"missed {', '.join(counts[:-1])} and {counts[-1]} frames" in own
    seconds = [f"{each:.1f}" for each in stolen]
    assert f"{', '.join(seconds[:-1])} and {seconds[-1]} s in the last five" in own
    missed = ages > 1e9 / late.rate_hz
    worst = np.sort([part.sum() for part in np.array_split(missed, 10)])[-3:].sum()
    assert f"{worst} of the {late.missed} in three of the ten minutes" in text


def test_several_records_are_one_table_of_open_loops_alone():
    for kind in ("peers", "scale"):
        with pytest.raises(UsageError, match=f"--of {kind} takes one record"):
            made_of(kind, (KEPT[kind][0],) * 2)


def test_a_record_is_asked_for():
    done = CliRunner().invoke(bench, ["table"])
    assert done.exit_code == 2 and "RECORD" in done.output


def test_peers_of_a_folder_of_several_records_are_not_guessed():
    with pytest.raises(BenchmarkError, match="records where one is wanted"):
        made_of("peers", (RECORDS / "periodic",))
