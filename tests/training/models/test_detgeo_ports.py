import cross_view
import pytest
import torch

from training.models import build
from training.models.detgeo import DetGeo
from training.models.detgeo_ports import PortedDetGeo, PortedDetGeoOptions
from training.models.joint_attention import LOWEST_LOGIT

WINDOW_PX = 96
SMALL = {"width": 32, "ffn": 48, "iterations": 1, "mhsam_hidden": 24}
ROWS = {
    "cvcam": {"cvcam": True, "mhsam": False},
    "mhsam": {"cvcam": False, "mhsam": True},
    "both": {"cvcam": True, "mhsam": True},
}


def fresh(row: str, **options) -> PortedDetGeo:
    torch.manual_seed(7)
    return PortedDetGeo(PortedDetGeoOptions(**{**SMALL, **ROWS[row], **options}))


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return cross_view.pictures(window_px=WINDOW_PX)


@pytest.mark.parametrize(
    ("row", "module"), [("cvcam", 7_107_840), ("mhsam", 9_177_344), ("both", 16_285_184)]
)
def test_parameters_are_detgeos_narrowed_and_the_modules(row, module):
    """Each mapping loses 256 of its 512 outputs, and the head 256 of its inputs."""
    with torch.device("meta"):
        ported = PortedDetGeo(PortedDetGeoOptions(full_darknet=True, **ROWS[row]))
    narrowed = 73_795_164 - 2 * (256 * 512 + 2 * 256) - 256 * 256
    assert cross_view.parameters(ported) == narrowed + module


def test_shares_names_and_backbones_with_detgeo():
    with torch.device("meta"):
        ported = PortedDetGeo(PortedDetGeoOptions(width=512, cvcam=False, mhsam=True)).state_dict()
        detgeo = DetGeo().state_dict()
    assert {k: v.shape for k, v in ported.items() if not k.startswith("mhsam.")} == {
        k: v.shape for k, v in detgeo.items()
    }
    assert any(k.startswith("mhsam.") for k in ported)


@pytest.mark.parametrize("row", list(ROWS))
def test_holds_to_the_contract(row, backbones, pair):
    with backbones():
        model = cross_view.settle(fresh(row), *pair)
    lowest = -1.0 if row == "mhsam" else LOWEST_LOGIT
    cross_view.check_cached_equals_whole(model, *pair, lowest=lowest)
    cross_view.check_clicks_do_not_see_each_other(model, *pair)
    with torch.no_grad():
        maps = model(*pair, cross_view.clicks_of_one_pair())
    assert maps.boxes.shape == (3, 9, 5, 6, 6)
    assert maps.similarity.shape == maps.attention.shape == (3, 6, 6)
    raw = maps.boxes[:, :, 4].amax(1)
    assert torch.equal(maps.similarity, raw) == (row != "mhsam")


@pytest.mark.parametrize("row", ["cvcam", "mhsam"])
def test_constant_pictures_and_a_training_step(row, backbones):
    with backbones():
        model = fresh(row)
    cross_view.check_constant_pictures(model, WINDOW_PX)
    cross_view.check_one_step_lowers_the_loss(model, WINDOW_PX)


def test_refuses_to_be_detgeo_and_other_strides():
    with pytest.raises(ValueError, match="that is the model 'detgeo'"):
        build("detgeo_ported", cvcam=False)
    with pytest.raises(ValueError, match="stride_px is 16, got 32"):
        build("detgeo_ported", stride_px=32)
