"""Headless Chromium: what a page says on its console, what it asks for, and how wide it becomes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-pings",
)
BROWSER = "not an origin"  # who asks where no page does
MEASURE = (
    "<script>document.title=document.documentElement.scrollWidth+' of '+innerWidth</script></body>"
)
WIDER = (
    "<script>const all=[...document.querySelectorAll('.tile b')];document.title="
    "all.filter(e=>e.scrollWidth>e.clientWidth).length+' of '+all.length</script></body>"
)


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of opening a page."""

    console: tuple[str, ...]
    requests: tuple[str, ...]  # addresses that the page asked for
    title: str


def browser() -> str | None:
    """Path of a Chromium, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def visit(page: Path, folder: Path, width_px: int = 1400) -> Visit:
    """Open a page of the disk and watch.

    Args:
        page: an HTML file.
        folder: of the browser's own files, new.
        width_px: of the window.
    """
    log = folder / "net.json"
    folder.mkdir()
    command = [
        browser() or "chromium",
        *QUIET,
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        "--enable-logging=stderr",
        f"--window-size={width_px},3000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = re.findall(r"CONSOLE[^\"]*\"(.*)\", source", done.stderr)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    return Visit(tuple(console), _requests(log.read_text()), title[1] if title else "")


def measured(page: Path, script: str = MEASURE) -> Path:
    """A copy of a page with a script that tells its widths, which the page itself would not run.

    Args:
        page: an HTML file.
        script: MEASURE tells the widths, WIDER how many numbers on top are wider than their tile.
    """
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"<meta http-equiv=[^>]*>", "", text).replace("</body>", script)
    copy = page.with_name(f"measured-{page.name}")
    copy.write_text(text, encoding="utf-8")
    return copy


def widths(seen: Visit) -> tuple[int, int]:
    """How wide the content of a measured page became, and how wide the window was; pixels.

    Of a page measured with WIDER: how many numbers are wider than their tile, and of how many.
    """
    content, _, window = seen.title.partition(" of ")
    return int(content), int(window)


def _requests(log: str) -> tuple[str, ...]:
    """Addresses that a page asked for, in the log of the network; the browser has own errands."""
    try:
        events = json.loads(log)["events"]
    except json.JSONDecodeError:  # it ended before the last bracket
        events = json.loads(f"{log.rstrip().rstrip(',')}]}}")["events"]
    asked = [each["params"] for each in events if "initiator" in each.get("params", {})]
    found = [each["url"] for each in asked if "url" in each and each["initiator"] != BROWSER]
    return tuple(dict.fromkeys(found))
