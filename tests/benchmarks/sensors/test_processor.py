"""Whose the processor was, on the kernel's counters as proc(5) describes them."""

from __future__ import annotations

import os

import pytest

from benchmarks.record.lines import ProcessorTime, Unknown
from benchmarks.sensors.processor import ProcessorWatch

TICKS = os.sysconf("SC_CLK_TCK")


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def machine(tmp_path):
    """`machine(*cores)` writes the counters, seconds by name for each core; its own clocks."""
    (tmp_path / "proc").mkdir()

    def write(*cores):
        names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest")
        lines = [f"cpu  {' '.join(['7'] * 9)} 0"]  # the sum, which is not looked at
        for number, core in enumerate(cores):
            ticks = [str(round(TICKS * core.get(name, 0.0))) for name in names]
            lines.append(f"cpu{number} {' '.join(ticks)} 0")
        lines.append("intr 12345 0 0")
        (tmp_path / "proc/stat").write_text("\n".join(lines) + "\n")

    write.root, write.clock, write.own = tmp_path, Clock(), Clock()
    return write


def watch(machine, cores=(0, 1)):
    return ProcessorWatch(machine.root, cores, clock_s=machine.clock, own_s=machine.own)


def test_what_is_neither_idle_nor_own_went_to_others(machine):
    machine({"user": 50.0, "idle": 9.0}, {"system": 3.0})
    begun = watch(machine)
    machine.clock.now_s += 10.0
    machine.own.now_s += 11.0
    machine(
        {"user": 57.0, "idle": 11.0, "iowait": 1.0, "guest": 4.0},  # a guest's time is in user's
        {"system": 4.0, "nice": 3.0, "irq": 0.5, "softirq": 0.5, "steal": 2.0, "user": 1.0},
    )
    found = begun.read()
    assert found == ProcessorTime(
        wall_s=10.0, cores=2, own_s=11.0, others_s=pytest.approx(2.0), stolen_s=pytest.approx(2.0)
    )
    assert found.others_share == pytest.approx(0.2), "four of the twenty seconds of both cores"


def test_cores_that_the_process_may_not_use_do_not_count(machine):
    machine({}, {}, {})
    begun = watch(machine, cores=(0, 2))
    machine.clock.now_s += 10.0
    machine.own.now_s += 5.0
    machine({"user": 5.0}, {"user": 10.0}, {"user": 1.0})
    found = begun.read()
    assert (found.cores, found.others_s) == (2, pytest.approx(1.0))


def test_steps_of_the_clock_never_make_others_negative(machine):
    machine({}, {})
    begun = watch(machine)
    machine.clock.now_s += 2.0
    machine.own.now_s += 3.9
    machine({"user": 1.9}, {"user": 1.98})
    assert begun.read().others_s == 0.0


def test_a_short_measurement_does_not_tell(machine):
    machine({}, {})
    begun = watch(machine)
    machine.clock.now_s += 0.4
    found = begun.read()
    assert isinstance(found, Unknown) and found.reason.startswith("measured for 0.4 s")


def test_a_system_that_does_not_count_is_unknown_and_not_quiet(machine):
    machine({}, {})
    begun = watch(machine)
    machine.clock.now_s += 10.0
    machine.own.now_s += 9.0
    assert begun.read() == Unknown(
        f"{machine.root}/proc/stat does not count the work of this process"
    )


@pytest.mark.parametrize(
    "text",
    [None, "", "cpu 1 2 3\n", "cpu0 1 2 x 4 5 6 7\ncpu1 1 2 3 4 5 6 7\n", "cpu0 1\ncpu1 2\n"],
)
def test_counters_that_cannot_be_read_are_unknown_with_their_path(tmp_path, text):
    (tmp_path / "proc").mkdir()
    if text is not None:
        (tmp_path / "proc/stat").write_text(text)
    found = ProcessorWatch(tmp_path, (0, 1)).read()
    assert isinstance(found, Unknown) and f"{tmp_path}/proc/stat" in found.reason
