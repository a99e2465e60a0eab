"""What the exporter leaves behind."""

from pathlib import Path

import pytest

import export.bundle_maker
from edge.errors import DataError
from export.bundle_maker import make_bundle
from training.checkpoints.weights import save_weights
from training.models.lite import Lite, LiteOptions


def test_a_fit_that_breaks_off_leaves_no_bundle_to_be_taken_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, alignment, out = (tmp_path / n for n in ("a.safetensors", "x.onnx", "bundle"))
    save_weights(Lite(LiteOptions(width=8, hidden=8, embedding=8, centre_var=0.5)), checkpoint, {})
    drafts = []

    def write(model, manifest, files, place, precisions):
        drafts.append((place, model.options.centre_var))
        place.mkdir()
        raise DataError("the samples are broken", expected="a", found="b", do="c")

    monkeypatch.setattr(export.bundle_maker, "write_model", write)
    given = dict.fromkeys(("name", "version"), "1") | {"gsd_m": 0.25, "data_note": "", "scores": {}}
    with pytest.raises(DataError, match="broken"):
        make_bundle(
            checkpoint,
            out,
            alignment=alignment,
            fit_on=[tmp_path / "fit"],
            held_out=[tmp_path / "held"],
            **given,
        )
    ((draft, centre_var),) = drafts
    assert not out.exists() and not draft.exists()
    assert tmp_path not in draft.parents, "nothing lies beside it either"
    assert centre_var == 0, "a blend that was fitted before is fitted anew"
