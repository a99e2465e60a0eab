"""Options of `tilefix evaluate` that cannot be meant."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from edge.commands.evaluate import evaluate
from edge.errors import UsageError


def run(*arguments):
    return CliRunner().invoke(evaluate, [str(a) for a in arguments], catch_exceptions=False)


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_clicks_cannot_be_off_by_what_is_no_number(number):
    with pytest.raises(UsageError) as caught:
        run("--pairs", "none.json", "--click-noise", 2, "--click-noise", number)
    assert "clicks cannot be off" in caught.value.what
    assert caught.value.found == number


def test_the_split_is_of_checkpoints():
    with pytest.raises(UsageError) as caught:
        run("--pairs", "none.json", "--split", "test")
    assert caught.value.what == "--split would change nothing: it is of --checkpoint"
    assert "leave it out" in caught.value.do


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--plot", "a.png"), "--plot alone"),
        (("--plot", "a.bmp", "--click-noise", 2), "'a.bmp'"),
    ],
)
def test_a_plot_that_cannot_be_drawn_is_refused_before_all_work(tmp_path, arguments, found):
    with pytest.raises(UsageError) as caught:
        run("--pairs", tmp_path / "none.json", *arguments)
    assert f"found:    {found}" in str(caught.value)
