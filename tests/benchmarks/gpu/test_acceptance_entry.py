"""The command that documents name starts what lies in the folder for GPUs."""

from __future__ import annotations

import runpy
import sys

import pytest


def test_the_documented_command_is_there(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu_acceptance", "--help"])
    with pytest.raises(SystemExit) as done:
        runpy.run_module("benchmarks.gpu_acceptance", run_name="__main__")
    assert done.value.code == 0
    assert "usage: benchmarks.gpu_acceptance" in capsys.readouterr().out
