"""Memory, swap, and whether an engine build would fit; with the low-memory preset where not."""

from __future__ import annotations

from pathlib import Path

from edge.checkups.finding import Finding, State
from edge.machine import build_limit_bytes, build_memory_bytes, build_need_bytes, meminfo_bytes

ROOT = Path("/")
LOCATE_BYTES, ENCODE_BYTES = 400 << 20, 900 << 20
# By the rule of `tilefix build`: the largest graph of a published model, in float32.
BUILD_BYTES = build_need_bytes("tensorrt", 220_000_000)
SWAP_BYTES = 4 << 30  # what the preset asks for on a board with 8 GB
DESKTOPS = ("run/gdm3", "run/lightdm", "run/sddm", "run/user/*/gnome-shell")
MEMORY_OF_DESKTOP = "0.8 GB"
STOP_DESKTOP = "sudo systemctl isolate multi-user.target"
ADD_SWAP = (
    "sudo fallocate -l 8G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile "
    "&& sudo swapon /swapfile"
)


def desktop_runs(root: Path = ROOT) -> bool:
    """Whether a graphical desktop is started here."""
    return any(next(root.glob(pattern), None) is not None for pattern in DESKTOPS)


def examine_memory(root: Path = ROOT, *, builds: bool = True) -> list[Finding]:
    """Memory for running, swap, and memory for building.

    Args:
        root: of the system.
        builds: whether engines can be built here at all.
    """
    available = meminfo_bytes("MemAvailable", root)
    swap, room = meminfo_bytes("SwapTotal", root) or 0, build_memory_bytes(root)
    found = [_memory(available)]
    if builds and available is not None and room is not None:
        found.append(Finding("swap", State.OK, f"{swap / 2**30:.1f} GB"))
        found.append(_build(build_limit_bytes(room), room - available, root))
    return found


def _memory(available_bytes: int | None) -> Finding:
    if available_bytes is None:
        return Finding("memory", State.NOTE, "this system does not say")
    text = f"{available_bytes / 2**20:.0f} MB available"
    if available_bytes < LOCATE_BYTES:
        advice = f"locating takes {LOCATE_BYTES >> 20} MB: end other programs"
        return Finding("memory", State.FAILED, text, advice)
    if available_bytes < ENCODE_BYTES:
        advice = f"encoding windows takes {ENCODE_BYTES >> 20} MB: encode elsewhere, use --store"
        return Finding("memory", State.NOTE, text, advice)
    return Finding("memory", State.OK, text)


def _build(limit_bytes: int, free_swap_bytes: int, root: Path) -> Finding:
    """The low-memory preset: its steps, in the order in which they help most."""
    text = (
        f"may take {limit_bytes / 2**30:.1f} GB of memory and swap, takes "
        f"{BUILD_BYTES / 2**30:.1f} GB at most"
    )
    if limit_bytes >= BUILD_BYTES:
        return Finding("engine build", State.OK, text)
    steps = []
    if desktop_runs(root):
        steps.append(STOP_DESKTOP)
    if free_swap_bytes < SWAP_BYTES:
        steps.append(ADD_SWAP)
    advice = "low-memory preset: end other programs"
    if desktop_runs(root):
        advice += f", stop the desktop (about {MEMORY_OF_DESKTOP}, until the next start)"
    if free_swap_bytes < SWAP_BYTES:
        advice += ", add swap"
    return Finding("engine build", State.NOTE, text, advice, tuple(steps))
