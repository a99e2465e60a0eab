"""The rules of the house, as tests: style, types, direction of imports, a quick `--help`."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("edge", "export", "training", "calibration", "benchmarks")
OUTSIDE_EDGE = {"torch", "torchvision", "timm", "onnx", *PACKAGES} - {"edge"}
LINE_LIMIT = 300
INSTALL = "install it first: pip install '.[test]', or pip install -e '.[test]' to develop"


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, f"no sources in {folders}"
    return found


def run(*command: str) -> None:
    """Run a tool over the checkout; show all it says where it complains."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"


# --- style and types -----------------------------------------------------------------------------


def test_ruff_finds_nothing():
    run("ruff", "check", ".")


def test_all_is_formatted():
    run("ruff", "format", "--check", ".")


@pytest.mark.parametrize(
    "arguments", [(), ("--python-version", "3.10", "--no-warn-unused-ignores")]
)
def test_mypy_is_content_with_edge(arguments):
    """As the installed interpreter sees it, and once for what Python 3.10 does not have."""
    run("mypy", *arguments)


def test_no_file_is_longer_than_300_lines():
    lengths = {path: len(path.read_text().splitlines()) for path in sources(*PACKAGES, "tests")}
    long = {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > LINE_LIMIT}
    assert not long, f"split these: {long}"


# --- direction of imports ------------------------------------------------------------------------


def imports(tree: ast.AST, *, inside_functions: bool) -> Iterator[tuple[int, str]]:
    """Line and top package of every absolute import; strings given to importlib do not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if inside_functions or not function:
            yield from imports(node, inside_functions=inside_functions)


def breaches(folder: str, forbidden: set[str], *, inside_functions: bool) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line} imports {package}"
        for path in sources(folder)
        for line, package in imports(
            ast.parse(path.read_text(), str(path)), inside_functions=inside_functions
        )
        if package in forbidden
    ]


def test_edge_imports_nothing_of_the_others_at_any_level():
    assert breaches("edge", OUTSIDE_EDGE, inside_functions=True) == []


@pytest.mark.parametrize("folder", ["calibration", "benchmarks"])
def test_torch_and_training_stay_inside_functions(folder):
    heavy = {"torch", "torchvision", "timm", "training", "export"}
    assert breaches(folder, heavy, inside_functions=False) == []


def test_the_walk_sees_what_it_must_see():
    tree = ast.parse(
        "import torch.nn as nn\n"
        "class A:\n    from export.graphs import x\n"
        "if True:\n    try:\n        import training\n    except ImportError: pass\n"
        "def f():\n    import onnx\n    from benchmarks import y\n"
        "from . import calibration\n"
        "z = 'import export'; importlib.import_module('training.command')\n"
    )
    everywhere = [name for _, name in imports(tree, inside_functions=True)]
    assert everywhere == ["torch", "export", "training", "onnx", "benchmarks"]
    at_module_level = [name for _, name in imports(tree, inside_functions=False)]
    assert at_module_level == ["torch", "export", "training"]


# --- the command ---------------------------------------------------------------------------------


def test_help_answers_in_under_300_ms(tmp_path):
    command = Path(sysconfig.get_path("scripts")) / "tilefix"
    assert command.is_file(), f"there is no {command}; {INSTALL}"
    took_s = []
    for _ in range(5):
        start_s = time.perf_counter()
        done = subprocess.run([command, "--help"], cwd=tmp_path, capture_output=True, text=True)
        took_s.append(time.perf_counter() - start_s)
        assert done.returncode == 0, done.stderr
        assert "evaluate" in done.stdout
    assert min(took_s) < 0.3, f"best of {sorted(took_s)}"


def test_help_imports_nothing_heavy(tmp_path):
    code = (
        "import sys\n"
        "from edge.cli import tilefix\n"
        "try:\n    tilefix(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'cv2', 'numpy', 'onnxruntime', 'torch', 'rich', 'msgspec'} & set(sys.modules)\n"
        "sys.exit(f'imported: {sorted(heavy)}' if heavy else 0)\n"
    )
    # the very copy of tilefix that the tests import, from a folder that has none of its own
    env = {**os.environ, "PYTHONPATH": str(Path(edge.__file__).resolve().parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


# --- what is under test --------------------------------------------------------------------------


def test_the_installed_packages_are_what_is_tested():
    """After `pip install .` the wheel's files, after `pip install -e .` the checkout's.

    Neither `pytest` nor --import-mode=importlib puts the checkout on the path. `python -m pytest`
    does, in front of the installed packages: after a plain install this test then fails.
    """
    installed = [
        distribution
        for distribution in importlib.metadata.distributions(name="tilefix")
        if Path(str(distribution.locate_file(""))).resolve() != ROOT  # an egg-info of a build
    ]
    assert installed, f"tilefix is not installed; {INSTALL}"
    origin = json.loads(installed[0].read_text("direct_url.json") or "{}")
    editable = origin.get("dir_info", {}).get("editable", False)
    home = ROOT if editable else Path(str(installed[0].locate_file(""))).resolve()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None, f"{package} is not installed; {INSTALL}"
        assert spec.origin is not None, f"{package} has no __init__.py; {INSTALL}"
        found = Path(spec.origin).resolve().parent
        assert found == home / package, (
            f"{package} comes from {found}, and {home / package} is installed: run `pytest`, not "
            "`python -m pytest`, or install the checkout with pip install -e"
        )
