"""A fake GPU, and both device backends on it."""

from __future__ import annotations

import gc

import pytest
from fake_engines import install
from fake_gpu import FakeGpu

from edge.devices.base import BACKENDS, open_device


@pytest.fixture(params=["discrete", "integrated"])
def gpu(request, monkeypatch):
    made = FakeGpu("Orin", (8, 7), integrated=request.param == "integrated", total_bytes=1 << 20)
    install(monkeypatch, made)
    return made


@pytest.fixture(params=list(BACKENDS))
def backend(request) -> str:
    return request.param


@pytest.fixture
def device(backend, gpu):
    opened = open_device(backend)
    with opened.current():
        yield opened
    opened.close()
    gc.collect()  # pycuda gives back with its objects
    gpu.assert_all_is_given_back()
