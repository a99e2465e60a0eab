"""The folder that a graph's histograms grow in, and what they are histograms of.

identity.json                all that the counts depend on; a folder of another one is refused
shard-0-of-2.histograms      one file a shard, replaced after every eight images
all.histograms               all shards together, once they are complete
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from calibration.ranges.histogram_file import Identity, write_synced
from calibration.ranges.observer_session import runtime
from calibration.ranges.sampling import describe
from calibration.ranges.staleness import changes_between, stale
from edge.bundle import sha256_of
from edge.errors import CalibrationError

IDENTITY_NAME, ALL_NAME = "identity.json", "all.histograms"


@dataclass(frozen=True, slots=True)
class ObserveOptions:
    """How images are observed."""

    selection_sha256: str  # `Selection.digest()`
    preprocessing: str  # `calibration.ranges.inputs`
    seed: int = 0  # of the sampled values
    shard: tuple[int, int] = (0, 1)  # this one of so many
    threads: int = 2
    provider: str = "cpu"  # or "cuda"


def identity_of(graph: Path, tensors: Sequence[str], options: ObserveOptions) -> Identity:
    """All that the histograms of a graph depend on."""
    return Identity(
        graph=graph.stem,
        graph_sha256=sha256_of(graph),
        selection_sha256=options.selection_sha256,
        preprocessing=options.preprocessing,
        sampling=describe(options.seed),
        runtime=runtime(options.provider),
        tensors_sha256=hashlib.sha256("\n".join(tensors).encode()).hexdigest(),
    )


def claim(work: Path, identity: Identity) -> None:
    """Begin a folder with this identity, or make sure that it has it.

    Raises:
        CalibrationError: it has another one; the text names all that changed.
        OutputError: it cannot be written.
    """
    if not (work / IDENTITY_NAME).exists():
        text = json.dumps(msgspec.to_builtins(identity), indent=1) + "\n"
        write_synced(work / IDENTITY_NAME, text.encode())
        return
    then, now = msgspec.to_builtins(read_identity(work)), msgspec.to_builtins(identity)
    changes = changes_between(then, now)
    if changes:
        do = f"choose another folder, or remove {work} to begin anew"
        raise stale(f"the histograms in {work} are stale", changes, do)


def shard_name(number: int, count: int) -> str:
    """Name of a shard's file."""
    return f"shard-{number}-of-{count}.histograms"


def read_identity(work: Path) -> Identity:
    """What the histograms in a folder are of.

    Raises:
        CalibrationError: the folder does not say so.
    """
    path = work / IDENTITY_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except (OSError, msgspec.DecodeError) as error:
        raise CalibrationError(
            f"the folder {work} holds no histograms that can be gone on with",
            expected=f"a readable {IDENTITY_NAME}",
            found=f"{type(error).__name__}: {error}",
            do=f"choose another folder, or remove {work} to begin anew",
        ) from error
