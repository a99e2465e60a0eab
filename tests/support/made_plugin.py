"""A folder as `tilefix plugin build` leaves it, with a library of no use."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path

from export.plugin.build import LIBRARY, SCHEMA_VERSION, PluginManifest, sha256_of


def made_plugin(folder: Path) -> Path:
    """Write one for an Orin into a new folder."""
    folder.mkdir()
    (folder / LIBRARY).write_bytes(b"a library")
    made = PluginManifest(
        schema_version=SCHEMA_VERSION,
        library=LIBRARY,
        library_sha256=sha256_of(folder / LIBRARY),
        library_bytes=9,
        sources_sha256={},
        target=platform.machine(),
        archs=(87,),
        nvcc_release="13.0",
        tensorrt_headers="10.14.1",
        command=(),
        spilled_bytes=0,
    )
    (folder / "plugin.json").write_text(json.dumps(asdict(made)))
    return folder
