"""Boards that build and check engines have onnx, and no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

VERBS = ("export.engines.build", "export.engines.command", "export.plugin.command")
CHECKS = ("export.verification.verify", "export.verification.request_checks")


@pytest.mark.parametrize("modules", [VERBS, CHECKS])
def test_build_plugin_and_verify_import_no_torch(modules):
    code = f"import sys; sys.modules['torch'] = None; import {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
