"""Building the plugin: what is refused in which words; the real builds where the tools are."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from fat_binary import gpu_targets

from edge.errors import ExecutorError, MissingLibraryError, UsageError
from export.engines.device import Gpu
from export.plugin import build, toolchain
from export.plugin.build import LIBRARY, build_plugin, read_manifest, sha256_of, source_hashes
from export.plugin.command import parse_archs, plugin
from export.plugin.launcher import KernelLibrary
from export.plugin.random_cases import random_case
from export.plugin.tile_attention_op import new_answers
from export.plugin.toolchain import Nvcc, headers_version, tensorrt_headers

LOADER = """
#include <dlfcn.h>
#include <stdio.h>
int main(int n, char** names) {
    void* library = dlopen(names[n - 1], RTLD_NOW);
    if (!library) return puts(dlerror()), 1;
    void* (*creators)(int*) = (void* (*)(int*))dlsym(library, "getCreators");
    int count = 0;
    if (creators) creators(&count);
    printf("creators: %d\\n", count);
    return 0;
}
"""


def test_without_nvcc(tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)
    with pytest.raises(MissingLibraryError) as error:
        build_plugin(tmp_path)
    assert error.value.what == "the plugin cannot be compiled: there is no nvcc"
    assert "CUDA_HOME" in error.value.do


def test_an_architecture_that_the_kernels_cannot_run_on(tmp_path, fake_nvcc):
    with pytest.raises(UsageError) as error:
        build_plugin(tmp_path, (75, 87), shell=False)
    assert error.value.what == "the kernels have no code for sm_75"
    assert error.value.expected.startswith("--arch 80 or newer")


def test_an_architecture_that_nvcc_does_not_know(tmp_path, fake_nvcc):
    with pytest.raises(UsageError) as error:
        build_plugin(tmp_path, (87, 110), shell=False)
    assert error.value.what == "nvcc 13.0 makes no code for sm_110"
    assert error.value.expected == "--arch with some of 87,90"
    assert error.value.do.startswith("install a newer CUDA toolkit, or give --arch without it")


def said_by_build(out: Path, *options: str) -> tuple[list[str], str]:
    """Lines of `tilefix plugin build` before nvcc refuses, and the architectures it was given."""
    arguments = ["build", "--out", str(out), "--kernels-only", *options]
    done = CliRunner().invoke(plugin, arguments)
    assert isinstance(done.exception, ExecutorError), done.exception
    return done.output.splitlines(), " ".join(re.findall(r"code=\w+", done.exception.do))


def test_without_arch_it_is_for_the_gpu_of_this_machine(tmp_path, fake_nvcc, monkeypatch):
    monkeypatch.setattr(build, "local_gpu", lambda: Gpu("NVIDIA H200 (132 SM)", 90))
    lines, codes = said_by_build(tmp_path)
    assert lines[0] == "--arch 90: the GPU of this machine, NVIDIA H200 (132 SM)"
    assert codes == "code=sm_90 code=compute_90"
    lines, codes = said_by_build(tmp_path, "--arch", "87")
    assert codes == "code=sm_87 code=compute_87"
    assert not any(line.startswith("--arch") for line in lines)


def test_without_arch_and_gpu_it_is_for_the_usual_ones_that_nvcc_knows(
    tmp_path, fake_nvcc, monkeypatch
):
    """CUDA 12.6 of JetPack 6 knows no sm_110."""
    monkeypatch.setattr(build, "local_gpu", lambda: None)
    lines, codes = said_by_build(tmp_path)
    assert codes == "code=sm_87 code=sm_90 code=compute_87"
    assert lines[0] == (
        "--arch 87,90: the usual ones, since no GPU of the target is here; "
        "without sm_110, which nvcc 13.0 does not know"
    )


def test_the_gpu_of_this_machine_is_not_that_of_another_target(tmp_path, fake_nvcc, monkeypatch):
    monkeypatch.setattr(build, "local_gpu", lambda: Gpu("NVIDIA GeForce RTX 3080 (68 SM)", 86))
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(build, "cross_compiler", lambda: Path("aarch64-g++"))
    monkeypatch.setattr(build, "aarch64_cudart", lambda release, cache: Path("cudart"))
    lines, codes = said_by_build(tmp_path, "--target", "aarch64")
    assert lines[0].startswith("--arch 87,90: ") and "compute_87" in codes


def test_a_gpu_that_nvcc_does_not_know_is_refused(tmp_path, fake_nvcc, monkeypatch):
    monkeypatch.setattr(build, "local_gpu", lambda: Gpu("NVIDIA Thor (20 SM)", 110))
    with pytest.raises(UsageError, match=r"nvcc 13\.0 makes no code for sm_110"):
        build_plugin(tmp_path, shell=False)


def test_sources_that_nvcc_refuses(tmp_path, fake_nvcc):
    with pytest.raises(ExecutorError) as error:
        build_plugin(tmp_path / "out", (87,), platform.machine(), shell=False)
    assert error.value.found == "x.cu(1): error: no such thing"
    assert not (tmp_path / "out").exists(), "an empty folder is left"
    (tmp_path / "own").mkdir()
    with pytest.raises(ExecutorError):
        build_plugin(tmp_path / "own", (87,), platform.machine(), shell=False)
    assert list((tmp_path / "own").iterdir()) == [], "a folder of the user's stays"


def test_headers_that_are_not_where_they_should_be(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORRT_INCLUDE_DIR", str(tmp_path))
    with pytest.raises(MissingLibraryError) as error:
        tensorrt_headers()
    assert error.value.what == "TENSORRT_INCLUDE_DIR has no TensorRT headers in it"
    assert error.value.found == str(tmp_path)


def test_headers_that_cannot_be_downloaded(tmp_path, monkeypatch):
    monkeypatch.delenv("TENSORRT_INCLUDE_DIR", raising=False)
    monkeypatch.setattr(toolchain, "SYSTEM_INCLUDES", ())
    monkeypatch.setattr(toolchain.sys, "executable", "/bin/false")
    with pytest.raises(MissingLibraryError) as error:
        tensorrt_headers(tmp_path / "cache")
    assert error.value.what == "a part of the plugin build, kernel-lens==2.0.1, cannot be had"
    assert "set TENSORRT_INCLUDE_DIR" in error.value.do
    assert list((tmp_path / "cache").iterdir()) == []


def test_headers_of_the_environment_come_first(tmp_path, monkeypatch):
    (tmp_path / "NvInferRuntime.h").touch()
    (tmp_path / "NvInferVersion.h").write_text(
        "#define NV_TENSORRT_MAJOR 10 //!< \n#define NV_TENSORRT_MINOR 3\n"
        "#define NV_TENSORRT_PATCH 0\n"
    )
    monkeypatch.setenv("TENSORRT_INCLUDE_DIR", str(tmp_path))
    assert tensorrt_headers() == tmp_path
    assert headers_version(tmp_path) == "10.3.0"


def test_without_a_cross_compiler(tmp_path, fake_nvcc, monkeypatch):
    monkeypatch.setattr(toolchain, "CROSS_COMPILER", "no-such-g++")
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")
    with pytest.raises(MissingLibraryError) as error:
        build_plugin(tmp_path, (87,), "aarch64", shell=False)
    assert error.value.do == "sudo apt install g++-aarch64-linux-gnu, or build on the Jetson itself"


def test_targets_and_archs_are_read():
    assert parse_archs("87, sm_90,SM86") == (87, 90, 86)
    with pytest.raises(UsageError) as error:
        parse_archs("8.7")
    assert error.value.do.endswith("8.7 is 87")
    with pytest.raises(UsageError) as error:
        build_plugin(Path("unused"), target="riscv64")
    assert error.value.expected == "--target x86_64 or aarch64"


def test_a_manifest_that_is_not_its_librarys(tmp_path):
    with pytest.raises(ExecutorError) as error:
        read_manifest(tmp_path)
    assert error.value.do == f"build it again: tilefix plugin build --out {tmp_path}"
    (tmp_path / LIBRARY).write_bytes(b"altered")
    values = {
        "schema_version": 1,
        "library": LIBRARY,
        "library_sha256": "0" * 64,
        "library_bytes": 7,
        "sources_sha256": {},
        "target": "x86_64",
        "archs": [87],
        "nvcc_release": "13.0",
        "tensorrt_headers": None,
        "command": [],
        "spilled_bytes": 0,
    }
    (tmp_path / "plugin.json").write_text(json.dumps(values))
    with pytest.raises(ExecutorError) as error:
        read_manifest(tmp_path)
    assert error.value.expected == f"sha256 {'0' * 64}"
    assert error.value.do == f"build it again: tilefix plugin build --arch 87 --out {tmp_path}"
    values["schema_version"] = 2
    (tmp_path / "plugin.json").write_text(json.dumps(values))
    with pytest.raises(ExecutorError, match="schema version 1"):
        read_manifest(tmp_path)


def exported(tool: str, library: Path) -> set[str]:
    said = subprocess.run([tool, "-D", "--defined-only", library], capture_output=True, text=True)
    return {line.split()[-1] for line in said.stdout.splitlines() if " T " in line}


INTERFACE = {
    "getCreators",
    "setLoggerFinder",
    "tilefix_cross_attention",
    "tilefix_cross_attention_self_test",
    "tilefix_cross_attention_splits",
    "tilefix_cross_attention_workspace_bytes",
    "tilefix_tile_attention",
    "tilefix_tile_attention_self_test",
    "tilefix_tile_attention_workspace_bytes",
}


@pytest.mark.slow
def test_build_for_this_machine(built_plugin, trt_headers):
    manifest = read_manifest(built_plugin.parent)
    assert manifest.sources_sha256 == source_hashes()
    assert manifest.spilled_bytes == 0
    assert manifest.tensorrt_headers == headers_version(trt_headers)
    assert manifest.library_sha256 == sha256_of(built_plugin)
    (arch,) = manifest.archs
    assert gpu_targets(built_plugin) == {f"sm_{arch}", f"compute_{arch}"}
    content = built_plugin.read_bytes()
    assert b"tmpxft" not in content, "a temporary name: no two builds are equal"
    assert b"_GLOBAL__N__" not in content, "a name that nvcc made from the path of a source"
    # A device link names its tool, and beside it the path of the compiler.
    assert b"\0nvlink\0" not in content
    if shutil.which("nm"):
        assert exported("nm", built_plugin) == INTERFACE
    case = random_case(0, 2, 8, 8, (4, 4))
    tensors = [torch.from_numpy(x) for x in (case.query, case.v, case.u)]
    head = tuple(map(torch.from_numpy, case.head.arrays()))
    priors = torch.from_numpy(case.prior_xy_px), torch.from_numpy(case.prior_inv_var)
    kernels = KernelLibrary(built_plugin)
    scratch = torch.empty(kernels.workspace_bytes(1, 2, 16), dtype=torch.uint8)
    if torch.cuda.is_available():
        pytest.skip("memory of the host is no place for a GPU's kernel")
    with pytest.raises(ExecutorError) as error:  # everything up to the launch works without a GPU
        kernels(
            *tensors,
            head,
            *priors,
            case.settings,
            new_answers(*tensors[:2]),
            scratch,
            through_plugin=True,
        )
    assert error.value.what == "a tile attention was refused by the plugin, at enqueue"
    code = int(error.value.found.split(":")[0])
    assert code in (35, 100)  # no driver, or no device


@pytest.mark.full_size
def test_build_for_a_jetson(tmp_path, nvcc: Nvcc, trt_headers):
    """For all, as they are shipped: nvcc takes half a minute for each."""
    if platform.machine() != "x86_64" or not shutil.which("aarch64-linux-gnu-g++"):
        pytest.skip("no cross compiler: apt install g++-aarch64-linux-gnu, on x86_64")
    archs = tuple(arch for arch in (87, 110) if arch in nvcc.archs)
    try:
        manifest = build_plugin(tmp_path, archs, "aarch64")
    except MissingLibraryError as error:
        pytest.skip(f"no cudart for aarch64: {error.found}")
    library = tmp_path / LIBRARY
    assert manifest.spilled_bytes == 0
    assert manifest.target == "aarch64" and library.read_bytes()[18:20] == b"\xb7\x00"
    assert exported("aarch64-linux-gnu-nm", library) == INTERFACE
    with pytest.raises(ExecutorError, match="cannot be used"):
        KernelLibrary(library)
    codes = {f"sm_{arch}" for arch in archs}
    assert gpu_targets(library) == codes | {f"compute_{archs[0]}"}
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("built; not loaded: apt install qemu-user")
    source, loader = tmp_path / "loader.c", tmp_path / "loader"
    source.write_text(LOADER)
    subprocess.run(["aarch64-linux-gnu-gcc", source, "-o", loader, "-ldl"], check=True)
    command = [emulator, "-L", "/usr/aarch64-linux-gnu", loader, library]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.stdout == "creators: 2\n"
