"""No option of the benchmarks takes nan or infinity: a record with it could not be read again."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from benchmarks.command import bench
from benchmarks.finite import AnyFinite, Finite
from benchmarks.scale.command import scale

NUMBERS = [
    (command, option.opts[-1])
    for command in (bench, scale)
    for option in command.params
    if isinstance(option.type, click.types.FloatParamType)
]


def test_the_options_that_take_a_number_are_known():
    names = {name for _, name in NUMBERS}
    assert {"--rate-hz", "--hit-rate", "--minutes", "--soak-minutes", "--kept-share"} <= names
    assert {"--sigma-m", "--gsd-m", "--latitude"} <= names


@pytest.mark.parametrize(("command", "name"), NUMBERS)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_what_is_not_finite_is_a_usage_error(tmp_path, monkeypatch, command, name, value):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, [f"{name}={value}"])
    assert done.exit_code == 2 and "Invalid value" in done.output
    assert not list(tmp_path.iterdir()), "before anything is written"


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        (bench, "--seed", "-1"),
        (bench, "--seed", "0.5"),
        (bench, "--clicks", "0"),
        (bench, "--rate-hz", "1e-300"),
        (bench, "--threads", "0"),
        (bench, "--threads", "2147483648"),
        (scale, "--threads", "2147483648"),
        (scale, "--sample", "0"),
        (scale, "--devices", "0"),
        (scale, "--devices", "1" + 400 * "0"),
        (scale, "--sigma-m", "-1"),
        (scale, "--sigma-m", "1e300"),
    ],
)
def test_what_no_part_could_count_with_is_a_usage_error(
    tmp_path, monkeypatch, command, name, value
):
    """At once, not as a traceback amid the run."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, [f"{name}={value}"])
    assert done.exit_code == 2 and f"Invalid value for '{name}'" in done.output
    assert not list(tmp_path.iterdir()), "before anything is written"


@pytest.mark.parametrize("command", [bench, scale])
def test_no_whole_number_is_without_a_bound(command):
    whole = [each for each in command.params if isinstance(each.type, click.types.IntParamType)]
    assert whole and all(isinstance(each.type, click.IntRange) for each in whole)


def test_finite_numbers_pass_and_bounds_hold():
    wanted = Finite(0, 1, min_open=True)
    assert wanted.convert("0.25", None, None) == 0.25
    for value in ("0", "1.5", "x"):
        with pytest.raises(click.BadParameter):
            wanted.convert(value, None, None)
    assert AnyFinite().convert("-3e8", None, None) == -3e8
    with pytest.raises(click.BadParameter):
        AnyFinite().convert("x", None, None)


def test_the_help_shows_ranges_and_none_that_is_none():
    said = [CliRunner().invoke(command, ["--help"]).output for command in (bench, scale)]
    measuring, scaling = (" ".join(text.split()) for text in said)
    assert "None" not in measuring and "x>0]" in measuring
    assert "None" not in scaling and "0<x<=1]" in scaling
    assert "Metres per pixel, more than 0;" in scaling and "degrees from -85 to 85:" in scaling
