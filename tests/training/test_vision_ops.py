"""torchvision imports beside a torch that its C++ operators do not match."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from edge.errors import MissingLibraryError
from training.vision_ops import import_torchvision


def test_torchvision_and_timm_import_in_a_fresh_process():
    code = (
        "from training.vision_ops import import_torchvision as f\n"
        "vision = f()\n"
        "assert vision is f()\n"
        "import timm, torchvision\n"
        "assert vision is torchvision\n"
        "print(vision.models.resnet18(num_classes=7).fc.out_features)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "7"


def test_its_absence_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'tilefix\[train\]'"):
        import_torchvision.__wrapped__()
