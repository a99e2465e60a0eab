"""The tables of what was measured on GPUs, from the records of `gpu_acceptance`.

    python -m benchmarks.gpu.table            prints the README's
    python -m benchmarks.gpu.table --write    puts it between the two markers in README.md, and
                                              CrossAttention's in export/plugin/README.md

One column for each GPU, of its newest record in benchmarks/results (`benchmarks.gpu.results`). What
no record holds is "not measured", what is not what was asked for "not reached"; where there is no
record at all, only what is asked for is listed.
"""

from __future__ import annotations

import argparse
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
    COMPILED,
    FOLDED,
    MODELS,
    PATHS,
    row_of,
)
from benchmarks.gpu.results import (
    NOT_MEASURED,
    NOT_REACHED,
    Record,
    missed,
    newest,
    part_of,
    read_records,
)
from benchmarks.readme_table import Marks

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN = "<!-- table of benchmarks.gpu.table -->"
END = "<!-- end of the table of benchmarks.gpu.table -->"
MARKS = Marks(BEGIN, END, "the table of GPUs")


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
                return form.format(each["value"]) + NOT_REACHED * missed(each)
        return None

    return cell


def extreme(part: str, ending: str, pick: Callable[..., float], form: str) -> Callable[..., Any]:
    """The least or the greatest of a part's requirements whose names end so, formatted."""

    def cell(record: Record) -> str | None:
        all_of_them = part_of(record, part).get("requirements", ())
        chosen = [each for each in all_of_them if each["name"].endswith(ending)]
        if not chosen:
            return None
        value = pick(each["value"] for each in chosen)
        return form.format(value) + NOT_REACHED * any(map(missed, chosen))

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
        part = part_of(record, f"model: {name}")
        values, late = part.get("values", {}), any(map(missed, part.get("requirements", ())))
        found = [
            f"{values[f'{path}, fastest form, ms']:.2f} ({values[f'{path}, fastest form']})"
            for path in PATHS
            if f"{path}, fastest form" in values
        ]
        text = " / ".join(found) + " ms" if found else plain(record)
        return text and text + NOT_REACHED * late

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


def copy_bandwidth(record: Record) -> str | None:
    """Bytes read and written per second by a copy, in the run whose shares of it are below."""
    values = part_of(record, TIME).get("values", {})
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
            extreme(RIGHT, "float16: relative error", max, "{:.1e}"),
        ),
        Row(
            "TileAttention: winning cell equal",
            "at least 0.999",
            extreme(RIGHT, "float16: winning cell equal", min, "{:.4f}"),
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
        Row(
            "CrossAttention: error against float64",
            "at most 0.002",
            requirement("cross attention: right", "float16: relative error", "{:.1e}"),
        ),
    )


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
