"""Ctrl-C asks once and kills the second time."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from edge.graceful_stop import GracefulStop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_item_at_work_is_finished(number):
    done = []
    with GracefulStop() as stop:
        items = iter(range(5))
        while (item := stop.next_of(items)) is not None:
            if item == 2:
                signal.raise_signal(number)
            done.append(item)
    assert done == [0, 1, 2]
    assert stop.requested


def test_a_wait_for_the_next_item_ends_at_once():
    def silent_camera():
        yield "first"
        time.sleep(30)
        yield "never"

    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    start_s = time.monotonic()
    with GracefulStop() as stop:
        items = silent_camera()
        assert stop.next_of(items) == "first"
        assert stop.next_of(items) is None
    assert time.monotonic() - start_s < 5
    assert stop.requested


def test_a_second_signal_ends_it_now():
    with pytest.raises(KeyboardInterrupt), GracefulStop():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_the_first_signal_amid_an_item_says_what_comes(capfd):
    with GracefulStop() as stop:
        assert stop.next_of(iter([1])) == 1
        signal.raise_signal(signal.SIGINT)
    assert "stopping after the frame at work; once more stops at once" in capfd.readouterr().err


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with GracefulStop():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_end_of_the_items_is_not_a_stop():
    with GracefulStop() as stop:
        items = iter([1])
        assert stop.next_of(items) == 1
        assert stop.next_of(items) is None
    assert not stop.requested
