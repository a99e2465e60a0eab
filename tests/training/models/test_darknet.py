import pytest
import torch

from training.models.darknet import DEAD_LAYERS, LAYERS, Darknet, Kind
from training.models.resnet import ResNet18
from training.vision_ops import import_torchvision


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("dead", "parameters"), [(False, 54_423_776), (True, 61_949_149)])
def test_parameters(dead, parameters):
    with torch.device("meta"):
        darknet = Darknet(dead)
    assert count(darknet) == parameters


def test_layers_are_those_of_the_published_file():
    assert len(LAYERS) == 107
    assert [x.index for x in LAYERS if x.kind is Kind.LINEAR] == [81, 93, 105]
    assert [x.index for x in LAYERS if x.kind is Kind.YOLO] == [82, 94, 106]
    assert {x.index: x.sources for x in LAYERS if x.kind is Kind.ROUTE} == {
        83: (79,),
        86: (85, 61),
        95: (91,),
        98: (97, 36),
    }
    assert sum(x.kind is Kind.ADD for x in LAYERS) == 1 + 2 + 8 + 8 + 4
    body = sum(p.numel() for i in range(75) for p in _conv_and_norm(i))
    assert body == 40_584_928


def _conv_and_norm(index: int) -> list[torch.Tensor]:
    layer = LAYERS[index]
    if layer.kind is not Kind.CONV:
        return []
    shape = (layer.c_out, layer.c_in, layer.kernel, layer.kernel)
    return [torch.empty(shape, device="meta"), torch.empty(2 * layer.c_out, device="meta")]


def test_pruned_output_is_bit_identical():
    torch.manual_seed(0)
    full = Darknet(dead_layers=True).eval()
    pruned = Darknet().eval()
    live = {k: v for k, v in full.state_dict().items() if int(k.split(".")[1]) not in DEAD_LAYERS}
    pruned.load_state_dict(live)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        a, b = full(image), pruned(image)
    assert a.shape == (1, 512, 4, 6)
    assert torch.equal(a, b)


def test_resnet_equals_torchvisions():
    torch.manual_seed(0)
    whole = import_torchvision().models.resnet18().eval()
    ours = ResNet18().eval()
    ours.load_imagenet(whole.state_dict(), "whole")
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        early, last = ours(image)
        assert early.shape == (2, 64, 16, 24)
        assert last.shape == (2, 512, 2, 3)
        assert torch.equal(whole.fc(last.mean((2, 3))), whole(image))
    assert count(ours) == 11_176_512


@pytest.mark.parametrize(
    ("stages", "last_stride", "channels", "stride", "parameters"),
    [(3, 2, 256, 16, 2_782_784), (4, 1, 512, 16, 11_176_512), (4, 2, 512, 32, 11_176_512)],
)
def test_resnet_can_be_cut_or_keep_its_resolution(
    stages, last_stride, channels, stride, parameters
):
    backbone = ResNet18(stages, last_stride)
    assert (backbone.channels, backbone.stride) == (channels, stride)
    assert count(backbone) == parameters
    assert backbone(torch.zeros(1, 3, 64, 64))[1].shape == (1, channels, 64 // stride, 64 // stride)


def test_resnet_refuses_stages_that_it_does_not_have():
    with pytest.raises(ValueError, match="stages is 2 to 4"):
        ResNet18(5)
