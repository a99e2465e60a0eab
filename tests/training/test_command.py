import pytest
from click.testing import CliRunner

from edge.errors import UsageError
from training.command import _shape, train


def test_shape_of_the_network() -> None:
    assert _shape(("width=64", "hidden=32")) == {"width": 64, "hidden": 32}


@pytest.mark.parametrize("text", ["widht=64", "width", "width=x", "anchors_wh_px=3"])
def test_an_unknown_size_is_named_with_the_known_ones(text) -> None:
    with pytest.raises(UsageError) as caught:
        _shape((text,))
    assert text in caught.value.what
    assert "width" in caught.value.expected and "hidden" in caught.value.expected


def test_missing_data_says_what_to_do(tmp_path) -> None:
    arguments = ["--data", str(tmp_path), "--val", str(tmp_path), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(train, arguments)
    assert "tilefix datasets render" in str(result.exception)
