"""Verbs whose libraries are not installed say which extra brings them."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

import edge
from edge.cli import VERBS
from edge.errors import MissingLibraryError
from edge.extras import EXTRA_OF, missing_library

WITHOUT = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
from edge.cli import main
main()
"""


def call(tmp_path, hidden, *words):
    """tilefix in a Python that has not the libraries `hidden`."""
    home = str(Path(edge.__file__).resolve().parent.parent)
    code = WITHOUT.format(hidden=tuple(hidden))
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": home},
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--data", "none", "--val", "none", "--out", "runs"),
        ("export", "--checkpoint", "none.safetensors", "--out", "bundle"),
    ],
)
def test_without_torch_a_training_verb_names_the_extra(tmp_path, words):
    done = call(tmp_path, ["torch"], *words)
    assert done.returncode == MissingLibraryError.exit_code == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines() == [
        "tilefix: this verb needs the library torch, and it is not installed",
        "  expected: torch, part of the extra 'train'",
        "  found:    No module named 'torch'",
        "  do:       pip install 'tilefix[train]'",
    ]


def test_threads_are_counted_as_libraries_count_them(tmp_path):
    for verb in ("run", "evaluate", "calibrate", "verify", "bench"):
        done = call(tmp_path, [], verb, "--threads", "99999999999")
        assert done.returncode == 2 and "1<=x<=1024" in done.stderr, (verb, done.stderr)


def test_every_verb_has_its_help_without_any_extra(tmp_path):
    """Who asks what a verb takes need not install its libraries first."""
    code = (
        "from click.testing import CliRunner\n"
        "from edge.cli import VERBS, tilefix\n"
        "for verb in VERBS:\n"
        "    done = CliRunner().invoke(tilefix, [verb, '--help'])\n"
        "    print(verb, done.exit_code, done.exception)\n"
    )
    home = str(Path(edge.__file__).resolve().parent.parent)
    hiding = WITHOUT.format(hidden=tuple(EXTRA_OF)).partition("from edge.cli")[0] + code
    done = subprocess.run(
        [sys.executable, "-c", hiding], cwd=tmp_path, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": home},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{verb} 0 None" for verb in VERBS]


def test_what_no_extra_brings_is_a_defect_and_stays_a_traceback(tmp_path):
    assert missing_library(ModuleNotFoundError("no", name="edge.no_such_part")) is None
    done = call(tmp_path, ["training"], "train", "--help")
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "No module named 'training" in done.stderr


def test_a_submodule_belongs_to_its_library():
    error = missing_library(ModuleNotFoundError("No module named 'onnx.x'", name="onnx.x"))
    assert error is not None and error.do == "pip install 'tilefix[export]'"


def test_every_extra_that_is_advised_exists():
    extras = importlib.metadata.metadata("tilefix").get_all("Provides-Extra") or []
    assert set(EXTRA_OF.values()) <= set(extras)
