"""Runs the compiler so that nothing of it is left: neither files nor processes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path


def compile_in(sources: Path, scratch: Path, command: Sequence[str]) -> tuple[int, str]:
    """Run nvcc in a folder, its temporary files in another, and wait for it.

    It starts several processes; when the wait is interrupted, all of them end.

    Args:
        sources: folder to run in.
        scratch: folder that the caller removes.
        command: program and arguments.

    Returns:
        Exit code, and what was said on standard error, or else on standard output.
    """
    process = subprocess.Popen(
        command,
        cwd=sources,
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
