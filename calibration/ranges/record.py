"""Thresholds of a bundle's activations, as a file: one amax per tensor of its fp32 graphs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from calibration.ranges.staleness import Change, changes_between, stale
from edge.errors import CalibrationError
from edge.sinks import write_whole

SCHEMA = "tilefix-ranges/1"
METHODS = ("minmax", "percentile", "mse", "entropy")
LEVELS = 127  # of int8 on either side of zero: the scale is amax / LEVELS
AGAIN = "find the ranges again: tilefix calibrate, with the bundle and the selection of today"


class TensorRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The threshold of one activation. Symmetric int8: its scale is amax / 127."""

    tensor: str  # name in the fp32 graph
    amax: float  # positive; values beyond it saturate
    lowest: float  # of all values that were seen, none left out
    highest: float
    saturated_share: float  # of the sampled values: how many lie beyond amax
    method: str  # one of METHODS
    graph: str = ""  # kind of the graph: names are unique within one graph only
    note: str = ""  # for people: why this range is an exception

    @property
    def scale(self) -> float:
        """The step of the symmetric int8 quantiser."""
        return self.amax / LEVELS


class Ranges(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Thresholds of all wanted activations by one method, and what they were found on."""

    graph_sha256: dict[str, str]  # kind -> sha256 of its fp32 graph
    selection_sha256: str  # `Selection.digest()`
    method: str
    preprocessing: str  # what the graphs were fed, see `calibration.ranges.inputs`
    entries: tuple[TensorRange, ...]
    schema: str = SCHEMA

    def of(self, kind: str) -> dict[str, TensorRange]:
        """The thresholds of one graph by the names of its tensors."""
        return {entry.tensor: entry for entry in self.entries if entry.graph == kind}

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of single ranges."""
        return tuple(f"{x.graph}: {x.tensor}: {x.note}" for x in self.entries if x.note)

    def check(
        self,
        graph_sha256: Mapping[str, str],
        selection_sha256: str,
        preprocessing: str,
        method: str | None = None,
    ) -> None:
        """Refuse ranges that were found for something else; `method` None: any will do.

        Raises:
            CalibrationError: it names all that changed.
        """
        now: dict[str, object] = {f"sha256 of {k}.onnx": v for k, v in graph_sha256.items()}
        then: dict[str, object] = {f"sha256 of {k}.onnx": v for k, v in self.graph_sha256.items()}
        now |= {"selection": selection_sha256, "preprocessing": preprocessing}
        then |= {"selection": self.selection_sha256, "preprocessing": self.preprocessing}
        if method is not None:
            now["method"], then["method"] = method, self.method
        changes: tuple[Change, ...] = changes_between(then, now)
        if changes:
            raise stale("the ranges were found for something else", changes, AGAIN)

    def write(self, path: Path) -> None:
        """Write the file under a temporary name and rename it.

        Raises:
            OutputError: a full disk, or a folder that cannot be written to.
        """
        values = msgspec.to_builtins(self)
        text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False)
        write_whole(path, text.encode() + b"\n")

    @staticmethod
    def read(path: Path) -> Ranges:
        """Read a file that `write` made.

        Raises:
            CalibrationError: none there, damaged, of another schema, or a threshold that is none.
        """
        try:
            values = json.loads(path.read_bytes())
            schema = values.get("schema") if isinstance(values, dict) else None
            if schema != SCHEMA:
                raise _unreadable(path, f"schema {schema!r}")
            ranges = msgspec.convert(values, Ranges)
        except (OSError, ValueError, msgspec.ValidationError) as error:
            raise _unreadable(path, f"{type(error).__name__}: {error}") from error
        odd = [x.tensor for x in ranges.entries if not 0 < x.amax < float("inf")]
        if odd:
            raise _unreadable(path, f"an amax that is no positive number, of {odd[0]}")
        return ranges


def _unreadable(path: Path, found: str) -> CalibrationError:
    return CalibrationError(
        f"the ranges {path} cannot be used",
        expected=f"a file of the schema {SCHEMA}",
        found=found,
        do=AGAIN,
    )
