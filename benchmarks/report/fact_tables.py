"""Peers, accuracy, and what a run was made with."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.spread import frame_spread
from benchmarks.record.lines import BundleFacts, PeerLine, RunLine, Series, Unknown
from benchmarks.record.percentiles import summary, too_few
from benchmarks.record.series import unpack
from benchmarks.report.latency_tables import WORTH_HEAD, worth_cells
from benchmarks.report.numbers import mib, ms, share, unknown
from benchmarks.report.shown import ShownRun
from edge.page_parts import Cell, table

NAMES = {
    "cpu": "CPU",
    "memory_bytes": "memory",
    "gpu": "GPU",
    "cuda": "CUDA",
    "tensorrt": "TensorRT",
    "l4t": "L4T",
    "clocks_mhz": "clocks, MHz",
    "temperatures_deg_c": "temperatures, °C",
    "clicks": "clicks of a frame",
    "rate_hz": "camera, Hz",
    "pairs_sha256": "pairs, sha256",
}
SHOWN_SHA = 12  # digits; all of them show on hovering


def peer_table(lines: Sequence[PeerLine]) -> str:
    """Other ways to the same answer."""
    head = (
        "way",
        "runtime",
        "clicks",
        "frames",
        "p50 ms a frame",
        "ms an object",
        "peak memory",
        "acc@0.25",
        "acc@0.5",
        "note",
    )
    return table(head, [_peer(line) for line in lines], words=2) if lines else ""


def accuracy_table(shown: ShownRun) -> str:
    """The same bundle, executor and precision on the pairs of the run."""
    head = ("prior", "clicks", *WORTH_HEAD)
    rows: list[list[str | Cell]] = [
        [
            "alignment of the whole frame" if each.prior == "alignment" else each.prior,
            f"{each.clicks:,}",
            *worth_cells(each),
        ]
        for each in shown.run.accuracy
    ]
    return table(head, rows, words=1) if rows else ""


def environment_table(line: RunLine) -> str:
    """The machine, as far as it says."""
    rows: list[list[str | Cell]] = []
    for name in line.environment.__struct_fields__:
        value = getattr(line.environment, name)
        rows.append([NAMES.get(name, name.replace("_", " ")), _fact(name, value)])
    return table(("machine", ""), rows, words=2)


def bundle_table(line: RunLine) -> str:
    """What was run and how, down to sha256."""
    bundle, settings = line.bundle, line.settings
    commit = unknown(line.commit) if isinstance(line.commit, Unknown) else _short(line.commit)
    rows: list[list[str | Cell]] = [
        ["bundle", bundle.name],
        ["executor", f"{bundle.executor}, {bundle.precision}, {bundle.threads} threads"],
        *_device(bundle),
        ["frame", f"{bundle.frame_px[0]} x {bundle.frame_px[1]} px"],
        ["tilefix", line.version],
        ["commit", commit],
        ["model", _short(bundle.model_id)],
        ["plugin", _short(bundle.plugin_sha256)],
        ["timing cache", _short(bundle.timing_cache_sha256)],
    ]
    rows += [[f"engine of {graph}", _short(sha256)] for graph, sha256 in bundle.engines]
    rows += [[name, _short(sha256)] for name, sha256 in bundle.files]
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if value is not None:
            words = _short(value) if name == "pairs_sha256" else _plain(value)
            rows.append([NAMES.get(name, name.replace("_", " ")), words])
    return table(("what ran, and how", ""), rows, words=2)


def _device(bundle: BundleFacts) -> list[list[str | Cell]]:
    """How a GPU was used; nothing of a run without one, or of a record that does not say."""
    if bundle.device_backend is None:
        return []
    graphs = "CUDA graphs" if bundle.cuda_graphs else "every run enqueued anew"
    return [["device", f"{bundle.device_backend}, {graphs}"]]


def _peer(line: PeerLine) -> list[str | Cell]:
    took: str | Cell
    spread = frame_spread(line)
    if isinstance(line.latency, Series):
        count = line.latency.count
        found = summary(unpack(line.latency)) if count else None
        frames = f"{count:,}"
        few = too_few(50.0) if spread is None else spread.words()
        took = "-" if found is None else ms(found.median_ms, few)
    else:
        frames, took = "0", unknown(line.latency)
    peak = line.peak_bytes
    each = line.per_object_ms if spread is None else spread.by(line.clicks).words()
    return [
        line.name,
        line.runtime,
        str(line.clicks),
        frames,
        took,
        unknown(each) if isinstance(each, Unknown) else str(each),
        unknown(peak) if isinstance(peak, Unknown) else mib(peak),
        share(line.acc25),
        share(line.acc50),
        Cell(line.note, "w l"),
    ]


def _fact(name: str, value: object) -> str | Cell:
    if isinstance(value, Unknown):
        return Cell(f"not known: {value.reason}", "none v")
    if name == "memory_bytes" and isinstance(value, int):
        return mib(value)
    return Cell(_plain(value), "v")


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(" ".join(str(part) for part in pair) for pair in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _short(sha256: str | None) -> Cell:
    if sha256 is None:
        return Cell("none")
    whole = len(sha256) <= SHOWN_SHA
    return Cell(sha256 if whole else f"{sha256[:SHOWN_SHA]}…", "", "" if whole else sha256)
