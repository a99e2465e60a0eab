"""Ranges from histograms, as values and as a file."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from made_histograms import DISTRIBUTIONS, identity, tensor_histograms

from calibration.ranges.finding import ZERO_AMAX, find_ranges
from calibration.ranges.record import METHODS, Ranges
from edge.errors import CalibrationError, OutputError, UsageError

NORMAL = DISTRIBUTIONS["normal"]


@pytest.mark.parametrize("method", METHODS)
def test_every_tensor_gets_a_range_that_says_where_it_is_from(method):
    made = [
        tensor_histograms("reference_encoder", same=NORMAL),
        tensor_histograms("localizer", same=NORMAL * 2, other=NORMAL),
    ]
    ranges = find_ranges(made, method)
    assert [(x.graph, x.tensor) for x in ranges.entries] == [
        ("reference_encoder", "same"),
        ("localizer", "same"),
        ("localizer", "other"),
    ]
    assert ranges.method == method and {x.method for x in ranges.entries} == {method}
    assert ranges.graph_sha256 == {"reference_encoder": "1" * 64, "localizer": "1" * 64}
    there, here = ranges.of("localizer"), ranges.of("reference_encoder")
    assert there["same"].amax == pytest.approx(2 * here["same"].amax, rel=1e-6)
    assert here["same"].scale == here["same"].amax / 127
    entry = there["other"]
    assert (entry.lowest, entry.highest) == (NORMAL.min(), NORMAL.max())
    wanted = np.mean(np.abs(NORMAL) > entry.amax)
    assert entry.saturated_share == pytest.approx(wanted, abs=2 / len(NORMAL))
    assert ranges.notes == ()


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_zero_gets_a_stated_range_and_a_note(method):
    ranges = find_ranges([tensor_histograms(dead=np.zeros(9, np.float32))], method)
    (entry,) = ranges.entries
    assert entry.amax == ZERO_AMAX and entry.scale == 2.0**-14
    assert np.float16(entry.scale) == entry.scale
    assert np.finfo(np.float16).smallest_normal == entry.scale
    assert ranges.notes == (
        "localizer: dead: always zero: its scale is 6.1e-05, the smallest normal float16",
    )


def test_a_range_too_small_for_float16_is_noted():
    ranges = find_ranges([tensor_histograms(faint=np.float32([1e-6, -2e-6]))], "minmax")
    assert ranges.entries[0].amax == np.float32(2e-6)
    assert ranges.notes[0].startswith("localizer: faint: below 1e-5")


def test_methods_and_histograms_that_do_not_fit():
    made = tensor_histograms(a=NORMAL)
    with pytest.raises(UsageError, match="no range method 'kl'") as caught:
        find_ranges([made], "kl")
    assert caught.value.expected == "one of: minmax, percentile, mse, entropy"
    for none in ([], [replace(made, images=())]):
        with pytest.raises(CalibrationError, match="no ranges without images"):
            find_ranges(none, "minmax")
    other = replace(made, identity=identity(selection_sha256="9" * 64))
    with pytest.raises(CalibrationError, match="graphs differ: changed: selection\n"):
        find_ranges([made, other], "minmax")


def test_a_file_reads_as_it_was_written(tmp_path):
    path = tmp_path / "deep" / "ranges.json"
    ranges = find_ranges([tensor_histograms(a=NORMAL, b=np.zeros(2, np.float32))], "entropy")
    ranges.write(path)
    first = path.read_bytes()
    assert Ranges.read(path) == ranges
    ranges.write(path)
    assert path.read_bytes() == first
    assert [x.name for x in path.parent.iterdir()] == ["ranges.json"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda x: x.update(schema="tilefix-ranges/9"), "schema 'tilefix-ranges/9'"),
        (lambda x: x["entries"][0].update(amax=0.0), "an amax that is no positive number, of a"),
        (lambda x: x.update(extra=1), "unknown field `extra`"),
        (lambda x: x.pop("method"), "missing required field `method`"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, change, found):
    path = tmp_path / "ranges.json"
    find_ranges([tensor_histograms(a=NORMAL)], "minmax").write(path)
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(CalibrationError, match=r"ranges\.json cannot be used") as caught:
        Ranges.read(path)
    assert found in caught.value.found
    path.write_text("[1]")
    with pytest.raises(CalibrationError, match="cannot be used"):
        Ranges.read(path)


def test_stale_ranges_name_what_changed():
    ranges = find_ranges([tensor_histograms(a=NORMAL)], "mse")
    fits = {"localizer": "1" * 64}, "2" * 64, "as drawn"
    ranges.check(*fits)
    ranges.check(*fits, method="mse")
    with pytest.raises(CalibrationError, match="changed: method\n"):
        ranges.check(*fits, method="entropy")
    with pytest.raises(CalibrationError) as caught:
        ranges.check({"localizer": "7" * 64}, "8" * 64, "as drawn")
    assert "changed: sha256 of localizer.onnx, selection\n" in str(caught.value)
    assert "7777" in caught.value.expected and "1111" in caught.value.found
    with pytest.raises(CalibrationError, match=r"changed: sha256 of reference_encoder\.onnx\n"):
        ranges.check({**fits[0], "reference_encoder": "5" * 64}, *fits[1:])
    with pytest.raises(CalibrationError, match="changed: preprocessing\n"):
        ranges.check(*fits[:2], "otherwise")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    ranges = find_ranges([tensor_histograms(a=NORMAL)], "minmax")
    with pytest.raises(OutputError):
        ranges.write(tmp_path / "file" / "ranges.json")


def test_json_holds_plain_numbers_only(tmp_path):
    ranges = find_ranges([tensor_histograms(a=NORMAL)], "percentile")
    odd = msgspec.structs.replace(ranges.entries[0], highest=float("inf"))
    with pytest.raises(ValueError, match="JSON compliant"):
        msgspec.structs.replace(ranges, entries=(odd,)).write(tmp_path / "x.json")
