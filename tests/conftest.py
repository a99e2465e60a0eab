"""Fixtures of the whole suite."""

from __future__ import annotations

import functools
import gc
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # one process for each core: one thread for each process
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch read it

from made_once import MadeOnce, made_once

from edge.bundle import Bundle


@pytest.fixture(autouse=True)
def torch_threads() -> Iterator[None]:
    """What a test sets for torch ends with it: with more threads equal sums have other bits."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None and os.environ.get("OMP_NUM_THREADS") == "1":
        torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist hand out files in the order that they are in, not by how many tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: no worker begins one when the others have nothing left."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Look for garbage seldom, and not among what was imported: exports make many objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="module", autouse=True)
def earlier_objects_are_no_garbage() -> None:
    """Let a collection look at what a file made, and not at what the files before it left.

    After some exports there are millions of objects for good, and tests of what gives memory back
    look for garbage each time: two seconds a look.
    """
    gc.collect()
    gc.freeze()


def _load(name: str) -> ModuleType:
    """A support module beside the tests; with --import-mode=importlib none is on the path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"edge/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """`once(name, make) -> folder` that all processes of this run have in common; only read it."""
    return made_once(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session", autouse=True)
def torchlib_once() -> Iterator[None]:
    """Read torch's translations of its operators once, not anew for each export: it takes 1 s."""
    if "export.graph_writing" not in sys.modules:  # no test here exports
        yield
        return
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        known = functools.cache(ONNXRegistry.from_torchlib)
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(known))
        yield


@pytest.fixture(scope="session", autouse=True)
def graphs_on_one_thread() -> Iterator[None]:
    """A session that a test opens without options waits in circles on all cores, after runs too."""
    import onnxruntime

    class OnOneThread(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, model: Any, sess_options: Any = None, *args: Any, **named: Any) -> None:
            if sess_options is None:
                sess_options = onnxruntime.SessionOptions()
                sess_options.intra_op_num_threads = 1
            super().__init__(model, sess_options, *args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxruntime, "InferenceSession", OnOneThread)
        yield


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module tests/edge/tiny_bundle.py: `tiny_manifest`, `tiny_head` and the sizes."""
    return _load("tiny_bundle")


@pytest.fixture(scope="session")
def parts() -> ModuleType:
    """The module tests/edge/fake_parts.py: a map, a localizer and frames that need no model."""
    return _load("fake_parts")


@pytest.fixture(scope="session")
def spelled_out() -> ModuleType:
    """The module tests/edge/spelled_out.py: the localizer's contract in plain Python."""
    return _load("spelled_out")


@pytest.fixture(scope="session")
def make_tiny_bundle(tiny: ModuleType) -> Callable[..., Bundle]:
    """`write_tiny_bundle(folder, window_wh_px=..., frame_wh_px=..., seed=...) -> Bundle`."""
    make: Callable[..., Bundle] = tiny.write_tiny_bundle
    return make


@pytest.fixture(scope="session")
def tiny_bundle(
    make_tiny_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """One opened tiny bundle for the whole session; do not write into its folder."""
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")
