"""Compile the plugin with nvcc, and write down what it was made of.

One shared library for TensorRT and for `export.plugin.launcher`; `plugin.json` beside it holds the
sha256 of the library and of every source, so that an engine's manifest can name its plugin.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.errors import ExecutorError, MissingLibraryError, UsageError
from export.engines.device import local_gpu
from export.output_folder import check_output, writing
from export.plugin.compiling import compile_in
from export.plugin.toolchain import (
    Nvcc,
    aarch64_cudart,
    cross_compiler,
    headers_version,
    tensorrt_headers,
)

SCHEMA_VERSION = 1
SOURCES = Path(__file__).parent / "csrc"
LIBRARY = "libtilefix_plugin.so"
FOLDER = "plugin"  # that is advised for a new one
KERNELS = ("tile_attention.cu", "cross_attention.cu")
SHELL = (
    "plugin_library.cpp",
    "plugin_self_test.cpp",
    "tile_attention_plugin.cpp",
    "tile_attention_self_test.cpp",
    "cross_attention_plugin.cpp",
    "cross_attention_self_test.cpp",
)
SPILL = re.compile(r"(\d+) bytes spill stores")
TARGETS = ("x86_64", "aarch64")
# What nvcc 12 and 13 say where the fault is in the compiler that they call, not in the sources.
HOST_COMPILER = re.compile(
    r"(gcc|g\+\+): No such file|g\+\+[-\w.]*: not found|cannot execute .?cc1plus"
    r"|[Ff]ailed to preprocess host compiler|unsupported (GNU|clang) version"
    r"|Compiler '.*' in PATH not found|Host compiler targets unsupported"
)


@dataclass(frozen=True, slots=True)
class PluginManifest:
    """What `plugin.json` says."""

    schema_version: int
    library: str  # its file name
    library_sha256: str
    library_bytes: int
    sources_sha256: dict[str, str]  # file name -> sha256
    target: str  # x86_64 or aarch64
    archs: tuple[int, ...]  # with machine code; PTX of the lowest serves newer GPUs
    nvcc_release: str
    tensorrt_headers: str | None  # version; None: kernels alone, without the TensorRT shell
    command: tuple[str, ...]  # nvcc's arguments without folders
    spilled_bytes: int  # registers that did not fit, over all kernels; 0 is meant


def build_plugin(
    out: Path,
    archs: tuple[int, ...] | None = None,
    target: str | None = None,
    *,
    shell: bool = True,
    cache: Path | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> PluginManifest:
    """Compile into a folder: `libtilefix_plugin.so` and `plugin.json`.

    Args:
        out: folder, made when missing.
        archs: compute capabilities, such as 87; None: of the GPU of this machine, and without one
            the usual ones that nvcc knows.
        target: x86_64 or aarch64; this machine's when not given.
        shell: with the TensorRT plugin; without it no header of TensorRT is needed.
        cache: where downloaded headers and libraries are kept.
        progress: takes lines for people.

    Raises:
        UsageError: an unknown target or architecture.
        MissingLibraryError: no nvcc, headers, cross compiler or cudart.
        ExecutorError: the compiler refused the sources.
        OutputError: the folder, or that of what is downloaded, cannot be written.
    """
    check_output(out)
    target = target or platform.machine()
    if target not in TARGETS:
        raise UsageError(
            "the plugin cannot be built for this target",
            expected=f"--target {' or '.join(TARGETS)}",
            found=target,
            do="choose one of these",
        )
    nvcc = Nvcc.find()
    if archs is None:
        archs, why = nvcc.default_archs(local_gpu() if target == platform.machine() else None)
        progress(f"--arch {','.join(map(str, archs))}: {why}")
    archs = tuple(sorted(set(archs)))
    nvcc.check(archs)
    headers = tensorrt_headers(cache) if shell else None
    flags = ["-O3", "-std=c++17", "-shared", "-Xcompiler", "-fPIC,-fvisibility=hidden"]
    # Stripped of symbols, which hold the names of temporary files: equal builds are equal bytes.
    # No device link: nothing is to be linked, and it would write down where CUDA lies.
    flags += ["-Xptxas", "-v", "-Xlinker", "-s", "-nodlink", "--threads", "0"]
    for arch in archs:
        flags += ["-gencode", f"arch=compute_{arch},code=sm_{arch}"]
    flags += ["-gencode", f"arch=compute_{archs[0]},code=compute_{archs[0]}"]
    folders: list[str] = []
    if headers is not None:
        folders += ["-isystem", str(headers.absolute())]
    libraries: list[str] = []
    if target != platform.machine():
        if target != "aarch64":
            raise UsageError(
                f"a machine of type {platform.machine()} cannot compile for {target}",
                expected="aarch64 from x86_64, or the machine's own type",
                found=target,
                do="build on a machine of that type",
            )
        folders += ["-ccbin", str(cross_compiler()), "-isystem", str(nvcc.include())]
        cudart = aarch64_cudart(nvcc.release, cache).absolute()
        libraries = [str(cudart / "libcudart_static.a")]
        libraries += ["-lrt", "-lpthread", "-ldl"]
        flags += ["-cudart", "none"]
    else:
        flags += ["-cudart", "static"]
    names = (*KERNELS, *SHELL) if shell else KERNELS
    progress(f"nvcc {nvcc.release} compiles {len(names)} sources for {target}, sm {archs}")
    with _scratch(out.absolute()) as scratch:
        library = scratch / LIBRARY
        # Sources by their names alone: nvcc makes names of functions from their paths.
        command = [str(nvcc.path), *flags, *folders, *names, *libraries, "-o", str(library)]
        code, said = compile_in(SOURCES, scratch, command)
        if code and target == platform.machine() and HOST_COMPILER.search(said):
            raise MissingLibraryError(
                "the plugin cannot be compiled: nvcc has no C++ compiler that it can use",
                expected=f"one that nvcc {nvcc.release} takes: g++ in the PATH, or NVCC_CCBIN",
                found="\n".join(said.strip().splitlines()[:12]),
                do="sudo apt install g++, or set NVCC_CCBIN to one of a version that it takes",
            )
        if code or not library.is_file():
            raise ExecutorError(
                f"nvcc {nvcc.release} refused the plugin's sources",
                expected=f"{LIBRARY} from {', '.join(names)}",
                found="\n".join(said.strip().splitlines()[:12]),
                do="report this with the version of CUDA; " + " ".join(command),
            )
        manifest = PluginManifest(
            SCHEMA_VERSION,
            LIBRARY,
            sha256_of(library),
            library.stat().st_size,
            source_hashes(),
            target,
            archs,
            nvcc.release,
            headers_version(headers) if headers is not None else None,
            tuple(flags),
            sum(map(int, SPILL.findall(said))),
        )
        text = scratch / "plugin.json"
        text.write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
        library.replace(out / LIBRARY)
        text.replace(out / "plugin.json")
    return manifest


@contextlib.contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder inside the one of the results, for renaming; both go if nothing comes of it."""
    new = not out.exists()
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=out) as scratch:
                yield Path(scratch)
        finally:
            if new and not any(out.iterdir()):
                out.rmdir()


def read_manifest(folder: Path, archs: tuple[int, ...] = ()) -> PluginManifest:
    """Read `plugin.json` and compare the library with it.

    Args:
        folder: of `tilefix plugin build`.
        archs: that are wanted, for the command that an error advises; as it was built without.

    Raises:
        ExecutorError: a file is missing, damaged, of another schema, or not the one that was built.
    """
    values: dict[str, object] = {}
    try:
        values = json.loads((folder / "plugin.json").read_text(encoding="utf-8"))
        values["archs"], values["command"] = tuple(values["archs"]), tuple(values["command"])
        manifest = PluginManifest(**values)
        found = sha256_of(folder / manifest.library)
    except (OSError, ValueError, TypeError, KeyError) as error:
        wanted = "plugin.json and the library that it names"
        raise _refused(folder, archs or _archs(values), wanted, str(error)) from error
    archs = archs or manifest.archs
    if manifest.schema_version != SCHEMA_VERSION:
        version = manifest.schema_version
        raise _refused(folder, archs, f"schema version {SCHEMA_VERSION}", f"version {version}")
    if found != manifest.library_sha256:
        raise _refused(folder, archs, f"sha256 {manifest.library_sha256}", f"sha256 {found}")
    return manifest


def source_hashes() -> dict[str, str]:
    """sha256 of every file that a build reads here."""
    return {path.name: sha256_of(path) for path in sorted(SOURCES.iterdir()) if path.is_file()}


def sha256_of(path: Path) -> str:
    """sha256 of a small file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _archs(values: object) -> tuple[int, ...]:
    """Of a manifest that may be damaged."""
    archs = values.get("archs") if isinstance(values, dict) else None
    return tuple(a for a in archs if isinstance(a, int)) if isinstance(archs, (list, tuple)) else ()


def _refused(folder: Path, archs: tuple[int, ...], expected: str, found: str) -> ExecutorError:
    """What is no plugin is not to be built over: only an empty, new or former folder of one is."""
    ours = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    ours = ours or any((folder / name).is_file() for name in ("plugin.json", LIBRARY))
    given = ["--arch", ",".join(map(str, archs))] if archs else []
    command = ["tilefix", "plugin", "build", *given, "--out", str(folder if ours else FOLDER)]
    do = f"build it again: {shlex.join(command)}"
    if folder.is_file() and folder.name in (LIBRARY, "plugin.json"):
        do = f"give the folder that it is in: --plugin {folder.parent}"
    elif not ours:
        do = f"give the folder of a plugin; {shlex.join(command)} makes one"
    return ExecutorError(
        f"the plugin in {folder} cannot be used", expected=expected, found=found, do=do
    )
