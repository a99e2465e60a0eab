"""OCGNet's checkpoints with ConvNeXt-Tiny, written as the README's class would save itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from published_files import light, published, save_as_authors_do
from quick_weights import bare
from torch import Tensor, nn

from edge.errors import CheckpointError
from training.checkpoints.importing import import_weights
from training.models import build
from training.vision_ops import import_torchvision

OPTION = {"query_backbone": "convnext-tiny"}
PREFIX = "query_resnet."  # an assumption of the specification; the importer makes none


class ReadmeEncoder(nn.Module):
    """The README's class in its own words: the whole model, and its parts once more."""

    def __init__(self, listed: bool) -> None:
        super().__init__()
        with torch.device("meta"):
            self.base_model = import_torchvision().models.convnext_tiny(weights=None)
            self.reduce_conv = nn.Conv2d(768, 512, 1)
        layers = self.base_model.features
        self.early_stem = layers[0] if listed else layers[:1]
        self.forward_features = nn.Sequential(*layers[1:]) if listed else layers[1:]


def encoder(listed: bool = False) -> dict[str, Tensor]:
    """Every tensor of its own value, a copy equal to what it is a copy of."""
    made: OrderedDict[int, Tensor] = OrderedDict()
    tensors = {}
    for name, parameter in ReadmeEncoder(listed).named_parameters(remove_duplicate=False):
        value = 2 + len(made) / 1000
        tensors[name] = made.setdefault(id(parameter), light(tuple(parameter.shape), value))
    return tensors


def checkpoint(prefix: str = PREFIX, listed: bool = False) -> dict[str, Tensor]:
    rest = {k: v for k, v in published("ocgnet").items() if not k.startswith(PREFIX)}
    return rest | {prefix + name: tensor for name, tensor in encoder(listed).items()}


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return bare("ocgnet", **OPTION)


@pytest.mark.parametrize(
    ("prefix", "listed"), [(PREFIX, False), (PREFIX, True), ("query_convnext.", True)]
)
def test_every_tensor_goes_where_it_belongs_and_what_is_left_out_is_said(
    prefix, listed, model, tmp_path
):
    tensors = checkpoint(prefix, listed)
    done = import_weights(model, save_as_authors_do(tmp_path / "a.pth.tar", tensors))
    own = model.state_dict()
    for name, tensor in own.items():
        theirs = name.replace("query_resnet.features.", f"{prefix}base_model.features.")
        theirs = theirs.replace("query_resnet.reduce.", f"{prefix}reduce_conv.")
        assert torch.equal(tensor, tensors[theirs].expand(tensor.shape)), name
    dead, copies, classifier = done.left_out[-1:], done.left_out[0], done.left_out[1]
    features = sum(name.startswith("query_resnet.features.") for name in own)
    assert copies == f"{features} tensors of {prefix}*, which are held twice"
    assert classifier.startswith(f"the classifier: ['{prefix}base_model.classifier.0.bias'")
    assert dead[0].startswith("66 tensors of Darknet")
    assert done.whole
    assert f"{prefix}base_model, its last convolution as {prefix}reduce_conv" in done.notes[0]
    assert "not published, check the accuracy" in done.notes[0]


def without(suffix: str) -> Callable[[dict[str, Tensor]], None]:
    def change(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if name.endswith(suffix)]:
            del tensors[name]

    return change


def with_one(name: str, like: str) -> Callable[[dict[str, Tensor]], None]:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[name] = tensors[like] + 1

    return change


STEM = f"{PREFIX}early_stem.0.0.weight"
BODY = f"{PREFIX}forward_features.3.1.layer_scale"
REDUCE = f"{PREFIX}reduce_conv.weight"
SECOND = "other.base_model.features.0.0.weight"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (with_one(STEM, STEM), f"expected: {PREFIX}early_stem.* equal to its part"),
        (with_one(BODY, BODY), f"expected: {PREFIX}forward_features.* equal to its part"),
        (with_one(f"{PREFIX}forward_features.9.x", BODY), "forward_features.* equal to its part"),
        (with_one(f"{PREFIX}neck.weight", REDUCE), "found:    ['neck.weight', 'reduce_conv.bias'"),
        (without("reduce_conv.bias"), "expected: one convolution beside base_model, early_stem"),
        (without("features.7.2.layer_scale"), "missing: ['query_resnet.features.7.2.layer_scale']"),
        (with_one(SECOND, STEM), "found:    2: ['other.', 'query_resnet.']"),
        (with_one("fcn_out.9.bias", STEM), "unexpected: ['fcn_out.9.bias']"),
        (with_one(REDUCE, STEM), "other shape: ['query_resnet.reduce.weight']"),
    ],
)
def test_what_is_not_of_that_form_is_refused_whole(change, text, model, tmp_path):
    tensors = checkpoint()
    change(tensors)
    before = {k: (v.data_ptr(), v._version) for k, v in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        import_weights(model, save_as_authors_do(tmp_path / "a.pth.tar", tensors))
    assert text in str(caught.value)
    after = {k: (v.data_ptr(), v._version) for k, v in model.state_dict().items()}
    assert after == before, "half imported"


def refusal(model: nn.Module, file: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        import_weights(model, file)
    return str(caught.value)


def test_the_option_that_fits_the_file_is_named(model, tmp_path):
    theirs = save_as_authors_do(tmp_path / "convnext.pth.tar", checkpoint())
    with torch.device("meta"):  # refused before a tensor is looked at
        usual_model, detgeo = build("ocgnet"), build("detgeo")
    text = refusal(usual_model, theirs)
    assert "is of an OCGNet with another query encoder" in text
    assert "do:       write --option query_backbone=convnext-tiny" in text
    usual = save_as_authors_do(tmp_path / "resnet.pth.tar", published("ocgnet"))
    assert "leave out --option query_backbone=convnext-tiny" in refusal(model, usual)
    assert "write --model ocgnet" in refusal(detgeo, theirs)
