"""Runs the compiler so that nothing of it is left: neither files nor processes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path


def compile_in(scratch: Path, command: Sequence[str]) -> tuple[int, str]:
    """Run nvcc with all its temporary files in a folder, and wait for it.

    It starts several processes; when the wait is interrupted, all of them end.

    Args:
        scratch: folder that the caller removes.
        command: program and arguments.

    Returns:
        Exit code, and what was said on standard error, or else on standard output.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
        start_new_session=True,
    )
    try:
        output, errors = process.communicate()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, errors or output
