"""What is known of a built engine, and the check that comes before anybody deserialises it.

An engine lives in `engines/<digest>/`: `engine.plan`, this manifest as `engine.json`, the timing
cache that it was built with, and the plugin library that it calls, so that the folder is complete.
The digest is that of the engine's key: all that an engine depends on.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from edge.bundle import Bundle, sha256_of
from edge.errors import ExecutorError, OutputError

SCHEMA = "tilefix-engine/1"
MANIFEST_FILE = "engine.json"
ENGINE_FILE = "engine.plan"
TIMING_CACHE_FILE = "timing.cache"
PLUGIN_FILE = "libtilefix_plugin.so"
ENGINES_VARIABLE = "TILEFIX_ENGINES"
DIGEST_DIGITS = 16
TOOLKITS = ("tensorrt", "tensorrt_rtx")
LEAST_IOU = 0.9  # median of the boxes of an INT8 engine and of float32's, without a warning
REPLAY_INDEX = "calibration/replay/index.json"  # in a bundle: of the pictures for a BoxReplay
ROOM_IOU = 0.05  # between two runtimes of the same INT8 graphs
# Below it most boxes share less than half with float32's, which acc@0.5 counts as wrong. The graphs
# of `lite` keep 0.97 where windows show what is clicked. An engine beneath it that is only
# as bad as its graphs has proved nothing.
FLOOR_IOU = 0.5
HELD_OUT, CALIBRATION = "held-out samples", "calibration frames"  # what can be replayed


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the parts of a manifest: immutable, keywords only, no unknown keys."""


class EngineKey(Record, frozen=True, kw_only=True):
    """All that an engine depends on."""

    kind: str  # "reference_encoder", "localizer"
    toolkit: str  # one of TOOLKITS
    toolkit_version: str  # "10.3.0", as its module says
    onnx_sha256: str
    precision: str  # "fp16"
    compute_capabilities: tuple[str, ...]  # ("8.7",); several for one built ahead of time
    gpu_name: str = ""  # empty: built without a device, for every GPU of these capabilities
    plugin_sha256: str = ""  # empty: the graph has no custom node
    click_buckets: tuple[int, ...] = ()  # clicks of each optimisation profile; () for the encoder
    flags: tuple[str, ...] = ()  # build options beyond these, "name=value", sorted

    def digest(self) -> str:
        """The folder's name: 16 hexadecimal digits of the sha256 of all fields."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:DIGEST_DIGITS]


class TensorRecord(Record, frozen=True, kw_only=True):
    """One input or output; -1 is the number of clicks."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class LayerSummary(Record, frozen=True, kw_only=True):
    """What the builder made of the graph, counted from its layer table."""

    layers: int
    plugin_layers: int
    convolutions: dict[str, int] = {}  # by type: {"Half": 61}
    products: dict[str, int] = {}  # matrix products by type
    float32_layers: tuple[str, ...] = ()  # names of those that compute in float32
    source: str = ""  # where the table came from: "builder log", "engine inspector"


class BoxReplay(Record, frozen=True, kw_only=True):
    """Boxes of both engines on their device against those of the float32 graphs."""

    against: str  # "onnxruntime/fp32"
    selection_sha256: str  # of the pictures that both were shown: of a selection, or REPLAY_INDEX
    pictures: str = ""  # what they are: HELD_OUT, CALIBRATION; empty: not known
    clicks: int
    iou_median: float
    close_share: float  # of clicks whose boxes overlap by IoU >= 0.9
    judged_iou_median: float = 1.0  # the same of the engine's graphs in ONNX Runtime; 1: not known
    encoder_sha256: str = ""  # of the encoder's engine; empty: not known

    @property
    def least_iou(self) -> float:
        """The median that is as good as what was judged, if that is below LEAST_IOU.

        Frames of a selection are shown windows that they are not in, where boxes jump.
        """
        return max(FLOOR_IOU, min(LEAST_IOU, self.judged_iou_median - ROOM_IOU))

    @property
    def verdict(self) -> str:
        """What is wrong, for people; empty: the boxes are as good as was judged."""
        shown = f"of {self.clicks} clicks" + (self.pictures and f" of {self.pictures}")
        median = f"median IoU {self.iou_median:.3f} {shown}, at least {self.least_iou:.3f}"
        if self.iou_median >= self.least_iou:
            return ""
        if self.judged_iou_median >= FLOOR_IOU:
            return f"boxes of this engine in INT8 are not {self.against}'s: {median}"
        own = f"its graphs in ONNX Runtime have {self.judged_iou_median:.3f} themselves"
        whether = f"whether boxes of this engine in INT8 are {self.against}'s"
        return f"these pictures cannot tell {whether}: {median}, and {own}"


class EngineManifest(Record, frozen=True, kw_only=True):
    """The whole `engine.json`."""

    schema: str
    key: EngineKey
    engine_sha256: str
    engine_bytes: int
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    layers: LayerSummary
    timing_cache_sha256: str = ""  # empty: the toolkit has none at build time
    # Of the machine that built it, for people: a toolkit's version comes with one of CUDA, and on a
    # Jetson with one of L4T, so the key names neither. Empty: none there, or not known.
    cuda: str = ""  # "12.6.11"
    l4t: str = ""  # "L4T 36.4.3"
    build_s: float | None = None
    device_memory_bytes: int | None = None  # of an execution context; None: not known without one
    notes: tuple[str, ...] = ()  # for people: what was measured, why this one was kept
    replay: BoxReplay | None = None  # None: nobody compared its boxes on a device


def engines_folder(bundle: Bundle) -> Path:
    """Where the engines of a bundle are: beside its graphs, or below $TILEFIX_ENGINES.

    A bundle inside site-packages is often read-only; the variable names a folder that is not.
    """
    root = os.environ.get(ENGINES_VARIABLE)
    return Path(root) / bundle.manifest.name if root else bundle.path / "engines"


def read_engine(folder: Path, rebuild: str = "", *, renamed: bool = False) -> EngineManifest:
    """Read the manifest of an engine and compare engine and plugin library with their sha256.

    Nothing is deserialised or loaded here: this is what comes first.

    Args:
        folder: of the engine.
        rebuild: the command that would build it again, for the error.
        renamed: whether the folder may have another name than its digest: a copy, as a plugin's.

    Raises:
        ExecutorError: a part is missing, truncated or altered.
    """
    manifest = parse_manifest(folder / MANIFEST_FILE)
    name = folder.resolve().name  # a link, or ".", is the folder that it leads to
    if name != manifest.key.digest() and not renamed:
        raise ExecutorError(
            f"the engine in {folder} cannot be used",
            expected=f"a folder named {manifest.key.digest()}, by what it depends on",
            found=f"named {name}",
            do="give it its name back, or delete it",
        )
    parts = {ENGINE_FILE: manifest.engine_sha256}
    if manifest.key.plugin_sha256:
        parts[PLUGIN_FILE] = manifest.key.plugin_sha256
    for name, sha256 in parts.items():
        try:
            size, found = (folder / name).stat().st_size, sha256_of(folder / name)
        except OSError as error:
            why = f"{type(error).__name__}: {error.strerror}"
            raise _refused(folder, name, why, rebuild) from error
        if found != sha256:
            raise _refused(folder, f"{name} of sha256 {sha256}", f"{found}, {size} bytes", rebuild)
    return manifest


def parse_manifest(path: Path) -> EngineManifest:
    """Read `engine.json` alone, without looking at the engine.

    Raises:
        ExecutorError: it is missing, damaged or of another schema.
    """
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=EngineManifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise _refused(path.parent, f"{MANIFEST_FILE} of {SCHEMA}", str(error)) from error
    if manifest.schema != SCHEMA:
        raise _refused(path.parent, f"schema {SCHEMA}", f"schema {manifest.schema}")
    return manifest


def write_engine(folder: Path, manifest: EngineManifest, files: Mapping[str, Path | bytes]) -> Path:
    """Write an engine with all its parts below `folder`, and rename it into place.

    One of the same digest that is already there is replaced, in two renames: who looks in between
    finds none. Only an exchange of two names, which POSIX does not have, would leave no gap.

    Args:
        folder: of all engines.
        manifest: whose key names the new folder; `schema` is filled in.
        files: ENGINE_FILE, and TIMING_CACHE_FILE and PLUGIN_FILE where there are such.

    Returns:
        The engine's own folder.

    Raises:
        OutputError: the folder cannot be written.
        ExecutorError: what was written does not read back as the manifest says.
    """
    target = folder / manifest.key.digest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=folder)) / target.name
    except OSError as error:
        raise OutputError(
            f"no engine can be written into {folder}",
            expected="a folder that can be written",
            found=f"{type(error).__name__}: {error.strerror}",
            do=f"set {ENGINES_VARIABLE} to a folder of yours; build and runtime both read it",
        ) from error
    old = new.parent / "old"
    try:
        new.mkdir()
        for name, content in files.items():
            if isinstance(content, Path):
                shutil.copyfile(content, new / name)
            else:
                (new / name).write_bytes(content)
        filled = msgspec.structs.replace(manifest, schema=SCHEMA)
        text = msgspec.json.format(msgspec.json.encode(filled), indent=2)
        (new / MANIFEST_FILE).write_bytes(text + b"\n")
        read_engine(new)
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:  # also after Ctrl-C: leave no half engine behind, and the old one where it was
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(new.parent, ignore_errors=True)
    return target


def _refused(folder: Path, expected: str, found: str, rebuild: str = "") -> ExecutorError:
    return ExecutorError(
        f"the engine in {folder} cannot be used",
        expected=expected,
        found=found,
        do=f"build it again: {rebuild}"
        if rebuild
        else f"delete it, and build it again: {shlex.join(['rm', '-r', str(folder)])}",
    )
