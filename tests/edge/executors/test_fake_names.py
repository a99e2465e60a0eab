"""The fakes may not drift: every name in them is one of the real libraries, where these are there.

Full TensorRT cannot be installed beside the tests, but shares its names with TensorRT-RTX.
"""

from __future__ import annotations

import inspect

import fake_tensorrt
import fake_trt_context
import fake_trt_parts
import pytest
from fake_cuda import fake_cuda_driver
from fake_gpu import FakeGpu

REASON = "the real library is not installed here"
CLASSES = (
    fake_tensorrt.Runtime,
    fake_tensorrt.ICudaEngine,
    fake_tensorrt.EngineInspector,
    fake_tensorrt.IPluginRegistry,
    fake_trt_context.IRuntimeCache,
    fake_trt_context.IRuntimeConfig,
    fake_trt_context.IExecutionContext,
    fake_trt_parts.ILogger,
    fake_trt_parts.IProfiler,
)
ENUMERATIONS = (
    fake_trt_parts.DataType,
    fake_trt_parts.TensorIOMode,
    fake_trt_parts.ExecutionContextAllocationStrategy,
    fake_trt_parts.LayerInformationFormat,
    fake_trt_parts.CudaGraphStrategy,
    fake_trt_parts.DynamicShapesKernelSpecializationStrategy,
)
OWN = {"strategy", "cache"}  # of the fake's own book-keeping


@pytest.fixture
def rtx():
    return pytest.importorskip("tensorrt_rtx", reason=REASON)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_classes_have_the_names_of_the_real_ones(rtx, kind):
    real = getattr(rtx, kind.__name__)
    ours = {name for name in vars(kind) if not name.startswith("_")} - OWN
    assert ours
    assert ours <= set(dir(real))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_arguments_have_the_names_of_the_real_ones(rtx, kind):
    """pybind11 writes its signatures into the docstrings."""
    real = getattr(rtx, kind.__name__)
    for name, function in vars(kind).items():
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        said = getattr(real, name).__doc__
        if "self" not in said:
            continue  # a Python function, with no signature to read
        for argument in list(inspect.signature(function).parameters)[1:]:
            assert f"{argument}:" in said, f"{kind.__name__}.{name} has no argument {argument}"


@pytest.mark.parametrize("kind", ENUMERATIONS, ids=lambda kind: kind.__name__)
def test_enumerations_have_the_members_of_the_real_ones(rtx, kind):
    real = getattr(rtx, kind.__name__)
    for member in kind:
        assert getattr(real, member.name).name == member.name


def test_the_module_has_what_the_runtime_touches(rtx):
    fake = fake_tensorrt.fake_tensorrt(FakeGpu(), "tensorrt_rtx")
    own = {"gpu", "knobs", "libraries"}
    names = {name for name in vars(fake) if not name.startswith("_")} - own
    assert {"Runtime", "get_plugin_registry", "CudaGraphStrategy"} <= names
    assert names <= set(dir(rtx))
    assert all(hasattr(rtx, name) for name in fake_tensorrt.FORBIDDEN)


def test_cuda_python_has_the_names_and_codes():
    driver = pytest.importorskip("cuda.bindings.driver", reason=REASON)
    fake = fake_cuda_driver(FakeGpu())
    names = {name for name in vars(fake) if name.startswith(("cu", "CU"))}
    assert len(names) > 30
    assert names <= set(dir(driver))
    assert fake.CU_MEMHOSTALLOC_DEVICEMAP == driver.CU_MEMHOSTALLOC_DEVICEMAP
    for kind in (fake.CUresult, fake.CUdevice_attribute, fake.CUstreamCaptureMode):
        real = getattr(driver, kind.__name__)
        for member in kind:
            assert int(getattr(real, member.name)) == int(member)
            assert getattr(real, member.name).name == member.name
