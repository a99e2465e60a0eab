"""The tables of calibration's README on ready tools, made from the record.

python -m benchmarks.studies.quantizer_table
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.studies.quantizers import RECORD
from edge.bundle import ENCODER, LOCALIZER

OFFERED = ((ENCODER, "fp32"), (LOCALIZER, "fp32"), (LOCALIZER, "fp16"))
BOXES_HEAD = (
    "| tool, ranges by | acc@0.25, points | acc@0.5, points "
    "| IoU with float32's boxes, mean / median | v / u | processor s | peak memory |"
)
LAYERS_HEAD = (
    "| convolutions in INT8 | encoder | localizer | float16 localizer with the plugin's node |"
)


def boxes_table(record: dict[str, Any]) -> list[str]:
    """What each tool's graphs cost in boxes, and what making them took, both graphs together."""
    lines = [BOXES_HEAD, "|" + "---|" * 7]
    for row in record["judged"]:
        name = f"{row['tool']}, {row['method']}"
        took = "", ""
        if row["pictures"] == "all":
            name += ", all pictures"
        else:
            took = effort(record, row["tool"], row["method"])
        changes = (points(row[f"acc@{level}_change_points"]) for level in ("0.25", "0.5"))
        iou = f"{row['box_iou_mean']:.3f} / {row['box_iou_median']:.3f}"
        cosines = f"{row['cosine']['v']:.3f} / {row['cosine']['u']:.3f}"
        lines.append("| " + " | ".join([name, *changes, iou, cosines, *took]) + " |")
    return lines


def effort(record: dict[str, Any], tool: str, method: str) -> tuple[str, str]:
    """Processor seconds of both float32 graphs, and the larger peak."""
    made = [
        each
        for each in record["made"]
        if (each["tool"], each["method"], each["precision"]) == (tool, method, "fp32")
    ]
    seconds = sum(each["processor_s"] for each in made)
    return f"{seconds:.0f}", f"{max(each['peak_mb'] for each in made) / 1000:.1f} GB"


def points(change: dict[str, Any]) -> str:
    """A change with its interval: -0.6 (-1.4 to 0.2)."""
    low, high = change["interval_95"]
    return f"{change['mean']:+.1f} ({low:+.1f} to {high:+.1f})"


def layers_table(record: dict[str, Any]) -> list[str]:
    """The convolutions that each tool puts into INT8, by graph, or that it refused."""
    lines = [LAYERS_HEAD, "|" + "---|" * 4]
    for tool in dict.fromkeys(each["tool"] for each in record["made"]):
        cells = [layers(record, tool, *graph) for graph in OFFERED]
        lines.append("| " + " | ".join([tool, *cells]) + " |")
    return lines


def layers(record: dict[str, Any], tool: str, kind: str, precision: str) -> str:
    """By all methods of a tool alike, else each that differs."""
    found = [
        f"refused: {short(each['refused'])}"
        if each["refused"]
        else f"{each['quantised_convolutions']} of {each['convolutions']}"
        for each in record["made"]
        if (each["tool"], each["graph"], each["precision"]) == (tool, kind, precision)
    ]
    return "; ".join(dict.fromkeys(found))


def short(refusal: str) -> str:
    """The core of a refusal: ONNX Runtime tells the file and a number first."""
    head, _, rest = refusal.partition("failed:")
    own = "writes a graph that does not load: " if head.startswith("writes") and rest else ""
    return (own + (rest or head)).partition(" of input parameter")[0]


def main() -> None:
    """Print both."""
    record = json.loads(RECORD.read_text())
    print("\n".join([*boxes_table(record), "", *layers_table(record)]))


if __name__ == "__main__":
    main()
