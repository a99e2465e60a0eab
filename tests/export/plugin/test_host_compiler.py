"""A machine whose nvcc finds no C++ compiler, or one that it refuses."""

from __future__ import annotations

import pytest

from edge.errors import ExecutorError, MissingLibraryError
from export.plugin import build
from export.plugin.build import build_plugin


@pytest.mark.parametrize(
    "said",
    [
        "gcc: No such file or directory\nnvcc fatal : Failed to preprocess host compiler",
        "gcc: fatal error: cannot execute 'cc1plus': execvp: No such file or directory",
        "sh: 1: g++-12: not found",
        "nvcc fatal   : Compiler 'clang-19' in PATH not found",
        "host_config.h:143:2: error: #error -- unsupported GNU version! gcc versions later than 13",
    ],
)
def test_a_machine_without_a_fitting_compiler(tmp_path, fake_nvcc, monkeypatch, said):
    monkeypatch.setattr(build, "compile_in", lambda *_: (1, said))
    with pytest.raises(MissingLibraryError) as error:
        build_plugin(tmp_path, (87,), shell=False)
    assert error.value.what.endswith("nvcc has no C++ compiler that it can use")
    assert error.value.found == said and "sudo apt install g++" in error.value.do


@pytest.mark.parametrize(
    "said",
    [
        "x.cu(3): error: expected a ';'",
        "g++: fatal error: Killed signal terminated program cc1plus",
        "cc1plus: out of memory allocating 65536 bytes",
        "nvcc warning : The -std=c++20 flag is not supported with the configured host compiler\n"
        "x.cu(3): error: expected a ';'",
    ],
)
def test_other_faults_are_not_of_the_compiler(tmp_path, fake_nvcc, monkeypatch, said):
    monkeypatch.setattr(build, "compile_in", lambda *_: (1, said))
    with pytest.raises(ExecutorError, match="refused the plugin's sources") as error:
        build_plugin(tmp_path, (87,), shell=False)
    assert error.value.found == said
