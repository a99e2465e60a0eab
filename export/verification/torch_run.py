"""The bundle's model in torch, without any graph: what the exporters started from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.types import Array
from export.bundle_weights import lite_from_bundle
from export.graph_signature import PRIOR
from export.graphs import torch_run
from export.verification.cases import Case
from export.verification.runs import Answer
from training.checkpoints.weights import load_weights


class TorchRun:
    """Both branches in float32 on the CPU, with their taps.

    The weights are the checkpoint's, or those of the bundle's own float32 graphs. With the latter,
    export and executor are compared, and not whether the bundle was made from the right checkpoint.
    """

    def __init__(self, bundle: Bundle, checkpoint: Path | None, threads: int) -> None:
        torch.set_num_threads(threads)
        self._model = (
            lite_from_bundle(bundle) if checkpoint is None else load_weights(checkpoint)[0]
        )
        self._window = ""
        self._encoded: dict[str, Tensor] = {}
        self._taps: dict[str, Tensor] = {}

    def answer(self, case: Case) -> Answer:
        """See `Run.answer`; a window equal to the last one is not encoded again."""
        if case.window_name != self._window or not self._encoded:
            self._encoded, self._taps = torch_run(self._model, {"image": _tensor(case.window)})
            self._window = case.window_name
        inputs = {
            "frame": _tensor(case.frame),
            "frame_affine": _tensor(case.frame_affine),
            "click_xy_px": _tensor(case.click_xy_px),
            **self._encoded,
            **dict(zip(PRIOR, map(_tensor, (case.prior.xy_px, case.prior.inv_var)), strict=True)),
        }
        outputs, taps = torch_run(self._model, inputs)
        found: Answer = {}
        for graph, tensors in (
            (ENCODER, {**self._encoded, **self._taps}),
            (LOCALIZER, {**outputs, **taps}),
        ):
            found |= {(graph, name): _array(value) for name, value in tensors.items()}
        return found


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(array.copy())


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().numpy()
    return array
