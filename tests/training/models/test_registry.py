import pytest
import torch

from training.models import NAMES, build, name_of, options_class


@pytest.mark.parametrize("name", NAMES)
def test_every_name_builds_its_model(name):
    with torch.device("meta"):
        model = build(name)
    assert name_of(model) == name
    assert model.options == options_class(name)()


def test_lists_stand_for_tuples():
    with torch.device("meta"):
        model = build("detgeo", frame_hw_px=[256, 512], anchors_wh_px=[[10, 20], [30, 40]])
    assert model.options.frame_hw_px == (256, 512)
    assert model.fcn_out[1].out_channels == 10


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("detgo", {}, "unknown model 'detgo'; nearest: 'detgeo'; known: lite, detgeo, ocgnet"),
        ("OCGNET", {}, "nearest: 'ocgnet'"),
        ("ocgnet", {"sigmas": 0.1}, "no option 'sigmas'; nearest: 'sigma'"),
        ("ocgnet", {"sigma": "wide"}, "model 'ocgnet': Expected `float`, got `str`"),
        ("lite", {"widht": 3}, "no option 'widht'; nearest: 'width'"),
    ],
)
def test_mistakes_are_named_with_the_nearest(name, options, text):
    with pytest.raises(ValueError, match=text):
        build(name, **options)
