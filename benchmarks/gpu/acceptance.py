"""Does everything that needs a GPU, in one command and under 8 minutes, and writes one record.

    python -m benchmarks.gpu_acceptance --out DIR

It needs torch with CUDA, numpy, and nvcc or a library built before (`--library`); no network, no
TensorRT. Features in INT8 are checked where cuda-python is, and the plugin's own interface where
TensorRT's headers are: set TENSORRT_INCLUDE_DIR, or build the library elsewhere (`tilefix plugin
build --arch 90 --out build`) and give it by `--library`. Where the checkout has no .git, `--commit`
names the commit. The exit status is 0 when every part that could run passed, 1 when one failed, 2
without a CUDA device.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.acceptance_record import (
    RECORD_FILE,
    Requirement,
    Skip,
    Trial,
    Verdict,
    Work,
    machine,
    record,
    said,
    write_record,
)
from benchmarks.gpu import cross_attention_trial as cross
from benchmarks.gpu import dequantise_trial as dequantise
from benchmarks.gpu.clock import copy_gb_per_s
from benchmarks.gpu.model_trial import MODELS, time_model
from benchmarks.gpu.tile_attention_trial import (
    check,
    check_batch,
    check_graph,
    time_kernel,
    time_rivals,
)

NO_DEVICE = 2
Kernels = Any  # export.plugin.launcher.KernelLibrary; imported on call, as torch is
CrossKernels = Any  # export.plugin.cross_attention_launcher.CrossAttentionLibrary
Check = Callable[..., tuple[dict[str, Any], list[Requirement]]]
BUDGET_S = 460.0
SANITIZER = "compute-sanitizer"
# kind of watching -> sizes of the checks, and what it may take in seconds
KINDS = {"memcheck": ("small", 30.0), "racecheck": ("fewest", 60.0)}
# Our kernels alone, by their namespace: torch's are not ours to mend and take most of the time.
# What its libraries try of CUDA and may be refused is no error; a launch of ours that is raises.
WATCHED = ["--error-exitcode", "9", "--kernel-name", "kns=tilefix", "--report-api-errors", "no"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all parts; returns the exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu_acceptance", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the record")
    parser.add_argument("--library", type=Path, help="libtilefix_plugin.so, built before")
    parser.add_argument("--seeds", type=int, default=12, help="of the full-size checks")
    parser.add_argument("--commit", help="of this checkout, where git does not say")
    parser.add_argument("--budget-s", type=float, default=BUDGET_S)
    parser.add_argument("--only", default="", help="parts named so in part, beside the first two")
    parser.add_argument(
        "--check-only", choices=("small", "fewest"), help="checks of these sizes, no record"
    )
    given = parser.parse_args(arguments)
    missing = no_device()
    if missing:
        print(f"gpu_acceptance: no CUDA device: {missing}", file=sys.stderr)
        return NO_DEVICE
    if given.check_only:
        tile_kernels, cross_kernels = opened(given.library)
        _, requirements = check(tile_kernels, 1, sizes=given.check_only)
        requirements += cross.check(cross_kernels, 1, sizes=given.check_only)[1]
        if given.check_only == "small":  # races in shared memory are those of a lone window
            check_batch(tile_kernels, turns=1, variants=["detgeo"])
        return int(not all(r.met for r in requirements))
    named = {"git_commit": given.commit, "git_clean": None} if given.commit else {}
    environment = machine() | gpu() | named
    typed = " ".join(arguments or sys.argv[1:]).replace(str(given.out), "DIR")
    if given.library is not None:
        typed = typed.replace(str(given.library), given.library.name)
    command = f"python -m benchmarks.gpu_acceptance {typed}"

    def say(line: str) -> None:
        """Show the line and write what there is: a run that is cut off leaves a record."""
        print(line, flush=True)
        write_record(record(trial, environment, command), given.out)

    trial = Trial(given.budget_s, say)
    run_parts(trial, given)
    print(f"{trial.verdict().value}: {given.out / RECORD_FILE}")
    return int(trial.verdict() is not Verdict.PASSED)


def run_parts(trial: Trial, given: argparse.Namespace) -> None:
    """Everything, the most telling parts first."""
    folder = given.out / "plugin"
    made: dict[str, Any] = {}
    names: list[str] = []

    def run(name: str, needs_s: float, work: Work) -> None:
        """A fault of the device ends the process for all parts behind it: each can run alone."""
        names.append(name)
        if given.only in name:
            trial.run(name, needs_s, partial(told, work))

    def build() -> tuple[dict[str, Any], list[Requirement]]:
        if given.library is None:
            path, values = build_library(folder)
        else:
            path, values = given.library, {"sha256": sha256(given.library.read_bytes()).hexdigest()}
        made["library"] = opened(path)
        return {"library": path.name, **values}, []

    trial.run("build", 150 if given.library is None else 10, partial(told, build))
    if "library" not in made:
        return
    library, cross_library = made["library"]

    def bandwidth() -> tuple[dict[str, Any], list[Requirement]]:
        made["copy"] = copy_gb_per_s()
        return {"copy_gb_per_s": made["copy"]}, []

    def plugin(check: Check, kernels: Any) -> tuple[dict[str, Any], list[Requirement]]:
        if not kernels.has_plugin:
            raise Skip("the library has no TensorRT plugin: its headers were not there")
        return check(kernels, 1, through_plugin=True, sizes="small")

    def sanitize(kind: str) -> tuple[dict[str, Any], list[Requirement]]:
        return run_sanitizer(kind, library.path, trial.left_s())

    trial.run("copy bandwidth", 10, partial(told, bandwidth))
    seeds = max(1, given.seeds // 3)
    run("features in INT8: right", 15, lambda: dequantise.check(seeds))
    run("features in INT8: time", 10, dequantise.time_features)
    run("tile attention: right", 60, lambda: check(library, given.seeds))
    run("tile attention: batch", 15, lambda: check_batch(library))
    run("tile attention: CUDA graph", 10, lambda: check_graph(library))
    run("tile attention: plugin interface", 15, lambda: plugin(check, library))
    if "copy" in made:
        run("tile attention: time", 40, lambda: time_kernel(library, made["copy"]))
    run("cross attention: right", 40, partial(cross.check, cross_library, seeds))
    run("cross attention: CUDA graph", 10, lambda: cross.check_graph(cross_library))
    run("cross attention: plugin interface", 15, lambda: plugin(cross.check, cross_library))
    if "copy" in made:
        run("cross attention: time", 30, lambda: cross.time_kernel(cross_library, made["copy"]))
    for name in MODELS:
        needs_s = 90 if name == "lite" else 30  # in several forms, of which torch compiles one
        run(f"model: {name}", needs_s, partial(time_model, name, library, cross_library))
    run("tile attention: rivals", 90, lambda: time_rivals(library))
    run("cross attention: rivals", 60, lambda: cross.time_rivals(cross_library))
    for kind, (_, needs_s) in KINDS.items():
        run(f"{SANITIZER}: {kind}", needs_s, lambda k=kind: sanitize(k))
    if not any(given.only in name for name in names):
        raise SystemExit(str(no_such_part(given.only, names)))


def no_such_part(only: str, names: Sequence[str]) -> Exception:
    """What is wrong with an `--only` that no part's name contains."""
    from edge.errors import UsageError

    return UsageError(
        "no part of the acceptance is named so",
        expected=f"--only with words of one of: {', '.join(names)}",
        found=f"--only {only!r}",
        do="correct it, or leave it out to run all parts",
    )


def told(work: Work) -> tuple[dict[str, Any], list[Requirement]]:
    """Do a part; where it breaks off, show the place, of which the record has the last line."""
    try:
        return work()
    except Skip:
        raise
    except Exception:
        traceback.print_exc()
        raise


def build_library(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Compile for this GPU: with the plugin's shell where headers are, else the kernels alone."""
    import torch

    from edge.errors import MissingLibraryError
    from export.plugin.build import build_plugin
    from export.plugin.toolchain import tensorrt_headers

    major, minor = torch.cuda.get_device_capability()
    try:
        tensorrt_headers()
        without = ""
    except MissingLibraryError as error:
        without = str(error)
    manifest = build_plugin(folder, (10 * major + minor,), shell=not without)
    values = {"sha256": manifest.library_sha256, "nvcc": manifest.nvcc_release}
    return folder / manifest.library, {**values, "headers": manifest.tensorrt_headers or without}


def opened(path: Path | None) -> tuple[Kernels, CrossKernels]:
    """The library, ready, once for each kernel."""
    from edge.errors import UsageError
    from export.plugin.cross_attention_launcher import CrossAttentionLibrary
    from export.plugin.launcher import KernelLibrary

    if path is None:
        raise UsageError(
            "there is no library to check",
            expected="--library PATH with --check-only",
            found="no path",
            do="build one: tilefix plugin build --out DIR",
        )
    return KernelLibrary(path), CrossAttentionLibrary(path)


def run_sanitizer(
    kind: str, library: Path, left_s: float
) -> tuple[dict[str, Any], list[Requirement]]:
    """Few checks again, every access watched for one kind of fault, in the time left."""
    tool = shutil.which(SANITIZER)
    if tool is None:
        raise Skip(f"{SANITIZER} is not installed")
    here = [sys.executable, "-m", "benchmarks.gpu_acceptance", "--out", "."]
    here += ["--check-only", KINDS[kind][0], "--library", str(library)]
    try:
        done = subprocess.run(
            [tool, "--tool", kind, *WATCHED, *here],
            capture_output=True,
            text=True,
            check=False,
            timeout=left_s,
        )
    except subprocess.TimeoutExpired as error:
        raise Skip(f"{kind} took more than the {error.timeout:.0f} s that were left") from error
    if done.returncode:
        text = done.stdout[-600:] + done.stderr[-300:]
        raise RuntimeError(f"{kind} ended with {done.returncode}: {text}")
    return {"last line": done.stdout.strip().splitlines()[-1:]}, []


def no_device() -> str:
    """Why there is no CUDA device; empty where there is one."""
    try:
        import torch
    except ImportError as error:
        return str(error)
    if torch.cuda.is_available():
        return ""
    return (
        f"torch {torch.__version__} finds none (nvidia-smi: {said('nvidia-smi', '-L') or 'none'})"
    )


def gpu() -> dict[str, Any]:
    """The GPU and its software."""
    import numpy as np
    import torch

    properties = torch.cuda.get_device_properties(0)
    driver = said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return {
        "gpu": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "gpu_memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "driver": driver or "unknown",
        "torch": torch.__version__,
        "cuda_of_torch": torch.version.cuda,
        "numpy": np.__version__,
    }


if __name__ == "__main__":
    sys.exit(main())
