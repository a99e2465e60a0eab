"""What a training starts from: a checkpoint or a bundle."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from small_lite import small_lite
from tiny_model import tiny_build

from edge.bundle import shipped_bundle_path
from edge.errors import BundleError, CheckpointError, UsageError
from training.checkpoints.start import starting_lite, starting_model
from training.checkpoints.weights import save_weights
from training.models.folded_norms import folded_norms


def test_a_checkpoint_is_read_and_a_bundle_rebuilt(tmp_path) -> None:
    model = small_lite()
    save_weights(model, tmp_path / "a.safetensors", {})
    loaded = starting_lite(tmp_path / "a.safetensors")
    state = loaded.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not list(folded_norms(loaded))
    shipped = starting_lite(shipped_bundle_path())
    norms = [m for m in shipped.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(list(folded_norms(shipped))) == len(norms) > 50


def test_a_file_that_is_no_checkpoint_says_what_to_do_with_it(tmp_path) -> None:
    def advice(name: str, content: bytes | None = None) -> str:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="is not a checkpoint") as caught:
            starting_model(tmp_path / name)
        return caught.value.do

    save_weights(small_lite(), tmp_path / "a.safetensors", {})
    whole = (tmp_path / "a.safetensors").read_bytes()
    for end in (0, 4, 300, len(whole) - 1):
        assert "copy it again" in advice("cut.safetensors", whole[:end])
    torch.save({"state_dict": {}}, tmp_path / "model_best.pth.tar")
    torch.save({}, tmp_path / "old", _use_new_zipfile_serialization=False)
    for name in ("model_best.pth.tar", "old"):
        assert advice(name).startswith("`tilefix import-checkpoint`")
    assert "copy" not in advice("yolov3.weights", b"\0" * 40)
    assert "import-checkpoint" in advice("yolov3.weights")
    (tmp_path / "old").rename(tmp_path / "state.pt")
    assert advice("state.pt").startswith("give best.safetensors")
    assert advice("missing.safetensors") == "check the path"
    missing = advice("missing.pth")
    assert missing.startswith("check the path") and "import-checkpoint" in missing
    save_file({"a": torch.zeros(1)}, tmp_path / "timm.safetensors")
    with pytest.raises(CheckpointError, match=r"has another schema(.|\n)*import-checkpoint"):
        starting_model(tmp_path / "timm.safetensors")


def test_what_is_neither_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text").write_text("no checkpoint")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        starting_model(tmp_path / "text")
    with pytest.raises(BundleError):
        starting_model(tmp_path)
    monkeypatch.setattr("training.checkpoints.weights.build", tiny_build)
    monkeypatch.setattr("training.checkpoints.start.name_of", lambda model: "mogeo")
    save_weights(tiny_build("mogeo"), tmp_path / "mogeo.safetensors", {})
    with pytest.raises(UsageError, match=r"found: +mogeo"):
        starting_lite(tmp_path / "mogeo.safetensors")
