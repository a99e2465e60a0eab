"""The shards that make one feature store: all there, each once, whole, and of the same making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import FeatureStoreError
from edge.feature_header import HEADER_NAME, FeatureHeader, read_header
from edge.feature_index import IndexEntry, read_index
from edge.feature_refusals import check_identity, check_same
from edge.feature_shard import ShardRecord, differing, read_shard


@dataclass(frozen=True, slots=True)
class OpenedShard:
    """One shard and what it holds."""

    folder: Path
    record: ShardRecord
    header: FeatureHeader | None  # None: its share of the map has no imagery
    entries: Mapping[str, IndexEntry]


def open_shards(folders: Sequence[Path]) -> tuple[OpenedShard, ...]:
    """Open all shards of a store, in the order of their numbers.

    Raises:
        FeatureStoreError: missing, twice there, unfinished, or of different models, maps, areas or
            settings; or none of them holds a window.
    """
    shards = sorted((_open(folder) for folder in folders), key=lambda each: each.record.number)
    if not shards:
        raise FeatureStoreError(
            "there is nothing to merge",
            expected="the folders of all shards",
            found="none",
            do="give them: tilefix tiles merge DIR/shard-* --store OUT",
        )
    first = shards[0]
    for other in shards[1:]:
        _check_alike(first, other)
    _check_all_there(shards)
    _check_done(shards)
    _check_apart(shards)
    with_windows = [each for each in shards if each.header is not None]
    if not with_windows:
        raise FeatureStoreError(
            "the shards hold no windows",
            expected="at least one window with imagery",
            found=f"{len(shards)} shards of a part of the map without any",
            do="check --bbox, or look at the map with tilefix tiles info",
        )
    for other in with_windows[1:]:
        check_same(other.folder, _header(with_windows[0]), _header(other))
    return tuple(shards)


def _open(folder: Path) -> OpenedShard:
    record = read_shard(folder)
    if not (folder / HEADER_NAME).exists():
        return OpenedShard(folder, record, None, {})
    header = read_header(folder)
    check_identity(folder, "model", record.model_id, header.model_id)
    check_identity(folder, "map", record.map_id, header.map_id)
    return OpenedShard(folder, record, header, read_index(folder)[0])


def _header(shard: OpenedShard) -> FeatureHeader:
    if shard.header is None:
        raise TypeError(f"{shard.folder} holds no windows")
    return shard.header


def _check_alike(first: OpenedShard, other: OpenedShard) -> None:
    names = differing(first.record, other.record)
    if names:
        raise FeatureStoreError(
            f"the shard {other.folder} is not of the same store as {first.folder}",
            expected=", ".join(f"{name} {getattr(first.record, name)}" for name in names),
            found=", ".join(f"{name} {getattr(other.record, name)}" for name in names),
            do="give the shards of one store, encoded with the same settings",
        )


def _check_all_there(shards: Sequence[OpenedShard]) -> None:
    of = shards[0].record.of
    by_number: dict[int, list[Path]] = {}
    for each in shards:
        by_number.setdefault(each.record.number, []).append(each.folder)
    twice = [folders for folders in by_number.values() if len(folders) > 1]
    if twice:
        raise FeatureStoreError(
            "a shard is given twice",
            expected=f"each of the {of} shards once",
            found="; ".join(" and ".join(map(str, folders)) for folders in twice),
            do="leave one of them out",
        )
    missing = [number for number in range(1, of + 1) if number not in by_number]
    if missing:
        raise FeatureStoreError(
            "shards are missing",
            expected=f"all {of}",
            found="without " + ", ".join(f"{number}/{of}" for number in missing),
            do="give their folders too, or encode them: tilefix tiles encode ... "
            f"--shard {missing[0]}/{of}",
        )


def _check_done(shards: Sequence[OpenedShard]) -> None:
    for each in shards:
        held, record = len(each.entries), each.record
        if record.done and held == record.stored:
            continue
        found = f"{held} of {record.stored}" if record.done else f"{held} windows so far"
        raise FeatureStoreError(
            f"the shard {each.folder} is not finished",
            expected=f"its {record.windows} windows of the lattice done",
            found=found if record.done else f"{found}, and no end",
            do=f"run tilefix tiles encode with --shard {record.title} again: it goes on",
        )


def _check_apart(shards: Sequence[OpenedShard]) -> None:
    owner: dict[str, Path] = {}
    for each in shards:
        for window_id in each.entries:
            if window_id in owner:
                raise FeatureStoreError(
                    f"the window {window_id} is in two shards",
                    expected="each window in the shard that its place belongs to",
                    found=f"{owner[window_id]} and {each.folder}",
                    do="encode both shards again, into new folders",
                )
            owner[window_id] = each.folder
