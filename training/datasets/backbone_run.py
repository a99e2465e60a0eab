"""A frozen backbone over many pictures: by PyTorch, or by ONNX Runtime, much faster on a CPU.

The export of a graph takes a quarter of a minute for each size of picture, so it is for folders of
many samples. Both answer the same up to rounding.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.models.backbones import Backbone


class BackboneRun(Protocol):
    """Features of one picture."""

    def __call__(
        self, image: NDArray[np.uint8], deepest_stride: int
    ) -> dict[int, NDArray[np.float32]]:
        """[H, W, 3] RGB -> {stride: [channels, H/stride, W/stride]}."""
        ...


class TorchRun:
    """By PyTorch.

    Args:
        backbone: is put in eval mode.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone.eval()

    def __call__(
        self, image: NDArray[np.uint8], deepest_stride: int
    ) -> dict[int, NDArray[np.float32]]:
        """See `BackboneRun`."""
        with torch.inference_mode():
            features = self._backbone(_planes(image), deepest_stride)
        return {stride: feature[0].numpy() for stride, feature in features.items()}


class OnnxRun:
    """By ONNX Runtime on the CPU; a graph is exported for each size and depth when first met.

    Args:
        backbone: is put in eval mode.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone.eval()
        self._sessions: dict[tuple[int, ...], tuple[object, tuple[int, ...]]] = {}

    def __call__(
        self, image: NDArray[np.uint8], deepest_stride: int
    ) -> dict[int, NDArray[np.float32]]:
        """See `BackboneRun`."""
        key = (*image.shape, deepest_stride)
        if key not in self._sessions:
            self._sessions[key] = _export(self._backbone, image, deepest_stride)
        session, strides = self._sessions[key]
        found = session.run(None, {"image": _planes(image).numpy()})  # type: ignore[attr-defined]
        return {stride: feature[0] for stride, feature in zip(strides, found, strict=True)}


class _Pyramid(nn.Module):
    """The backbone's features as a tuple, finest first, as a graph has its outputs."""

    def __init__(self, backbone: Backbone, deepest_stride: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.deepest_stride = deepest_stride

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.backbone(image, self.deepest_stride)
        return tuple(features[stride] for stride in sorted(features))


def _export(
    backbone: Backbone, image: NDArray[np.uint8], deepest_stride: int
) -> tuple[object, tuple[int, ...]]:
    """A session for pictures of this size, and the strides of its outputs."""
    import onnxruntime

    from export.quiet_torch import quiet_torch

    module = _Pyramid(backbone, deepest_stride).eval()
    planes = _planes(image)
    with quiet_torch():
        program = torch.onnx.export(
            module, (planes,), dynamo=True, input_names=["image"], verbose=False
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    with torch.inference_mode():
        strides = tuple(sorted(backbone(planes, deepest_stride)))
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session, strides


def _planes(image: NDArray[np.uint8]) -> Tensor:
    """[H, W, 3] uint8 -> [1, 3, H, W] float32, 0..255."""
    return torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0).float()
