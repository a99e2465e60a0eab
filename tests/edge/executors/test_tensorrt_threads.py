"""An executor of TensorRT between two threads, on the fake device."""

from __future__ import annotations

import threading

import pytest

from edge.errors import ExecutorError


def test_two_threads_at_once_are_refused(rig, inputs, feature, monkeypatch):
    errors = []
    with rig.open() as executor:
        executor.bind(feature())

        def intrude() -> None:
            for use in (lambda: executor.run(inputs(1)), executor.close):
                try:
                    use()
                except ExecutorError as error:  # noqa: PERF203 - each is refused
                    errors.append(error)

        synchronise = rig.gpu.synchronise

        def slow(stream: int) -> None:
            thread = threading.Thread(target=intrude)
            thread.start()
            thread.join()
            synchronise(stream)

        monkeypatch.setattr(executor._engine, "synchronise", lambda: slow(executor._engine._stream))
        executor.run(inputs(1))
        assert rig.gpu.retained == 1, "what the run needed was not taken from under it"
    assert len(errors) == 2
    for error in errors:
        assert error.expected == "one thread at a time"
        assert "second thread" in error.found


def test_an_executor_that_is_closed_just_before_a_run(rig, inputs, feature, monkeypatch):
    """By another thread, between the call and its lock: no run goes on over freed memory."""
    executor = rig.open()
    executor.bind(feature())
    enter = executor._enter

    def late() -> None:
        monkeypatch.setattr(executor, "_enter", enter)
        executor.close()
        enter()

    monkeypatch.setattr(executor, "_enter", late)
    with pytest.raises(ExecutorError) as caught:
        executor.run(inputs(1))
    assert caught.value.found == "one that was closed"
