"""The files around a build: where engines go, a timing cache to start from, the kept logs."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edge.bundle import sha256_of
from edge.engine_manifest import (
    ENGINES_VARIABLE,
    MANIFEST_FILE,
    TIMING_CACHE_FILE,
    EngineKey,
    parse_manifest,
)
from edge.errors import ExecutorError, OutputError
from export.engines.job import LAYERS_FILES, LOG_FILE


def check_writable(folder: Path) -> None:
    """Find out before a long build whether its engine can be written.

    Raises:
        OutputError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(folder: Path, error: OSError) -> OutputError:
    """What to do about a folder that takes no engine."""
    return OutputError(
        f"no engine can be written into {folder}",
        expected="a folder that can be written, on a disk with room",
        found=f"{type(error).__name__}: {error.strerror}",
        do=f"set {ENGINES_VARIABLE} to a folder of yours; build and runtime both read it",
    )


@dataclass(frozen=True, slots=True)
class TimingCache:
    """What a build may start from."""

    path: str = ""  # empty: there is none
    notes: tuple[str, ...] = ()  # of those that may not be used


def earlier_timing_cache(folder: Path, key: EngineKey) -> TimingCache:
    """A timing cache of the same toolkit and GPU, of this very engine first.

    A rebuild that starts from its own cache chooses the same kernels again. One that is no longer
    what its engine's manifest says is not used.
    """
    found, notes = [], []
    for path in sorted(folder.glob(f"*/{MANIFEST_FILE}")):
        try:
            manifest = parse_manifest(path)
        except ExecutorError:
            continue  # damaged: not to be trusted with kernels either
        earlier = manifest.key
        alike = all(
            getattr(earlier, name) == getattr(key, name)
            for name in ("toolkit", "toolkit_version", "compute_capabilities", "gpu_name")
        )
        cache = path.with_name(TIMING_CACHE_FILE)
        if not alike or not cache.is_file():
            continue
        if sha256_of(cache) == manifest.timing_cache_sha256:
            found.append((earlier != key, earlier.kind != key.kind, str(cache)))
        else:
            notes.append(f"timing cache: {cache} was altered since its build, and is not used")
    return TimingCache(min(found)[2] if found else "", tuple(notes))


def keep_logs(job: Path, folder: Path, name: str) -> None:
    """Copy what a build wrote for people to where the user wants it.

    The builder's log becomes `<name>.log`, the engine inspector's JSON
    `<name>_layers_profile0.json` and so on.

    Args:
        job: folder of the build.
        folder: of the user.
        name: what the files are called by.

    Raises:
        OutputError: the folder cannot be written.
    """
    kept = {job / LOG_FILE: f"{name}.log"}
    kept |= {table: f"{name}_{table.name}" for table in sorted(job.glob(LAYERS_FILES))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, wanted in kept.items():
            if path.is_file():
                shutil.copyfile(path, folder / wanted)
    except OSError as error:
        raise OutputError(
            f"the builder's log cannot be written into {folder}",
            expected="a folder that can be written",
            found=f"{type(error).__name__}: {error.strerror}",
            do="give another folder with --logs",
        ) from error
