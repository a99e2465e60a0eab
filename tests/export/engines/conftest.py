"""The fake full TensorRT, a small bundle, and a plugin that is a file."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_graphs import small_bundle

from edge.bundle import Bundle
from export.engines.build import BuildSettings
from export.engines.device import Gpu
from export.engines.targets import Target, choose_target
from export.plugin.build import LIBRARY, sha256_of

FAKE = Path(__file__).parents[2] / "support/fake_toolkit"
ORIN = Gpu("Orin", 87)


@pytest.fixture
def full_toolkit(monkeypatch) -> Callable[..., Target]:
    """`full_toolkit(version, fault)`: TensorRT of that version, on an Orin."""

    def make(version: str = "10.3.0.30", fault: str = "") -> Target:
        monkeypatch.setenv("FAKE_VERSION", version)
        monkeypatch.setenv("FAKE_FAULT", fault)
        monkeypatch.setenv("PYTHONPATH", str(FAKE))
        monkeypatch.syspath_prepend(str(FAKE))
        monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
        target = choose_target("local", "tensorrt", ORIN)
        monkeypatch.delitem(sys.modules, "tensorrt")
        return target

    return make


@pytest.fixture
def bundle(tiny, tmp_path) -> Bundle:
    return small_bundle(tmp_path / "bundle", tiny.tiny_manifest())


@pytest.fixture
def make_plugin(tmp_path) -> Callable[..., Path]:
    """A folder as `tilefix plugin build` leaves it, with a library of no use."""

    def make(name: str = "plugin", **changed: object) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / LIBRARY).write_bytes(b"a library")
        values = {
            "schema_version": 1,
            "library": LIBRARY,
            "library_sha256": sha256_of(folder / LIBRARY),
            "library_bytes": 9,
            "sources_sha256": {},
            "target": platform.machine(),
            "archs": [87],
            "nvcc_release": "13.0",
            "tensorrt_headers": "10.14.1",
            "command": [],
            "spilled_bytes": 0,
        }
        (folder / "plugin.json").write_text(json.dumps({**values, **changed}))
        return folder

    return make


@pytest.fixture
def settings(full_toolkit, make_plugin) -> Callable[..., BuildSettings]:
    """`settings(version, fault)`: with the plugin that is a file."""

    def make(version: str = "10.3.0.30", fault: str = "", **others: object) -> BuildSettings:
        plugin = make_plugin(f"plugin_{version}_{fault}")
        return BuildSettings(full_toolkit(version, fault), plugin, **others)

    return make
