"""The torch model around our CUDA kernels, as an executor: for GPUs without TensorRT.

It is no way to fly (torch is not on board); it lets benchmarks run the whole path, from a frame to
fixes, on any CUDA GPU. `offer` makes it known to `edge.executors.base.open_executor` by its name;
until then nothing in `edge` knows of it. On a CPU the operator's own equations take the kernel's
place, which is how it is tested without a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from edge.bundle import ENCODER, Bundle
from edge.errors import ExecutorError
from edge.executors.base import CLICK_COUNT, EXECUTORS, TensorSpec, check_tensors
from edge.executors.run_clock import RunClock
from edge.feature_quantization import dequantized
from edge.types import Array

NAME = "torch-plugin"
PRECISIONS = ("fp32", "fp16")
CLICK_LIMIT = 64  # of the kernel; `export.plugin.tile_attention` has the same
Tensor = Any  # torch.Tensor; torch is imported on call
GraphModule = Any  # export.graph_signature.GraphModule; as is export


def offer(library: Path | None = None) -> None:
    """Make `torch-plugin` an executor that can be chosen by name.

    Args:
        library: libtilefix_plugin.so of `tilefix plugin build` for this GPU; None: the CPU.

    Raises:
        ExecutorError: no CUDA device for the library, or no such library.
    """
    import torch

    if library is not None:
        from export.plugin.cuda_op import register_cuda
        from export.plugin.launcher import KernelLibrary

        if not torch.cuda.is_available():
            raise ExecutorError(
                f"the executor {NAME} has a kernel library and no GPU",
                expected="a CUDA device that torch finds",
                found=f"torch {torch.__version__} finds none",
                do="leave the library out to run the operator's equations on the CPU",
            )
        register_cuda(KernelLibrary(library))
    TorchPluginExecutor.device = "cpu" if library is None else "cuda"
    EXECUTORS[NAME] = f"{__name__}:{TorchPluginExecutor.__name__}"


class TorchPluginExecutor:
    """One half of a `lite` on torch, with TileAttention as one operator.

    In fp16 torch's autocast chooses the types: convolutions and products in float16, sums in
    float32. That is near the policy of `export.precision`, not the same.
    """

    name = NAME
    click_limit: ClassVar[int | None] = CLICK_LIMIT
    notes: ClassVar[tuple[str, ...]] = ()
    device: ClassVar[str] = "cpu"

    def __init__(self, graph: GraphModule, precision: str) -> None:
        import torch

        if precision not in PRECISIONS:
            raise ExecutorError(
                f"the executor {NAME} does not run in {precision}",
                expected=f"one of: {', '.join(PRECISIONS)}",
                found=precision,
                do="choose one of these",
            )
        self.precision = precision
        self._module = graph.module.to(self.device)
        dynamic = graph.dynamic_shapes() or (None,) * len(graph.inputs)
        self.inputs = tuple(
            TensorSpec(
                name,
                np.dtype(str(tensor.dtype).removeprefix("torch.")),
                (CLICK_COUNT, *tensor.shape[1:]) if free else tuple(tensor.shape),
            )
            for name, tensor, free in zip(graph.inputs, graph.example, dynamic, strict=True)
        )
        self._autocast = torch.autocast(self.device, torch.float16, enabled=precision == "fp16")
        with torch.inference_mode(), self._autocast:
            answers = self._module(*(t.to(self.device) for t in graph.example))
        clicks = graph.dynamic_shapes() is not None
        self.outputs = tuple(
            TensorSpec(
                name,
                np.dtype(str(tensor.dtype).removeprefix("torch.")),
                (CLICK_COUNT, *tensor.shape[1:]) if clicks else tuple(tensor.shape),
            )
            for name, tensor in zip(graph.outputs, answers, strict=True)
        )
        self.clock = RunClock()
        self._bound: dict[str, Tensor] = {}

    @classmethod
    def open(cls, bundle: Bundle, kind: str, precision: str, threads: int) -> TorchPluginExecutor:
        """Rebuild one half of the model of a bundle (see `Executor.open`).

        Raises:
            BundleError: a bundle that is not of a `lite`.
            ExecutorError: a precision that it does not run in.
        """
        from export.bundle_weights import lite_from_bundle
        from export.lite_graphs import lite_modules

        del threads  # torch's own
        # The modules of fp16 hold TileAttention; in float32 they compute the same.
        encoder, localizer = lite_modules(lite_from_bundle(bundle), "fp16")
        return cls(encoder if kind == ENCODER else localizer, precision)

    def bind(self, tensors: Mapping[str, Array]) -> None:
        """Copy these inputs to the device for all following runs (see `Executor.bind`)."""
        check_tensors(self.name, self.inputs, tensors, complete=False)
        self._bound = {name: self._on_device(value) for name, value in dequantized(tensors).items()}

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Run once with the bound tensors and `inputs` (see `Executor.run`)."""
        import torch

        check_tensors(self.name, self.inputs, {**self._as_arrays(), **inputs}, complete=True)
        given = {name: self._on_device(x) for name, x in dequantized(inputs).items()}
        feed = {**self._bound, **given}
        start_ns = time.perf_counter_ns()
        with torch.inference_mode(), self._autocast:
            answers = self._module(*(feed[spec.name] for spec in self.inputs))
        named = dict(zip((spec.name for spec in self.outputs), answers, strict=True))
        names = list(named) if outputs is None else list(outputs)
        found = {name: named[name].cpu().numpy() for name in names}
        self.clock.add_host(time.perf_counter_ns() - start_ns)
        return found

    def _on_device(self, value: Array) -> Tensor:
        import torch

        contiguous = np.ascontiguousarray(value)
        if not contiguous.flags.writeable:  # a mapped feature: torch warns, and would not copy
            contiguous = contiguous.copy()
        return torch.from_numpy(contiguous).to(self.device)

    def _as_arrays(self) -> dict[str, Array]:
        """Stand-ins of the bound tensors' shapes and types, for the check."""
        return {
            spec.name: np.broadcast_to(np.zeros((), spec.dtype), self._bound[spec.name].shape)
            for spec in self.inputs
            if spec.name in self._bound
        }
