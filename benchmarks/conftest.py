"""`pytest benchmarks --quick`: the same assertions on few rounds, as a smoke run."""

from __future__ import annotations

import pytest

QUICK_MAX_TIME_S = 0.3
QUICK_MIN_ROUNDS = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    text = "few rounds of each benchmark: a smoke run in under five minutes on two cores"
    parser.addoption("--quick", action="store_true", help=text)


@pytest.hookimpl(tryfirst=True)  # before pytest-benchmark reads its own options
def pytest_configure(config: pytest.Config) -> None:
    """Set what pytest-benchmark would be given on the command line."""
    if config.getoption("--quick"):
        config.option.benchmark_max_time = QUICK_MAX_TIME_S
        config.option.benchmark_min_rounds = QUICK_MIN_ROUNDS
        config.option.benchmark_disable_gc = True
