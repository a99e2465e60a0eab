"""What the process of a build is told, and what it answers: two JSON files and a log."""

from __future__ import annotations

import msgspec

from edge.engine_manifest import TensorRecord
from edge.errors import TilefixError
from export.engines.layer_table import Layer

JOB_FILE = "job.json"
REPORT_FILE = "report.json"
LOG_FILE = "builder.log"
GRAPH_FILE = "graph.onnx"
ENGINE_FILE = "engine.plan"
TIMING_CACHE_FILE = "timing.cache"
LAYERS_FILES = "layers_profile*.json"  # what the engine inspector said


def layers_file(profile: int) -> str:
    """Of LAYERS_FILES, the one of an optimisation profile."""
    return LAYERS_FILES.replace("*", str(profile))


class BuildJob(msgspec.Struct, frozen=True, kw_only=True):
    """One engine to build; all paths are absolute."""

    folder: str  # of all files of this build
    toolkit: str
    graph: str
    kind: str
    capabilities: tuple[int, ...]
    click_buckets: tuple[int, ...]
    custom_operators: tuple[str, ...]
    plugin: str = ""  # library; empty: none
    timing_cache: str = ""  # to start from; empty: an empty one
    workspace_bytes: int = 1 << 30
    limit_bytes: int | None = None  # of the process's memory
    advice: str = ""  # how to get a plugin that has what is missing


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A TilefixError on its way to another process."""

    what: str
    expected: str
    found: str
    do: str

    @staticmethod
    def of(error: TilefixError) -> Failure:
        """The four parts of an error."""
        return Failure(what=error.what, expected=error.expected, found=error.found, do=error.do)


class BuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a job."""

    failure: Failure | None = None
    inputs: tuple[TensorRecord, ...] = ()
    outputs: tuple[TensorRecord, ...] = ()
    layers: tuple[Layer, ...] = ()
    source: str = ""  # of the layers: "builder log", "engine inspector"
    profiles: int = 0  # that the table shows
    build_s: float = 0.0
    peak_bytes: int = 0  # of the process
    device_memory_bytes: int | None = None
    notes: tuple[str, ...] = ()
