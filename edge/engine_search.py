"""Which of the engines in a folder fits what is needed, and in what the others differ.

A runtime states the key that it needs; what differs is listed field by field, with the command that
builds the right one. A folder that cannot be read blocks nobody, and is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.engine_manifest import MANIFEST_FILE, EngineKey, parse_manifest
from edge.errors import ExecutorError


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which an engine is not what is needed."""

    field: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.field}: {self.found}, not {self.wanted}"


def differences(wanted: EngineKey, found: EngineKey) -> list[Difference]:
    """Each field of a key in which an engine is not what is needed, in their order.

    An engine built ahead of time, without a device, serves every GPU of its compute capabilities:
    there a wanted capability has to be among them, and the GPU's name does not count. Click
    buckets are not compared where `wanted` names none: an executor takes those that are there.
    """
    unlike = []
    for name in EngineKey.__struct_fields__:
        ours, theirs = getattr(wanted, name), getattr(found, name)
        if name == "compute_capabilities":
            same = set(ours) <= set(theirs)
        elif name == "gpu_name":
            same = ours == theirs or not found.gpu_name
        elif name == "click_buckets":
            same = ours in ((), theirs)
        else:
            same = ours == theirs
        if not same:
            unlike.append(Difference(name, _shown(ours), _shown(theirs)))
    return unlike


@dataclass(frozen=True, slots=True)
class Listing:
    """The engines in a folder, as far as they can be read."""

    keys: tuple[tuple[Path, EngineKey], ...]  # of each engine, its folder first
    unreadable: tuple[Path, ...]  # folders whose manifest is damaged or of a newer version

    @property
    def advice(self) -> str:
        """What to do about those that cannot be read; empty where there are none."""
        names = ", ".join(map(str, self.unreadable))
        return f"{names} cannot be read by this version of tilefix: delete it" if names else ""


def list_engines(folder: Path) -> Listing:
    """Read all manifests; one that cannot be read does not block the others."""
    paths = sorted(path.parent for path in folder.glob(f"*/{MANIFEST_FILE}"))
    found = {path: _readable_key(path) for path in paths}
    keys = tuple((path, key) for path, key in found.items() if key is not None)
    return Listing(keys, tuple(path for path, key in found.items() if key is None))


def find_engine(folder: Path, wanted: EngineKey, rebuild: str) -> Path:
    """The folder of the engine that fits a key.

    Args:
        folder: of all engines (`engines_folder`).
        wanted: what the caller needs.
        rebuild: the command that would build it, for the error.

    Raises:
        ExecutorError: there is none; each field in which the nearest one differs is listed, and
            folders that cannot be read are named.
    """
    nearest: list[Difference] | None = None
    listing = list_engines(folder)
    for path, key in listing.keys:
        if key.kind != wanted.kind:
            continue
        unlike = differences(wanted, key)
        if not unlike:
            return path
        if nearest is None or len(unlike) < len(nearest):
            nearest = unlike
    also = f"; {listing.advice}" if listing.unreadable else ""
    what = f"no engine of the {wanted.kind} in {wanted.precision} for this device"
    if nearest is None:
        raise ExecutorError(
            f"there is {what}",
            expected=f"an engine in {folder}",
            found=f"none of this graph{also}",
            do=rebuild,
        )
    raise ExecutorError(
        f"there is {what}: the nearest one differs",
        expected="; ".join(f"{each.field} {each.wanted}" for each in nearest),
        found="; ".join(f"{each.field} {each.found}" for each in nearest) + also,
        do=rebuild,
    )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value) or "none"


def _readable_key(folder: Path) -> EngineKey | None:
    try:
        return parse_manifest(folder / MANIFEST_FILE).key
    except ExecutorError:
        return None
