"""Folders of a plugin build: those that take nothing, and what an interrupted one leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.errors import OutputError
from export.plugin import build, toolchain
from export.plugin.build import build_plugin
from export.plugin.toolchain import tensorrt_headers


def test_an_interrupted_build_leaves_nothing(tmp_path, fake_nvcc):
    """Neither the folder nor the compiler's files, nor the processes that it has started."""
    text = fake_nvcc.read_text().partition("*)")[0]
    fake_nvcc.write_text(
        f"{text}*) touch $TMPDIR/tmpxft_1; sleep 300 & echo $! $TMPDIR > {tmp_path}/sleeper; "
        "wait;;\nesac\n"
    )
    code = "import sys; from edge.cli import main; main()"
    words = ["plugin", "build", "--arch", "87", "--kernels-only", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # a shell's background jobs, and all that they start, ignore the key
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        said = tmp_path / "sleeper"
        while not (said.is_file() and said.read_text()):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        sleeper, scratch = said.read_text().split()
        assert Path(scratch).parent == tmp_path / "out"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and b"Traceback" not in errors
    assert not (tmp_path / "out").exists()
    state = Path("/proc", sleeper, "stat")  # gone, or a zombie that nobody has waited for yet
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("place", ["/proc", "/proc/new/plugin"])
def test_a_folder_that_cannot_be_written_is_refused_before_all_work(place, monkeypatch):
    monkeypatch.setattr(build.Nvcc, "find", lambda: pytest.fail("it looked for nvcc first"))
    with pytest.raises(OutputError) as error:
        build_plugin(Path(place))
    assert error.value.what == f"nothing can be written into {place}"
    assert error.value.expected == "--out with a folder that can be written, on a disk with room"
    assert error.value.do == "give another folder with --out, or make this one writable"


def test_a_cache_that_cannot_be_written(monkeypatch):
    """As with a HOME that is read-only."""
    monkeypatch.delenv("TENSORRT_INCLUDE_DIR", raising=False)
    monkeypatch.setattr(toolchain, "SYSTEM_INCLUDES", ())
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    with pytest.raises(OutputError) as error:
        tensorrt_headers()
    assert error.value.what == (
        "a part of the plugin build, kernel-lens==2.0.1, cannot be kept in /proc/tilefix"
    )
    assert error.value.do.startswith("set XDG_CACHE_HOME to a folder of yours")
