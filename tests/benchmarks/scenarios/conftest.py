"""A tiny flight over a tiny bundle, and sensors that see nothing."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import msgspec
import pytest
from tiny_flight import write_tiny_pairs

from benchmarks.record.file import FILE_NAME, RecordFile, lines
from benchmarks.record.lines import Settings, Unknown
from benchmarks.scenarios import rules, session
from benchmarks.scenarios.flights import open_flight
from benchmarks.scenarios.rules import Rules
from edge.assembly import ExecutorChoice
from edge.bundle import Bundle

FEW = Rules(4, 0.0, 60.0, warmup_queries=1, warmup_s=0.0)


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


@pytest.fixture
def few_queries(monkeypatch):
    """Four queries of each, and a commit that does not change while others work on the checkout."""
    for name in ("QUICK_WARM", "QUICK_MIXED", "QUICK_COLD"):
        monkeypatch.setattr(rules, name, FEW)
    monkeypatch.setattr(rules, "LOCKING_S", 0.01)
    monkeypatch.setattr(session, "read_commit", lambda: "a" * 40)


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    """A copy that may be altered."""
    shutil.copytree(tiny_bundle.path, tmp_path / "tiny")
    return Bundle.open(tmp_path / "tiny")


@pytest.fixture
def call(flight, bundle, choice, settings, sampler, stop, tmp_path):
    """`call(*planned, accuracy=...)`: one call into the same folder; what it has done."""
    told = []

    def made(*planned, accuracy=False, roofline=False, peers=False, **changes):
        told.clear()
        with RecordFile(tmp_path / FILE_NAME) as record:
            how = msgspec.structs.replace(settings, **changes)
            parts = flight, bundle, choice, how, "tilefix bench", record, sampler, stop
            opened = session.Session(*parts, told.append)
            try:
                if accuracy:
                    opened.accuracy()
                done = opened.measure(planned)
                if roofline:
                    opened.roofline()
                if peers:
                    opened.peers()
                return done
            finally:
                opened.close()

    made.told = told
    made.path = tmp_path / FILE_NAME
    made.lines = lambda kind: [each for each in lines(made.path) if isinstance(each, kind)]
    return made
