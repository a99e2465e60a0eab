"""What a training starts from: a checkpoint or a bundle."""

from __future__ import annotations

import pytest
import torch
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
