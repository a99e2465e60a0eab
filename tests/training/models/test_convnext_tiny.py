import pytest
import torch

from edge.errors import CheckpointError
from training.models.convnext_tiny import ConvNeXtTinyQuery
from training.vision_ops import import_torchvision


def test_torchvisions_weights_give_its_features_and_nothing_is_dropped_unsaid() -> None:
    torch.manual_seed(0)
    whole = import_torchvision().models.convnext_tiny(weights=None).eval()
    ours = ConvNeXtTinyQuery().eval()
    names = ["classifier.0.weight", "classifier.0.bias"]
    names += ["classifier.2.weight", "classifier.2.bias"]
    assert ours.load_imagenet(whole.state_dict(), "a.pth") == names
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        early, last = ours(image)
        assert torch.equal(early, whole.features[0](image))
        assert torch.equal(last, ours.reduce(whole.features(image)))
    tensors = whole.state_dict() | {"neck.weight": torch.ones(1)}
    del tensors["features.0.0.bias"]
    with pytest.raises(CheckpointError) as caught:
        ours.load_imagenet(tensors, "b.pth")
    assert "missing: ['features.0.0.bias']" in str(caught.value)
    assert "unexpected: ['neck.weight']" in str(caught.value)
