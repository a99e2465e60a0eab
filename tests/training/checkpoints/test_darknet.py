"""The yolov3.weights format, written here by the rule of its own readers."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from quick_weights import bare, quick_random_weights
from torch import nn

from edge.errors import CheckpointError
from training.checkpoints.darknet import FILE_BYTES, load_darknet_weights, read_darknet_weights
from training.checkpoints.importing import import_weights
from training.models.darknet import Darknet


def write_weights(darknet: Darknet, path: Path) -> Path:
    with path.open("wb") as stream:
        stream.write(struct.pack("<5i", 0, 2, 0, 32013312, 0))
        for block in darknet.module_list.values():
            convs = [m for m in block if isinstance(m, nn.Conv2d)]
            for conv in convs:
                norms = [m for m in block if isinstance(m, nn.BatchNorm2d)]
                parts = [conv.bias] if conv.bias is not None else []
                for n in norms:
                    parts += [n.bias, n.weight, n.running_mean, n.running_var]
                for tensor in (*parts, conv.weight):
                    stream.write(tensor.detach().numpy().tobytes())
    return path


@pytest.fixture(scope="module")
def full() -> Darknet:
    torch.manual_seed(0)
    with quick_random_weights():
        darknet = Darknet(dead_layers=True)
    with torch.no_grad():
        for module in darknet.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean):
                    tensor.normal_()
                module.running_var.uniform_(0.1, 2)
    return darknet


@pytest.fixture(scope="module")
def file(full, tmp_path_factory) -> Path:
    return write_weights(full, tmp_path_factory.mktemp("darknet") / "yolov3.weights")


def test_length_is_the_published_one(file):
    assert FILE_BYTES == 20 + 4 * 62_001_757
    assert file.stat().st_size == FILE_BYTES


@pytest.mark.parametrize(("dead", "left_out"), [(True, 0), (False, 56)])
def test_every_number_finds_its_place(full, file, dead, left_out):
    with quick_random_weights():
        fresh = Darknet(dead)
    assert load_darknet_weights(fresh, file) == left_out
    wanted = full.state_dict()
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name


def test_goes_into_a_model(full, file):
    model = bare("ocgnet")
    done = import_weights(model, file)
    assert done.part == "YOLOv3 into reference_darknet"
    assert done.left_out[0].startswith("56 tensors of Darknet layers 80 to 82 and 91 to 106")
    name = "module_list.90.conv_90.weight"
    assert torch.equal(model.reference_darknet.state_dict()[name], full.state_dict()[name])
    with pytest.raises(CheckpointError, match="a backbone that trogeo does not have"):
        import_weights(bare("trogeo"), file)


def sparse(path: Path, size_bytes: int) -> Path:
    with path.open("wb") as stream:
        stream.truncate(size_bytes)
    return path


def test_truncated_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        read_darknet_weights(sparse(tmp_path / "yolov3.weights", 162_482_580))
    assert "expected: 248007048 bytes" in str(caught.value)
    assert "found:    162482580 bytes" in str(caught.value)


@pytest.mark.parametrize(
    ("at", "value", "where"),
    [(0, np.nan, "module_list.0.batch_norm_0.bias"), (3 * 32, -1.0, "batch_norm_0.running_var")],
)
def test_numbers_that_cannot_be_weights_are_refused(tmp_path, at, value, where):
    file = sparse(tmp_path / "yolov3.weights", FILE_BYTES)
    np.memmap(file, "<f4", "r+", offset=20)[at] = value
    with pytest.raises(CheckpointError, match=where):
        read_darknet_weights(file)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="check the path"):
        read_darknet_weights(tmp_path / "yolov3.weights")
