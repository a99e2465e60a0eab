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
        "host_config.h:143:2: error: #error -- unsupported GNU version! gcc versions later than 13",
    ],
)
def test_a_machine_without_a_fitting_compiler(tmp_path, fake_nvcc, monkeypatch, said):
    monkeypatch.setattr(build, "compile_in", lambda *_: (1, said))
    with pytest.raises(MissingLibraryError) as error:
        build_plugin(tmp_path, (87,), shell=False)
    assert error.value.what.endswith("nvcc has no C++ compiler that it can use")
    assert error.value.found == said and "sudo apt install g++" in error.value.do
    monkeypatch.setattr(build, "compile_in", lambda *_: (1, "x.cu(3): error: expected a ';'"))
    with pytest.raises(ExecutorError, match="refused the plugin's sources"):
        build_plugin(tmp_path, (87,), shell=False)
