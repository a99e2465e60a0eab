"""Two processes on one machine: what `torchrun` does on several GPUs, on a CPU with gloo."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SUPPORT = Path(__file__).resolve().parents[2] / "support"


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def python(*command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = (sys.executable, *command)
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("accumulate", ["2"])
def test_two_processes_end_with_equal_parameters(accumulate: str, tmp_path) -> None:
    done = python(str(SUPPORT / "two_processes.py"), str(tmp_path), accumulate)
    assert done.returncode == 0, done.stderr[-3000:]
    a, b = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert a["losses"] != b["losses"], "each sees samples of its own"
    assert len(a["losses"]) == 6 * int(accumulate)
    assert a["parameters"].keys() == b["parameters"].keys()
    assert all(torch.equal(a["parameters"][k], b["parameters"][k]) for k in a["parameters"])
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [x["epoch"] for x in lines if "epoch" in x] == [1, 2], "one of them writes"


@pytest.mark.full_size
def test_torchrun_with_two_processes(small_folder, tmp_path) -> None:
    folder = str(small_folder.path)
    done = python(
        *TORCHRUN,
        *("-m", "training", "lite", "--train-backbone", "--full-precision", "--epochs", "1"),
        *("--data", folder, "--val", folder, "--batch", "4", "--window-px", "128"),
        *("--out", str(tmp_path / "run")),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[0]["of"] == 3  # 12 samples, two processes with two each
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert state["step"] == 3
    assert done.stdout.count("done:") == 1
