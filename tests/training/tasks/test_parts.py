"""Which weights of others a recipe asks for, where an option has put another backbone there."""

import pytest
import torch
from quick_weights import quick_random_weights
from small_backbones import shallow_backbones

from edge.errors import UsageError
from training.checkpoints.importing import BACKBONES, DARKNET, backbones_of
from training.models import build
from training.recipes.reading import read_recipe, with_values
from training.tasks.opening import PARTS, FirstWeights, build_model
from training.vision_ops import import_torchvision

CONVNEXT = {"model.options.query_backbone": "convnext-tiny"}


@pytest.fixture(autouse=True)
def quick_models():
    with quick_random_weights(), shallow_backbones():
        yield


def test_every_backbone_that_can_be_imported_has_a_name_in_recipes():
    assert set(PARTS.values()) == {backbone.title for backbone in BACKBONES} | {DARKNET}


def test_backbones_of_a_model():
    with torch.device("meta"):
        assert backbones_of(build("mogeo")) == ["ResNet-18", "YOLOv3"]
        other = build("ocgnet", query_backbone="convnext-tiny")
        assert backbones_of(other) == ["ConvNeXt-Tiny", "YOLOv3"]


def test_a_recipe_asks_for_the_backbone_that_its_option_chooses(tmp_path):
    recipe = with_values(read_recipe("ocgnet_cvogl_drone"), CONVNEXT, "a test")
    with pytest.raises(UsageError) as caught:
        build_model(recipe, FirstWeights())
    assert "expected: --weights for each of: convnext_tiny, darknet" in str(caught.value)
    assert "found:    none for convnext_tiny, darknet" in str(caught.value)
    torch.manual_seed(5)
    theirs = import_torchvision().models.convnext_tiny(weights=None).state_dict()
    torch.save(theirs, tmp_path / "convnext_tiny.pth")
    given = FirstWeights(parts=(tmp_path / "convnext_tiny.pth",))
    with pytest.raises(UsageError) as caught:
        build_model(recipe, given)
    assert "found:    none for darknet" in str(caught.value)
    alone = with_values(recipe, {"model.pretrained": ["resnet18"]}, "a test")
    own = build_model(alone, given).query_resnet.features.state_dict()
    assert all(torch.equal(v, theirs[f"features.{k}"]) for k, v in own.items())


def test_a_recipe_keeps_its_own_names_without_that_option():
    with pytest.raises(UsageError) as caught:
        build_model(read_recipe("ocgnet_cvogl_drone"), FirstWeights())
    assert "expected: --weights for each of: resnet18, darknet" in str(caught.value)
