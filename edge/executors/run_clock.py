"""What the runs of an executor took, apart: the engine, and the copies before and after it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RunClock:
    """Nanoseconds of all runs of one executor so far; who measures takes differences.

    Of a run that went on beside the thread that asks, the time counts that was waited for it.

    `engine_ns` and `copy_ns` are times of the host and share the time of a run between them;
    `gpu_ns` lies within `engine_ns`.
    """

    engine_ns: int = 0  # in the library that runs the graph; where copies are unknown, with them
    copy_ns: int | None = None  # None: this executor cannot tell copies apart
    gpu_ns: int | None = None  # of the engine alone, by events on the GPU; None: there are none

    def add_host(self, engine_ns: int) -> None:
        """Count a run of which only the whole is known."""
        self.engine_ns += engine_ns

    def add_device(self, engine_ns: int, staging_ns: int, copies_ns: int, gpu_ns: int) -> None:
        """Count a run on a GPU.

        Args:
            engine_ns: from the launch until the GPU was done, by the host, copies included.
            staging_ns: writing inputs and reading answers on the host.
            copies_ns: copies to and from the device, by events.
            gpu_ns: the engine, by events.
        """
        self.engine_ns += max(engine_ns - copies_ns, 0)
        self.copy_ns = (self.copy_ns or 0) + staging_ns + copies_ns
        self.gpu_ns = (self.gpu_ns or 0) + gpu_ns

    def add_upload(self, upload_ns: int) -> None:
        """Count a feature that went to the device, where copies are told apart."""
        if self.copy_ns is not None:
            self.copy_ns += upload_ns
