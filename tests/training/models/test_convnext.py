import re

import pytest
import torch

from edge.errors import CheckpointError
from training.models.convnext import ConvNeXtV2Tiny, timm_names


@pytest.fixture(scope="module")
def backbone() -> ConvNeXtV2Tiny:
    torch.manual_seed(0)
    return ConvNeXtV2Tiny().eval()


def authors_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The names of the specification, section 4.2, from timm's: the way back, written apart."""
    back = {}
    for name, tensor in tensors.items():
        head, _, rest = name.partition(".")
        if head == "stem":
            new = f"downsample_layers.0.{rest}"
        elif ".downsample." in name:
            new = re.sub(r"stages\.(\d)\.downsample", r"downsample_layers.\1", name)
        else:
            new = name.replace("blocks.", "").replace("conv_dw", "dwconv")
            new = re.sub(r"mlp\.fc(\d)", r"pwconv\1", new)
            new = new.replace("mlp.grn.weight", "grn.gamma").replace("mlp.grn.bias", "grn.beta")
        back[new] = tensor.view(1, 1, 1, -1) if ".grn." in new else tensor
    back["norm.weight"] = back["norm.bias"] = torch.zeros(768)
    back["head.weight"], back["head.bias"] = torch.zeros(1000, 768), torch.zeros(1000)
    return back


def test_has_the_published_parameters_and_no_final_norm(backbone):
    assert sum(p.numel() for p in backbone.parameters()) == 27_864_960
    assert backbone(torch.zeros(1, 3, 64, 96)).shape == (1, 768, 2, 3)


def test_equals_timms_own_features_under_the_authors_names(backbone):
    import timm
    from timm.models.convnext import checkpoint_filter_fn

    published = authors_names(backbone.state_dict())
    assert {"downsample_layers.1.0.weight", "stages.2.8.grn.gamma"} <= published.keys()
    other = ConvNeXtV2Tiny().eval()
    other.load_pretrained(published, "authors.pt")
    image = torch.rand(1, 3, 64, 64)
    whole = timm.create_model("convnextv2_tiny", num_classes=1000).eval()
    whole.load_state_dict(checkpoint_filter_fn(dict(published), whole))
    with torch.no_grad():
        assert torch.equal(other(image), backbone(image))
        assert torch.equal(whole.forward_features(image), backbone(image))


def test_takes_timms_names_and_lists_what_is_missing(backbone):
    tensors = dict(backbone.state_dict()) | {"head.fc.weight": torch.zeros(10, 768)}
    ConvNeXtV2Tiny().load_pretrained(tensors, "timm.safetensors")
    assert timm_names(tensors).keys() == backbone.state_dict().keys()
    del tensors["stem.0.bias"]
    with pytest.raises(CheckpointError, match=r"half\.pt.*\n.*\n.*missing: \W*stem\.0\.bias"):
        backbone.load_pretrained(tensors, "half.pt")
