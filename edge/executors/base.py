"""What every executor promises, and the check at its boundary.

One executor runs one graph. `bind` hands it the tensors that stay the same from run to run (the
reference feature), `run` the rest. Shapes, types and names are checked here, once; past this point
they are trusted.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edge.bundle import Bundle
from edge.errors import ClickError, ExecutorError
from edge.executors.host_threads import ALONE, HostThreads
from edge.executors.run_clock import RunClock
from edge.feature_quantization import SCALE
from edge.precisions import graph_precision
from edge.types import Array

if TYPE_CHECKING:
    from edge.devices.base import DeviceOptions

# executor -> where its class is. Each needs its own library, so each is loaded only when chosen.
EXECUTORS: dict[str, str] = {
    "onnxruntime": "edge.executors.onnxruntime:OnnxRuntimeExecutor",
    "reference": "edge.executors.reference:ReferenceExecutor",
    "tensorrt": "edge.executors.tensorrt:TensorRtExecutor",
    "tensorrt-rtx": "edge.executors.tensorrt:TensorRtRtxExecutor",
}
ON_DEVICE = ("tensorrt", "tensorrt-rtx")  # those that run on a GPU and take DeviceOptions
CLICK_COUNT = "N"  # what the one dynamic size of a localizer is called in an engine
INT8 = np.dtype(np.int8)


class Executor(Protocol):
    """One graph, ready to run. Not for use by two threads at once."""

    name: str  # "onnxruntime"
    precision: str  # "fp32"
    click_limit: int | None  # most clicks of one run; None: any number, or a graph without clicks
    notes: tuple[str, ...]  # what its user should know, such as an engine tuned for another board
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    clock: RunClock  # what its runs took so far

    @classmethod
    def open(cls, bundle: Bundle, kind: str, precision: str, threads: int) -> Executor:
        """Load the graph `kind` of a bundle.

        Raises:
            ExecutorError: the library is missing, or it refuses the graph.
            BundleError: the bundle has no such graph.
        """
        ...

    def bind(self, tensors: Mapping[str, Array]) -> None:
        """Keep these inputs for all following runs, in place of those kept before.

        A feature [C, H, W] comes as float16, or as int8 with `NAME.scale` float16 [C] beside it,
        and is then multiplied here, once. The tensors are held, not copied, unless the executor's
        memory is not the host's; nobody may write into them.

        Raises:
            ExecutorError: a name, type or shape that the graph does not have.
        """
        ...

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Run once with the bound tensors and `inputs`; return `outputs`, or all.

        Raises:
            ExecutorError: a name, type or shape that the graph does not have.
            ClickError: zero clicks, or more than an engine was built for.
        """
        ...


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, type and shape of one input or output; a dimension with a name is dynamic."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int | str, ...]

    @property
    def may_be_int8(self) -> bool:
        """Whether it is a map of features, which a store may hold as int8 with scales."""
        fixed = all(isinstance(size, int) for size in self.shape)
        return self.dtype == np.float16 and len(self.shape) == 3 and fixed

    def __str__(self) -> str:
        return f"{self.name} {self.dtype.name} [{', '.join(map(str, self.shape))}]"


def open_executor(
    name: str,
    bundle: Bundle,
    kind: str,
    precision: str = "fp32",
    threads: int = 2,
    device: DeviceOptions | None = None,
    host: HostThreads = ALONE,
) -> Executor:
    """Open the graph `kind` of a bundle in the executor called `name`; never in another one.

    Args:
        name: one of EXECUTORS.
        bundle: an opened bundle.
        kind: of the graph.
        precision: of the graph; "int8": in the form for this executor.
        threads: of the host that it may use.
        device: how the GPU is used; None: by the defaults.
        host: what its threads do on the CPU.

    Raises:
        ExecutorError: no such executor, its library is missing, or it refuses the graph.
        BundleError: the bundle has no such graph in that precision.
    """
    if name not in EXECUTORS:
        raise ExecutorError(
            f"there is no executor {name!r}",
            expected=f"one of: {', '.join(EXECUTORS)}",
            found=repr(name),
            do="choose one of these with --executor",
        )
    module_name, _, attribute = EXECUTORS[name].partition(":")
    executor: type[Any] = getattr(importlib.import_module(module_name), attribute)
    if name not in ON_DEVICE and device is not None:
        raise ExecutorError(
            f"the executor {name} runs on no GPU, so there is nothing to choose about one",
            expected=f"options of a GPU with one of: {', '.join(ON_DEVICE)}",
            found=f"options of a GPU, and --executor {name}",
            do="leave --device-backend and --no-cuda-graphs out, or choose another --executor",
        )
    options: tuple[Any, ...] = (device,)
    if name not in ON_DEVICE:
        options = () if host == ALONE else (host,)
    opened: Executor = executor.open(
        bundle, kind, graph_precision(precision, name), threads, *options
    )
    return opened


def check_tensors(
    executor: str, specs: Sequence[TensorSpec], tensors: Mapping[str, Array], *, complete: bool
) -> None:
    """Compare tensors with what a graph takes.

    Args:
        executor: who asks, for the error text.
        specs: what the graph takes.
        tensors: what is about to be given; a feature also as int8, then with its scale.
        complete: True before a run: nothing may be missing, and dynamic sizes must agree.

    Raises:
        ExecutorError: an unknown or missing name, another type or shape.
        ClickError: the number of clicks is zero.
    """
    known = {spec.name: spec for spec in specs}
    for name in tensors:
        if name not in known:
            _check_scale(executor, known, tensors, name)
    sizes: dict[str, tuple[int, str]] = {}  # dynamic dimension -> its size, and who said so
    for spec in specs:
        if spec.name not in tensors:
            if complete:
                given = ", ".join(tensors) or "nothing"
                raise _refusal(executor, f"input {spec.name!r} is missing", str(spec), given)
            continue
        tensor = tensors[spec.name]
        if tensor.dtype != spec.dtype and not (tensor.dtype == INT8 and spec.may_be_int8):
            raise _misfit(executor, spec, str(spec), tensor)
        if tensor.ndim != len(spec.shape):
            raise _misfit(executor, spec, str(spec), tensor)
        if tensor.dtype != spec.dtype and spec.name + SCALE not in tensors:
            why = f"input {spec.name!r} is in int8 and has no scale"
            raise _refusal(executor, why, f"{spec}, or {_quantised(spec)}", ", ".join(tensors))
        for wanted, size in zip(spec.shape, tensor.shape, strict=True):
            if isinstance(wanted, int):
                if wanted != size:
                    raise _misfit(executor, spec, str(spec), tensor)
                continue
            if size == 0:
                raise ClickError(
                    "there is nothing to locate: zero clicks",
                    expected=f"{spec} with {wanted} at least 1",
                    found=_text(spec.name, tensor),
                    do="leave out frames without clicks, or give at least one click",
                )
            first, who = sizes.setdefault(wanted, (size, spec.name))
            if first != size:
                raise _misfit(executor, spec, f"{wanted} = {first}, as in {who!r}", tensor)


def _check_scale(
    executor: str, known: Mapping[str, TensorSpec], tensors: Mapping[str, Array], name: str
) -> None:
    """A name that the graph does not have must be the scale of levels that come with it."""
    spec = known.get(name.removesuffix(SCALE)) if name.endswith(SCALE) else None
    if spec is None or not spec.may_be_int8:
        raise _refusal(executor, f"no input {name!r}", "one of: " + ", ".join(known), name)
    levels, scale = tensors.get(spec.name), tensors[name]
    if levels is None or levels.dtype != INT8:
        found = ", ".join(tensors) if levels is None else _text(spec.name, levels)
        raise _refusal(executor, f"{name!r} is the scale of nothing", _quantised(spec), found)
    if scale.dtype != np.float16 or scale.shape != spec.shape[:1]:
        why = f"the scale {name!r} does not fit"
        raise _refusal(executor, why, _quantised(spec), _text(name, scale))


def _quantised(spec: TensorSpec) -> str:
    shape = ", ".join(map(str, spec.shape))
    return f"{spec.name} int8 [{shape}] with {spec.name}{SCALE} float16 [{spec.shape[0]}]"


def _misfit(executor: str, spec: TensorSpec, expected: str, tensor: Array) -> ExecutorError:
    why = f"input {spec.name!r} does not fit"
    return _refusal(executor, why, expected, _text(spec.name, tensor))


def _text(name: str, tensor: Array) -> str:
    """Only for refusals: the name of a dtype takes numpy longer than the whole check."""
    return f"{name} {tensor.dtype.name} {list(tensor.shape)}"


def _refusal(executor: str, why: str, expected: str, found: str) -> ExecutorError:
    return ExecutorError(
        f"the executor {executor} refuses the inputs: {why}",
        expected=expected,
        found=found,
        do="give the graph what its signature says; a bundle and its features belong together",
    )
