"""The records of `gpu_acceptance` in benchmarks/results: the newest of each GPU, part by part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.acceptance_record import Verdict

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
KIND = "gpu_acceptance"
UNKNOWN = "unknown"  # what a record calls the commit of a checkout without .git
NOT_MEASURED = "not measured"
NOT_REACHED = " (**not reached**)"
Record = dict[str, Any]  # as benchmarks.acceptance_record writes it
Part = dict[str, Any]


def read_records(folder: Path = RESULTS) -> list[Record]:
    """The newest record of each GPU, by the GPUs' names.

    Where its run had no time for a part, or was told to leave it out (`--only`), an older record of
    the same GPU gives it, if it is of the same commit.
    """
    of_gpu: dict[str, list[Record]] = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("kind") == KIND:
            of_gpu.setdefault(record["environment"]["gpu"], []).append(record)
    return [_merged(records) for _, records in sorted(of_gpu.items())]


def _merged(records: Sequence[Record]) -> Record:
    newest_first = sorted(records, key=lambda record: record["finished_utc"], reverse=True)
    newest = newest_first[0]
    commit = newest["environment"].get("git_commit", UNKNOWN)
    parts: dict[str, Part] = {}
    for record in newest_first:
        same = commit != UNKNOWN and record["environment"].get("git_commit") == commit
        if record is not newest and not same:
            continue
        for part in record["parts"]:
            held = parts.get(part["name"])
            if held is None or held["verdict"] == Verdict.SKIPPED.value:
                parts[part["name"]] = part
    return {**newest, "parts": list(parts.values())}


def newest(records: Sequence[Record]) -> Record | None:
    """The record that was finished last."""
    return max(records, key=lambda record: record["finished_utc"], default=None)


def part_of(record: Record, name: str) -> Part:
    """A part by its name; empty where the record has none."""
    return next((part for part in record["parts"] if part["name"] == name), {})


def missed(requirement: dict[str, Any]) -> bool:
    """Whether a value in a record is not what was asked for, as `Requirement.met` tells it."""
    value, limit = requirement["value"], requirement["limit"]
    return not (value <= limit if requirement["at_most"] else value >= limit)
