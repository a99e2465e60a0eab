"""The `yolov3.weights` format: YOLOv3 trained on COCO, the published seed of every Darknet here.

Twenty bytes of header (five int32: major, minor, revision, and a count of images seen), then
float32 in the order of the layers. Per convolution with batch norm: bias, weight, running mean and
running variance of the norm, then the kernel; without norm: bias, then the kernel. In all there are
62,001,757 numbers, of which 52,608 are running statistics.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge.errors import CheckpointError
from training.models.darknet import LAYERS, Darknet, Kind, Layer

HEADER_BYTES = 20
NORM_FIELDS = ("bias", "weight", "running_mean", "running_var")  # in the order of the file


def fields_of(layer: Layer) -> list[tuple[str, tuple[int, ...]]]:
    """Names in `Darknet`'s state dict and shapes of a layer's tensors, in the order of the file."""
    kernel = (layer.c_out, layer.c_in, layer.kernel, layer.kernel)
    prefix = f"module_list.{layer.index}"
    conv = f"{prefix}.conv_{layer.index}"
    if layer.kind is Kind.LINEAR:
        return [(f"{conv}.bias", (layer.c_out,)), (f"{conv}.weight", kernel)]
    if layer.kind is not Kind.CONV:
        return []
    norm = f"{prefix}.batch_norm_{layer.index}"
    return [(f"{norm}.{x}", (layer.c_out,)) for x in NORM_FIELDS] + [(f"{conv}.weight", kernel)]


FIELDS = [field for layer in LAYERS for field in fields_of(layer)]
FILE_BYTES = HEADER_BYTES + 4 * sum(int(np.prod(shape)) for _, shape in FIELDS)


def read_darknet_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a weights file, under the names of the full `Darknet`.

    Raises:
        CheckpointError: no such file, another length than YOLOv3's, or numbers that cannot be
            weights.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes != FILE_BYTES:
            raise CheckpointError(
                f"{path} does not have the length of yolov3.weights",
                expected=f"{FILE_BYTES} bytes",
                found=f"{size_bytes} bytes",
                do="download it again; yolov3-tiny, darknet53.conv.74 and others do not fit",
            )
        numbers = np.memmap(path, "<f4", "r", offset=HEADER_BYTES)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read",
            expected="a file of weights",
            found=f"{type(error).__name__}: {error.strerror}",
            do="check the path",
        ) from error
    tensors = {}
    start = 0
    for name, shape in FIELDS:
        stop = start + int(np.prod(shape))
        values = np.array(numbers[start:stop], np.float32)
        if not np.isfinite(values).all() or ("running_var" in name and values.min() < 0):
            raise CheckpointError(
                f"{path} holds numbers that cannot be weights",
                expected="finite float32, variances not below 0",
                found=f"others in {name}",
                do="download it again",
            )
        tensors[name] = torch.from_numpy(values.reshape(shape))
        start = stop
    return tensors


def load_darknet_weights(darknet: Darknet, path: Path) -> int:
    """Take the weights of a file; those of layers that the network lacks are left out.

    Returns:
        How many tensors were left out.

    Raises:
        CheckpointError: see `read_darknet_weights`.
    """
    own = darknet.state_dict()
    tensors = read_darknet_weights(path)
    kept = {name: tensor for name, tensor in tensors.items() if name in own}
    darknet.load_state_dict({**own, **kept})  # `own` holds the counters of batches beside
    return len(tensors) - len(kept)
