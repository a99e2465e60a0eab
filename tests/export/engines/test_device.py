import shutil
import subprocess

import pytest

from export.engines.device import Gpu, local_gpu

STUB = """
#include <string.h>
int cuInit(unsigned flags) { return flags ? 1 : START; }
int cuDeviceGet(int* device, int ordinal) { *device = 7 + ordinal; return 0; }
int cuDeviceGetName(char* name, int size, int device) {
    strncpy(name, device == 7 ? "Orin" : "?", size);
    return 0;
}
int cuDeviceGetAttribute(int* value, int kind, int device) {
    *value = device != 7 ? -1 : kind == 16 ? 8 : kind == 75 ? 8 : kind == 76 ? 7 : -1;
    return 0;
}
"""


@pytest.fixture
def driver(tmp_path):
    """A libcuda of five functions, which starts with the status given."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")

    def build(start: int) -> str:
        library = tmp_path / f"libcuda_{start}.so"
        command = [compiler, "-shared", "-fPIC", f"-DSTART={start}", "-xc", "-", "-o", str(library)]
        subprocess.run(command, input=STUB.encode(), check=True)
        return str(library)

    return build


def test_a_board_is_told_by_its_size_as_well(driver):
    assert local_gpu(driver(0)) == Gpu("Orin (8 SM)", 87)


def test_a_driver_without_a_device_is_no_gpu(driver, tmp_path):
    assert local_gpu(driver(100)) is None
    assert local_gpu(str(tmp_path / "libcuda.so.1")) is None
