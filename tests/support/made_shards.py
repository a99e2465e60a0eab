"""Shards of made-up features, for the tests of merging."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from stored_features import MAP, MODEL, feature, header

from edge.feature_shard import ShardRecord, begin_shard, write_shard
from edge.feature_store import FeatureStore


def record(number: int, of: int = 2, **changes) -> ShardRecord:
    values = {
        "number": number,
        "of": of,
        "area": "whole map",
        "model_id": MODEL,
        "map_id": MAP,
        "gsd_m": 0.2,
        "zoom": 19,
        "window_px": (1024, 1024),
        "windows": 8,
    }
    return ShardRecord(**(values | changes))


def make_shard(home: Path, number: int, windows: Sequence[int], of: int = 2, **changes) -> Path:
    """A finished shard of features, which differ by their numbers."""
    folder = home / f"shard-{number}"
    begun = record(number, of, **changes)
    begin_shard(folder, begun, "again")
    if windows:
        with FeatureStore.create(folder, header()) as store:
            for each in windows:
                store.write(feature(each))
    stored = len(windows)
    write_shard(folder, msgspec.structs.replace(begun, done=True, stored=stored), "again")
    return folder
