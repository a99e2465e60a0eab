"""What GPUs the engines are for: `--target local`, or names such as sm86,sm120."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.errors import ExecutorError, UsageError
from export.engines.device import Gpu
from export.engines.toolkit import FULL, Toolkit

LOCAL = "local"
JETSONS = {72: "Xavier", 87: "Orin", 110: "Thor"}
NAME = re.compile(r"(?:sm_?)?(\d{1,2})\.?(\d)")


@dataclass(frozen=True, slots=True)
class Target:
    """Toolkit and GPUs of a build."""

    toolkit: Toolkit
    capabilities: tuple[int, ...]  # (86, 120), ascending
    gpu_name: str = ""  # empty: for every GPU of these capabilities
    present: bool = False  # one of them is in this machine, so that engines can be measured

    @property
    def dotted(self) -> tuple[str, ...]:
        """As an engine's key has them: ("8.6", "12.0")."""
        return tuple(f"{each // 10}.{each % 10}" for each in self.capabilities)

    @property
    def names(self) -> str:
        """For people: "sm86, sm120"."""
        return ", ".join(f"sm{each}" for each in self.capabilities)

    @property
    def option(self) -> str:
        """What `--target` would have to be: "sm86,sm120"; full TensorRT builds where it is."""
        return self.names.replace(" ", "") if self.toolkit.ahead_of_time else LOCAL


def choose_target(text: str, toolkit: str | None, gpu: Gpu | None) -> Target:
    """Read `--target` and `--toolkit`, and check that they go together.

    Args:
        text: "local", or names with commas between.
        toolkit: one of TOOLKITS, or None for the one that is there.
        gpu: the GPU of this machine, None without one.

    Raises:
        UsageError: a name that cannot be read, or an unknown toolkit.
        MissingLibraryError: no toolkit.
        ExecutorError: no GPU for `local`, or a GPU that the toolkit does not build for.
    """
    wanted = None if text.strip() == LOCAL else read_capabilities(text)
    own = gpu is not None and wanted == (gpu.capability,)
    chosen = Toolkit.find(toolkit, local=wanted is None or own)
    if wanted is None:
        if gpu is None:
            known = ",".join(f"sm{each}" for each in chosen.known_capabilities())
            raise ExecutorError(
                "--target local needs the GPU of this machine, and there is none",
                expected="a CUDA device with its driver",
                found="no device that libcuda.so.1 knows",
                do=f"name the GPUs with --target, some of {known}"
                if chosen.ahead_of_time
                else f"run this on the device, or choose --toolkit tensorrt-rtx and --target "
                f"sm86 or the like; {chosen.title} builds for the GPU that it runs on",
            )
        wanted = (gpu.capability,)
    present = gpu is not None and gpu.capability in wanted
    if chosen.ahead_of_time:
        _check_known(chosen, wanted)
        return Target(chosen, wanted, "", present)
    if gpu is None or wanted != (gpu.capability,):
        raise ExecutorError(
            f"{chosen.title} cannot build for {', '.join(f'sm{each}' for each in wanted)} here",
            expected="the GPU of this machine: full TensorRT builds on the device for the device",
            found=f"{gpu.name}, sm{gpu.capability}" if gpu is not None else "no GPU",
            do="give --target local on the device itself, or --toolkit tensorrt-rtx",
        )
    return Target(chosen, wanted, gpu.name, present)


def read_capabilities(text: str) -> tuple[int, ...]:
    """ "sm86, 12.0" -> (86, 120), ascending and without doubles.

    Raises:
        UsageError: something that is no compute capability.
    """
    parts = [part.strip().lower() for part in text.split(",") if part.strip()]
    matches = [NAME.fullmatch(part) for part in parts]
    if not parts or not all(matches):
        raise UsageError(
            "--target cannot be read",
            expected="local, or compute capabilities with commas between: sm80,sm86,sm89,sm120",
            found=repr(text),
            do="look up the compute capability of the GPU; 8.6 is sm86",
        )
    return tuple(sorted({10 * int(m[1]) + int(m[2]) for m in matches if m is not None}))


def _check_known(toolkit: Toolkit, wanted: tuple[int, ...]) -> None:
    known = toolkit.known_capabilities()
    for each in wanted:
        if each in known:
            continue
        if each in JETSONS:
            do = (
                f"sm{each} is the Jetson {JETSONS[each]}: its engines are built on the Jetson, "
                f"with --toolkit {FULL} --target local"
            )
        else:
            do = "leave it out of --target, or build on that GPU with full TensorRT"
        raise ExecutorError(
            f"{toolkit.title} does not build for sm{each}",
            expected=", ".join(f"sm{capability}" for capability in known),
            found=f"sm{each}",
            do=do,
        )
