"""Scores of several predictors and sites, as a table for people and as JSON."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge import __version__
from edge.bundle import Bundle
from edge.evaluation import SiteRun
from edge.pairs import Pairs
from edge.scoring import Scores, score
from edge.sinks import write_whole

SCHEMA = "tilefix-scores/1"
ALL_SITES = "all"
COLUMNS = (
    ("acc@0.25", "acc@0.25"),
    ("acc@0.5", "acc@0.5"),
    ("accI@0.25", "accI@0.25"),
    ("mean_iou", "IoU"),
    ("centre_error_m_median", "centre m"),
    ("coverage", "coverage"),
    ("wrong_rate", "wrong rate"),
    ("false_accept_rate_other_site", "accepted elsewhere"),
)


@dataclass(frozen=True, slots=True)
class RowScores:
    """The scores of one predictor on one site, or on all."""

    predictor: str
    site: str
    scores: Scores
    frames: int = 0  # that were run
    frames_of: int = 0  # that have clicks

    @property
    def partial(self) -> bool:
        """Whether Ctrl-C came before the last frame."""
        return self.frames < self.frames_of


def score_rows(runs: Sequence[SiteRun], site_count: int) -> list[RowScores]:
    """Scores of every run, and over all sites where there are several and each is complete."""
    rows = []
    for name in dict.fromkeys(run.predictor for run in runs):
        of_name = [run for run in runs if run.predictor == name]
        for run in of_name:
            scores = score(run.own, run.other_site)
            rows.append(RowScores(name, run.site, scores, run.frames, run.frames_of))
        if 1 < len(of_name) == site_count and not any(run.partial for run in of_name):
            own = [click for run in of_name for click in run.own]
            other = [click for run in of_name for click in run.other_site]
            rows.append(RowScores(name, ALL_SITES, score(own, other)))
    return rows


def print_scores(
    rows: Sequence[RowScores],
    bundle: Bundle,
    boxes_m: Mapping[str, tuple[float, float]],
    console: Console | None = None,
) -> None:
    """Print one table: a row for each predictor and site, each score with its interval below."""
    manifest = bundle.manifest
    table = Table(title=escape(f"bundle {manifest.name} {manifest.version}"), title_justify="left")
    table.add_column("method")
    table.add_column("site\nclicks/objects/absent", no_wrap=True)
    for _, title in COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    before = ""
    for row in rows:
        if before and row.predictor != before:
            table.add_section()
        counts = "/".join(str(row.scores[f"n_{what}"]) for what in ("clicks", "objects", "absent"))
        cells = [_cell(row.scores, key) for key, _ in COLUMNS]
        name = row.predictor if row.predictor != before else ""
        part = f" ({row.frames} of {row.frames_of} frames)" if row.partial else ""
        table.add_row(escape(name), f"{escape(row.site)}{part}\n{counts}", *cells)
        before = row.predictor
    out = console or Console(width=None if sys.stdout.isatty() else 150)
    out.print(table)
    out.print(
        "Averaged over objects first; below each score its 95 % interval (bootstrap over objects). "
        f"IoU strictly greater. Accepted from a probability of {manifest.acceptance.threshold:.3g} "
        f"with alignment, {manifest.acceptance.threshold_unaligned:.3g} without. "
        f"Windows at {manifest.window.gsd_m:g} m per pixel, never centred on a click.",
        style="dim",
    )
    if boxes_m:
        sizes = ", ".join(f"{site}: {w:.1f} x {h:.1f} m" for site, (w, h) in boxes_m.items())
        out.print(
            "The baselines draw a box of the median size of the objects of the other sites, of the "
            f"site itself where it is alone ({escape(sizes)}).",
            style="dim",
        )


def write_scores(
    path: Path,
    rows: Sequence[RowScores],
    headline: str,
    bundle: Bundle,
    pairs: Sequence[Pairs],
    boxes_m: Mapping[str, tuple[float, float]],
    *,
    partial: bool = False,
) -> None:
    """Write all rows as JSON; those of `headline` over all sites also as flat keys at the top.

    A run that Ctrl-C ended says `partial`, and has flat keys only where they are not partial.

    Raises:
        OutputError: the file cannot be written.
    """
    wanted = ALL_SITES if len(pairs) > 1 else None
    tops = [
        row.scores
        for row in rows
        if row.predictor == headline and not row.partial and wanted in (row.site, None)
    ]
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "partial": partial,
        "method": headline,
        **(tops[-1] if tops else {}),
        "command": " ".join(["tilefix", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "version": __version__,
        "bundle": {
            "name": bundle.manifest.name,
            "version": bundle.manifest.version,
            "model_id": bundle.model_id,
            "threshold": bundle.manifest.acceptance.threshold,
            "threshold_unaligned": bundle.manifest.acceptance.threshold_unaligned,
        },
        "pairs": [
            {
                "file": str(each.path),
                "sha256": hashlib.sha256(each.path.read_bytes()).hexdigest(),
                "notes": list(each.notes),
            }
            for each in pairs
        ],
        "baseline_box_wh_m": {site: list(size) for site, size in boxes_m.items()},
        "rows": [
            {"method": r.predictor, "site": r.site, "partial": r.partial, **r.scores} for r in rows
        ],
    }
    text = json.dumps(values, indent=1, allow_nan=False) + "\n"
    write_whole(path, text.encode(), "--json")


def _cell(scores: Scores, key: str) -> str:
    """A score above its interval; a dash where nothing defines it."""
    value, low, high = (scores[f"{key}{end}"] for end in ("", "_lo", "_hi"))
    if value is None:
        return "-"
    digits = 1 if key.endswith("_m_median") else 2
    ends = ["-" if end is None else f"{end:.{digits}f}" for end in (low, high)]
    return f"{value:.{digits}f}\n{ends[0]}..{ends[1]}"
