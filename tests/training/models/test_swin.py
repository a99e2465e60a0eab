import pytest
import torch
from quick_weights import repeat_pool

from edge.errors import CheckpointError
from training.models.swin import SwinSmall, torchvision_names
from training.vision_ops import import_torchvision


@pytest.fixture(scope="module")
def timms() -> torch.nn.Module:
    import_torchvision()
    import timm

    torch.manual_seed(0)
    model = timm.create_model("swin_small_patch4_window7_224").eval()
    for parameter in model.parameters():  # fresh norms and biases are ones and zeros, all alike
        if parameter.dim() == 1:
            repeat_pool(parameter, 0.3)
    return model


def authors_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The names of the authors' swin_small_patch4_window7_224.pth, with the buffers it holds."""
    back = {}
    for name, tensor in tensors.items():
        if ".downsample." in name:
            stage = int(name.split(".")[1])
            name = name.replace(f"layers.{stage}", f"layers.{stage - 1}")
        back[name.replace("head.fc.", "head.")] = tensor
    index = SwinSmall().model.state_dict()["features.1.0.attn.relative_position_index"]
    back["layers.0.blocks.0.attn.relative_position_index"] = index.view(49, 49)
    back["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    return back


@pytest.mark.parametrize("of", ["timm", "authors"])
def test_equals_timms_own_features_under_others_names(timms, of):
    tensors = timms.state_dict()
    wanted_out = {"norm.weight", "norm.bias", "head.fc.weight", "head.fc.bias"}
    if of == "authors":
        tensors = authors_names(tensors)
        wanted_out = {name.replace("fc.", "") for name in wanted_out}
        wanted_out |= {"layers.0.blocks.1.attn_mask"}
    ours = SwinSmall().eval()
    assert set(ours.load_imagenet(tensors, "swin.pth")) == wanted_out
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        found = ours(image)
        wanted = timms.layers(timms.patch_embed(image)).permute(0, 3, 1, 2)
    assert found.shape == (1, 768, 7, 7)
    assert float(wanted.std()) > 0.01
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_torchvisions_names_stay_and_what_does_not_fit_is_listed(timms):
    own = SwinSmall().model.state_dict()
    assert torchvision_names(own).keys() == own.keys()
    tensors = timms.state_dict()
    del tensors["layers.1.downsample.norm.bias"]
    tensors["layers.0.blocks.7.norm1.bias"] = torch.zeros(96)
    with pytest.raises(CheckpointError) as caught:
        SwinSmall().load_imagenet(tensors, "half.pth")
    assert "missing: ['features.2.norm.bias']" in str(caught.value)
    assert "unexpected: ['features.1.7.norm1.bias']" in str(caught.value)
