"""What a feature store says of itself: its model, its map, and how a record is laid out."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from edge.errors import FeatureStoreError
from edge.types import Array

SCHEMA = "tilefix-features/1"
HEADER_NAME = "header.json"
_ALIGN_BYTES = 64  # of a tensor, for vector loads
_RECORD_BYTES = 4096  # a record begins on a page


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor of every window: the same shape for all; writers pad what varies."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # numpy's name, e.g. "float16"; little-endian in the file

    @property
    def size_bytes(self) -> int:
        """Bytes of the tensor."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class FeatureHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Header of one store."""

    model_id: str  # sha256 of the encoder graph
    map_id: str
    gsd_m: float
    zoom: int | None  # None: a map without zooms
    tensors: tuple[TensorSpec, ...]
    window_px: tuple[int, int] = (1024, 1024)  # width, height
    step_px: int = 512
    origin_px: tuple[int, int] = (0, 0)  # windows begin at origin + multiples of the step
    alignment_id: str | None = None  # sha256 of the alignment graph, if there are align_* tensors
    schema: str = SCHEMA

    @property
    def halo_px(self) -> int:
        """Pixels of a window around its own cell of the lattice."""
        return max((min(self.window_px) - self.step_px) // 2, 0)

    def layout(self) -> tuple[tuple[TensorSpec, int], ...]:
        """Each tensor with its offset in a record."""
        placed, offset = [], 0
        for spec in self.tensors:
            placed.append((spec, offset))
            offset += -(-spec.size_bytes // _ALIGN_BYTES) * _ALIGN_BYTES
        return tuple(placed)

    @property
    def record_bytes(self) -> int:
        """Bytes of one window in the data file."""
        last, offset = self.layout()[-1]
        return max(-(-(offset + last.size_bytes) // _RECORD_BYTES), 1) * _RECORD_BYTES


def tensor_specs(tensors: Mapping[str, Array]) -> tuple[TensorSpec, ...]:
    """The layout for windows like this one, in the order of the names."""
    return tuple(
        TensorSpec(name, tuple(map(int, value.shape)), value.dtype.name)
        for name, value in sorted(tensors.items())
    )


def stored_gsd_m(gsd_m: float) -> float:
    """A ground sampling distance as headers state it: the last bits differ between processors."""
    return float(f"{gsd_m:.9g}")


def write_header(folder: Path, header: FeatureHeader) -> None:
    """Write header.json with its checksum, under a temporary name first."""
    _check_layout(folder, header)
    values = msgspec.to_builtins(header) | {"halo_px": header.halo_px}
    values["sha256"] = _checksum(values)
    partial = folder / f".{HEADER_NAME}.{os.getpid()}"
    with partial.open("wb") as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(values), indent=2) + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    partial.rename(folder / HEADER_NAME)


def read_header(
    folder: Path, *, encode: str = "tilefix tiles encode --tiles MAP --store DIR"
) -> FeatureHeader:
    """Read and check header.json; `encode` is the command that makes such a store.

    Raises:
        FeatureStoreError: none there, altered, or of another schema.
    """
    path = folder / HEADER_NAME
    try:
        values = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError) as error:
        raise FeatureStoreError(
            f"there is no readable feature store at {folder}",
            expected=f"a folder with {HEADER_NAME}",
            found=f"{type(error).__name__}: {error}",
            do=f"put its shards together: tilefix tiles merge {folder}/shard-* --store OUT"
            if any(folder.glob("shard-*/shard.json"))
            else f"make it: {encode}",
        ) from error
    if values.get("schema") != SCHEMA:
        raise FeatureStoreError(
            f"the feature store {folder} has another schema",
            expected=SCHEMA,
            found=str(values.get("schema")),
            do="encode the map again with this version of tilefix, into a new folder",
        )
    stated = values.pop("sha256", None)
    try:
        if stated != _checksum(values):
            raise ValueError("its sha256 does not fit its content")
        values.pop("halo_px", None)
        header = msgspec.convert(values, FeatureHeader)
    except (ValueError, TypeError) as error:
        raise FeatureStoreError(
            f"the header of the feature store {folder} was altered",
            expected=f"{path} as tilefix wrote it",
            found=str(error),
            do="encode the map again, into a new folder",
        ) from error
    _check_layout(folder, header)
    return header


def _checksum(values: Mapping[str, object]) -> str:
    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()


def _check_layout(folder: Path, header: FeatureHeader) -> None:
    names = [spec.name for spec in header.tensors]
    try:
        known = [np.dtype(spec.dtype).kind in "fiub" for spec in header.tensors]
    except TypeError:
        known = [False]
    if names and len(set(names)) == len(names) and all(known):
        return
    raise FeatureStoreError(
        f"the layout of the feature store {folder} cannot be used",
        expected="at least one tensor, each with its own name and a number type",
        found=", ".join(f"{spec.name} {spec.dtype}" for spec in header.tensors) or "no tensors",
        do="encode the map again, into a new folder",
    )
