"""The tables of what was measured on GPUs, from the records of `gpu_acceptance`.

    python -m benchmarks.gpu.table            prints the README's
    python -m benchmarks.gpu.table --write    puts it between the two markers in README.md, and
                                              CrossAttention's in export/plugin/README.md

One column for each GPU, of its newest record in benchmarks/results. What no record holds is "not
measured"; where there is no record at all, only what is asked for is listed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu import cross_attention_table as cross
from benchmarks.gpu.dequantise_trial import DIFFERING, SHARE
from benchmarks.gpu.model_trial import (
    ARRANGED,
    AS_BUILT,
    ATTENDING,
    COMPILED,
    FOLDED,
    MODELS,
    PATHS,
    row_of,
)
from benchmarks.readme_table import Marks

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
BEGIN = "<!-- table of benchmarks.gpu.table -->"
END = "<!-- end of the table of benchmarks.gpu.table -->"
MARKS = Marks(BEGIN, END, "the table of GPUs")
KIND = "gpu_acceptance"
NOT_MEASURED = "not measured"
Record = dict[str, Any]  # as benchmarks.acceptance_record writes it


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    title: str
    asked: str  # empty: nothing is asked
    cell: Callable[[Record], str | None]  # None: not in that record


def requirement(part: str, name: str, form: str) -> Callable[[Record], str | None]:
    """The value of a requirement of a part, formatted."""

    def cell(record: Record) -> str | None:
        for each in part_of(record, part).get("requirements", ()):
            if each["name"] == name:
                return form.format(each["value"])
        return None

    return cell


def extreme(part: str, ending: str, pick: Callable[..., float], form: str) -> Callable[..., Any]:
    """The least or the greatest of a part's requirements whose names end so, formatted."""

    def cell(record: Record) -> str | None:
        all_of_them = part_of(record, part).get("requirements", ())
        values = [each["value"] for each in all_of_them if each["name"].endswith(ending)]
        return form.format(pick(values)) if values else None

    return cell


def model_ms(name: str, *paths: str) -> Callable[[Record], str | None]:
    """Times of a model's paths by CUDA graph, side by side."""

    def cell(record: Record) -> str | None:
        values = part_of(record, f"model: {name}").get("values", {})
        if not all(path in values for path in paths):
            return None
        return " / ".join(f"{values[path]:.2f}" for path in paths) + " ms"

    return cell


def fastest_ms(name: str) -> Callable[[Record], str | None]:
    """Times of a model's two paths in the quickest of its forms, each named."""

    def cell(record: Record) -> str | None:
        values = part_of(record, f"model: {name}").get("values", {})
        found = [
            f"{values[f'{path}, fastest form, ms']:.2f} ({values[f'{path}, fastest form']})"
            for path in PATHS
            if f"{path}, fastest form" in values
        ]
        return " / ".join(found) + " ms" if found else plain(record)

    plain = model_ms(name, *(row_of(AS_BUILT, path) for path in PATHS))
    return cell


def forms_ms(name: str) -> Callable[[Record], str | None]:
    """Times of a model's cached path in each form that was measured."""

    def cell(record: Record) -> str | None:
        values = part_of(record, f"model: {name}").get("values", {})
        rows = [row_of(form, "cached") for form in FORMS]
        if not any(row in values for row in rows[1:]):
            return None
        times = (f"{values[row]:.2f}" if row in values else "-" for row in rows)
        return " / ".join(times) + " ms"

    return cell


def cross_us(size: str) -> Callable[[Record], str | None]:
    """The kernel of CrossAttention and torch's at one size."""

    def cell(record: Record) -> str | None:
        for row in part_of(record, "cross attention: time").get("values", {}).get("table", ()):
            if row["size"] == size:
                return f"{row['kernel_warm_us']:.1f} / {row['sdpa_warm_us']:.1f} us"
        return None

    return cell


def copy_bandwidth(record: Record) -> str | None:
    """Bytes read and written per second by a copy."""
    values = part_of(record, "copy bandwidth").get("values", {})
    return f"{values['copy_gb_per_s'] / 1e3:.2f} TB/s" if "copy_gb_per_s" in values else None


def int8_features(record: Record) -> str | None:
    """Values unlike the host's, and the time against the copy of float16."""
    differing, share = (
        requirement(f"features in INT8: {part}", name, form)(record)
        for part, name, form in (("right", DIFFERING, "{:.0f}"), ("time", SHARE, "{:.2f}x"))
    )
    return f"{differing} / {share}" if differing and share else None


RIGHT, TIME, RIVALS = (f"tile attention: {x}" for x in ("right", "time", "rivals"))
FORMS = (AS_BUILT, FOLDED, COMPILED, ARRANGED)
MODEL_ASKED = {"lite": "at most 0.6 ms cached", "ocgnet": "at most 1.2 ms cached"}


def rows() -> tuple[Row, ...]:
    """Lines of the table, from top to bottom."""
    from export.plugin.cross_attention_cases import MODEL_SIZES

    return (
        Row("copy bandwidth", "", copy_bandwidth),
        Row(
            "features in INT8: values unlike the host's / time against the copy of float16",
            "none / at most 1x",
            int8_features,
        ),
        Row(
            "TileAttention: error against float64",
            "at most 0.002",
            extreme(RIGHT, "relative error", max, "{:.1e}"),
        ),
        Row(
            "TileAttention: winning cell equal",
            "at least 0.999",
            extreme(RIGHT, "winning cell equal", min, "{:.4f}"),
        ),
        Row(
            "TileAttention: share of the copy bandwidth, 1 to 16 clicks, the least",
            "at least 0.70",
            extreme(TIME, "share of copy bandwidth", min, "{:.2f}"),
        ),
        Row(
            "TileAttention, 8 clicks, against torch eager",
            "at least 3x",
            requirement(RIVALS, "8 clicks: eager over kernel", "{:.1f}x"),
        ),
        Row(
            "TileAttention, 8 clicks, against torch.compile",
            "at least 1.5x",
            requirement(RIVALS, "8 clicks: compiled over kernel", "{:.1f}x"),
        ),
        *(
            Row(
                f"`{name}`, 8 clicks: cached window / both branches",
                MODEL_ASKED.get(name, ""),
                fastest_ms(name),
            )
            for name in MODELS
        ),
        Row(f"`lite`, cached window: {' / '.join(FORMS)}", "", forms_ms("lite")),
        *(
            Row(
                f"`{name}`, cached window: CrossAttention / torch's attention",
                "",
                model_ms(name, "CrossAttention, cached, graph, ms", "cached, graph, ms"),
            )
            for name in ATTENDING
        ),
        Row(
            "CrossAttention: error against float64",
            "at most 0.002",
            requirement("cross attention: right", "float16: relative error", "{:.1e}"),
        ),
        *(
            Row(f"CrossAttention / torch's SDPA, {size}", "", cross_us(size))
            for size in MODEL_SIZES
        ),
    )


def part_of(record: Record, name: str) -> dict[str, Any]:
    """A part by its name; empty where the record has none."""
    return next((part for part in record["parts"] if part["name"] == name), {})


def read_records(folder: Path = RESULTS) -> list[Record]:
    """The newest record of each GPU, by the GPUs' names."""
    newest: dict[str, Record] = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("kind") != KIND:
            continue
        gpu = record["environment"]["gpu"]
        before = newest.get(gpu)
        if before is None or before["finished_utc"] < record["finished_utc"]:
            newest[gpu] = record
    return [newest[gpu] for gpu in sorted(newest)]


def newest(records: Sequence[Record]) -> Record | None:
    """The record that was finished last."""
    return max(records, key=lambda record: record["finished_utc"], default=None)


def table(records: Sequence[Record]) -> str:
    """Markdown, one line a row."""
    heads = [f"{r['environment']['gpu']}, {r['finished_utc'][:10]}" for r in records]
    lines = ["| float16 | " + " | ".join([*(heads or ["any GPU"]), "asked"]) + " |"]
    lines.append("|" + "---|" * (len(heads or [""]) + 2))
    for row in rows():
        if not records and not row.asked:
            continue
        cells = [row.cell(record) or NOT_MEASURED for record in records] or [NOT_MEASURED]
        lines.append("| " + " | ".join([row.title, *cells, row.asked]) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.table", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into the two READMEs")
    given = parser.parse_args(arguments)
    records = read_records()
    made = table(records)
    if given.write:
        MARKS.write(README, made)
        cross.MARKS.write(cross.README, cross.cross_attention_table(newest(records)))
    else:
        print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
