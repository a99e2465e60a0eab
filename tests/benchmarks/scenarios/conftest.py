"""A tiny flight over a tiny bundle, and sensors that see nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tiny_flight import write_tiny_pairs

from benchmarks.record.lines import Settings, Unknown
from benchmarks.scenarios.flights import open_flight
from edge.assembly import ExecutorChoice


@pytest.fixture(scope="session")
def pairs_path(tmp_path_factory):
    """A pairs file with three frames."""
    return write_tiny_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="session")
def flight(pairs_path):
    """The same, opened."""
    return open_flight(pairs_path)


@pytest.fixture
def choice():
    """ONNX Runtime on one thread."""
    return ExecutorChoice(threads=1)


@pytest.fixture
def settings(flight):
    """Of a quick run."""
    return Settings(
        quick=True,
        seed=3,
        clicks=2,
        hit_rate=0.5,
        rate_hz=200.0,
        pairs=flight.name,
        pairs_sha256=flight.sha256,
    )


class NoSensors:
    """In place of a running Sampler; counts its measurements."""

    def __init__(self) -> None:
        self.begun = 0

    def begin(self, beside=None) -> None:
        self.begun += 1

    def energy(self, frames: int, duration_s: float) -> Unknown:
        return Unknown("no rail here")

    def heat(self) -> Unknown:
        return Unknown("no zone here")


@pytest.fixture
def sampler():
    """Sensors of a machine that has none."""
    return NoSensors()


@pytest.fixture
def stop():
    """A GracefulStop that nobody asks for."""

    def next_of(items):
        return None if made.requested else next(items, None)

    made = SimpleNamespace(requested=False, next_of=next_of)
    return made
