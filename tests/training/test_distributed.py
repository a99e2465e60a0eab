"""Two processes on one machine: what `torchrun` does on several GPUs, on a CPU with gloo."""

import json
import os
import subprocess
import sys

import pytest
import torch


@pytest.mark.slow
def test_torchrun_with_two_processes(small_folder, tmp_path) -> None:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "edge.cli", "train", "--train-backbone", "--full-precision", "--epochs", "1"),
        *("--data", str(small_folder.path), "--val", str(small_folder.path), "--batch", "2"),
        *("--out", str(tmp_path / "run"), "--window-px", "128"),
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[0]["of"] == 3  # 12 samples, two processes with two each
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert state["step"] == 3
