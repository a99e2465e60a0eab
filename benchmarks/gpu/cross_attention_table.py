"""What export/plugin/README.md says of CrossAttention's times, from a record of `gpu_acceptance`.

`python -m benchmarks.gpu.table --write` writes it beside the README's own table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.gpu.model_trial import ATTENDING, PATHS
from benchmarks.gpu.results import NOT_MEASURED, Record, part_of
from benchmarks.readme_table import Marks

README = Path(__file__).resolve().parents[2] / "export" / "plugin" / "README.md"
MARKS = Marks(
    "<!-- table of CrossAttention, by benchmarks.gpu.table -->",
    "<!-- end of the table of CrossAttention -->",
    "the table of CrossAttention",
)
EVEN = 0.02  # times that differ by less are called even
COMPILED = ("sdpa, compiled, graph, us", "plain, compiled, graph, us")


def cross_attention_table(record: Record | None) -> str:
    """Markdown: the kernel beside torch's at each size, then models with either attention.

    Args:
        record: the newest; None where there is none.
    """
    head = "8 clicks, float16"
    if record is not None:
        head += f", {record['environment']['gpu']}, {record['finished_utc'][:10]}"
    columns = (
        "CrossAttention",
        "TensorRT's own",
        "torch's SDPA",
        "SDPA compiled",
        "plain compiled",
    )
    lines = [_line(head, *columns, "CrossAttention is")]
    lines.append("|" + "---|" * (len(columns) + 2))
    lines += [_size_line(record, name, text) for name, text in _sizes().items()]
    lines += ["", _line("models", "CrossAttention", "torch's attention", "CrossAttention is")]
    lines.append("|" + "---|" * 4)
    lines += [_model_line(record, name, path) for name in ATTENDING for path in PATHS]
    return "\n".join(lines)


def compared(ours: float | None, others: list[float]) -> str:
    """How a time stands against the least of others."""
    if ours is None or not others:
        return NOT_MEASURED
    gain = min(others) / ours - 1
    if abs(gain) < EVEN:
        return "even"
    if gain > 0:
        return f"{1 + gain:.2f}x as fast"
    return f"slower, {ours / min(others):.2f}x the time"


def _sizes() -> dict[str, str]:
    """Name of a size -> what it is."""
    from export.plugin.cross_attention_cases import MODEL_SIZES

    return {
        name: f"{name}: {s.batch} x {s.queries} read {s.keys}, {s.heads} heads of {s.head_width}"
        for name, s in MODEL_SIZES.items()
    }


def _values(record: Record | None, part: str) -> dict[str, Any]:
    values: dict[str, Any] = {} if record is None else part_of(record, part).get("values", {})
    return values


def _size_line(record: Record | None, name: str, text: str) -> str:
    rows = _values(record, "cross attention: time").get("table", ())
    row = next((each for each in rows if each["size"] == name), {})
    rivals = _values(record, "cross attention: rivals").get(name, {})
    ours, sdpa = row.get("kernel_warm_us"), row.get("sdpa_warm_us")
    torchs = [sdpa, *(rivals.get(key) for key in COMPILED)]
    verdict = compared(ours, [each for each in torchs if each is not None])
    cells = [_us(ours), NOT_MEASURED, *map(_us, torchs)]
    return _line(text, *cells, verdict)


def _model_line(record: Record | None, name: str, path: str) -> str:
    values = _values(record, f"model: {name}")
    key = f"{path}, graph, ms"
    ours, torchs = values.get(f"CrossAttention, {key}"), values.get(key)
    verdict = compared(ours, [] if torchs is None else [torchs])
    which = "cached window" if path == PATHS[0] else path
    return _line(f"`{name}`, {which}", _ms(ours), _ms(torchs), verdict)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _us(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.1f} us"


def _ms(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.2f} ms"
