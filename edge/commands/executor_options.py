"""The options of every verb that runs graphs: in which executor, in which precision, on what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.devices.base import DeviceOptions

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--executor",
        default="onnxruntime",
        show_default=True,
        callback=lambda _context, _parameter, name: name.replace("_", "-"),
        help="onnxruntime, tensorrt, tensorrt-rtx, or reference (slow, for checking).",
    ),
    click.option("--precision", default="fp32", show_default=True, help="One that the bundle has."),
    click.option("--device-backend", help="With a GPU: cuda-python, the default there, or pycuda."),
    click.option("--no-cuda-graphs", is_flag=True, help="With a GPU: enqueue every run anew."),
)


def executor_options(command: Command) -> Command:
    """Add --executor, --precision, --device-backend and --no-cuda-graphs."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_run(bundle: Bundle, executor: str, precision: str) -> None:
    """Refuse names of executors and precisions that cannot mean anything here.

    Raises:
        UsageError: there is no such executor, or the bundle has no such precision.
    """
    from edge.executors.base import EXECUTORS
    from edge.precisions import graph_precision

    if executor not in EXECUTORS:
        raise UsageError(
            f"there is no executor {executor!r}",
            expected=f"--executor with one of {', '.join(EXECUTORS)}",
            found=repr(executor),
            do="choose one of these with --executor",
        )
    if graph_precision(precision, executor) not in bundle.precisions:
        there = ", ".join(bundle.precisions)
        raise UsageError(
            f"the bundle {bundle.manifest.name} has no precision {precision!r} for {executor}",
            expected=f"--precision with one of {there}",
            found=repr(precision),
            do="choose one of these with --precision",
        )


def device_options(device_backend: str | None, no_cuda_graphs: bool) -> DeviceOptions | None:
    """What was said of the GPU; None: nothing, which is all that executors without one take.

    Raises:
        UsageError: a backend that there is none of.
    """
    from edge.devices.base import BACKENDS, DEFAULT_BACKEND, DeviceOptions

    if device_backend is None and not no_cuda_graphs:
        return None
    if device_backend is not None and device_backend not in BACKENDS:
        raise UsageError(
            f"there is no device backend {device_backend!r}",
            expected=f"--device-backend with one of {', '.join(BACKENDS)}",
            found=repr(device_backend),
            do="choose one of these, or leave it out",
        )
    return DeviceOptions(device_backend or DEFAULT_BACKEND, graphs=not no_cuda_graphs)


def tell(notes: Iterable[str]) -> None:
    """Print what executors have to say, on standard error."""
    for note in notes:
        click.echo(f"note: {note}", err=True)
