"""The verb `import-checkpoint`, from files to a checkpoint that loads again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from published_files import light, published, save_as_authors_do
from small_backbones import shallow_backbones

from edge.cli import tilefix
from edge.errors import OutputError, TilefixError, UsageError
from training.checkpoints.weights import load_weights
from training.models import build
from training.vision_ops import import_torchvision


def call(*arguments: object) -> str:
    done = CliRunner().invoke(tilefix, ["import-checkpoint", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("import")
    save_as_authors_do(path / "ckpt2.pth.tar", published("ocgnet"))
    return path


@pytest.fixture(
    params=[shallow_backbones, pytest.param(contextlib.nullcontext, marks=pytest.mark.full_size)]
)
def whole(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the model has its published backbones: an import writes all of it three times."""
    with request.param():
        yield request.param is contextlib.nullcontext


def shallow_tensors() -> dict[str, torch.Tensor]:
    """Those of an OCGNet as it is built now, each of a value of its own."""
    state = build("ocgnet").state_dict()
    return {
        name: torch.tensor(index) if "num_batches" in name else light(value.shape, 1 + index / 1000)
        for index, (name, value) in enumerate(state.items())
    }


def test_whole_checkpoint_then_a_backbone_into_it(whole, tmp_path):
    folder = tmp_path
    tensors = published("ocgnet") if whole else shallow_tensors()
    save_as_authors_do(folder / "ckpt2.pth.tar", tensors)
    torch.save(
        import_torchvision().models.resnet18(weights=None).state_dict(), folder / "resnet18.pth"
    )
    out, second = folder / "ocgnet.safetensors", folder / "second.safetensors"
    text = call(
        folder / "ckpt2.pth.tar", "--model", "ocgnet", "--out", out, "--option", "sigma=0.075"
    )
    model, record = load_weights(out)
    for part in (
        f"ocgnet, {sum(p.numel() for p in model.parameters()):,} parameters",
        "ckpt2.pth.tar: the whole model (epoch 24, validation_acc_0.5 0.5766)",
        "sigma 0.075 of the diagonal",
    ):
        assert part in text
    left_out = "left out: 66 tensors of Darknet layers 80 to 82 and 91 to 106"
    assert ("ocgnet, 67,320,545 parameters" in text, left_out in text) == (whole, whole)
    assert model.options.sigma == 0.075
    assert record["imported"][0]["file"] == "ckpt2.pth.tar"
    assert len(record["imported"][0]["sha256"]) == 64
    own = model.state_dict()
    assert all(torch.equal(v, tensors[k].expand(v.shape)) for k, v in own.items())

    with pytest.raises(TilefixError, match="is not a checkpoint of detgeo"):
        call(folder / "resnet18.pth", "--model", "detgeo", "--out", second, "--init", out)
    text = call(folder / "resnet18.pth", "--model", "ocgnet", "--out", second, "--init", out)
    assert f"the rest: from {out}" in text
    model, record = load_weights(second)
    assert [x["part"] for x in record["imported"]] == [
        "the whole model",
        "ResNet-18 into query_resnet",
    ]
    kept = {k for k, v in model.state_dict().items() if torch.equal(v, own[k])}
    assert {k for k in own if not k.startswith("query_resnet.")} <= kept
    assert "query_resnet.base_model.conv1.weight" not in kept
    with pytest.raises(UsageError, match="leaves nothing of --init"):
        call(
            folder / "ckpt2.pth.tar", "--model=ocgnet", "--out", second, "--init", out, "--replace"
        )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--out", "x.pth"], "write --out x.safetensors"),
        (["--out", "none/x.safetensors"], "make the folder first"),
        (["--out", "x.safetensors", "--option", "sigmas=1"], "write --option sigma=1"),
        (["--out", "x.safetensors", "--option", "sigma"], "write --option sigma=VALUE"),
        (["--out", "x.safetensors", "--option", "sigma=wide"], "Expected `float`, got `str`"),
        (["--out", "x.safetensors", "--option", "sigma=1", "--init", "y"], "leave out --option"),
        (["--out", "x.safetensors", "--init", "y"], "y is not a checkpoint"),
    ],
)
def test_slips_are_refused_before_all_work(folder, monkeypatch, arguments, text):
    monkeypatch.chdir(folder)
    with pytest.raises(TilefixError) as caught:
        call("ckpt2.pth.tar", "--model", "ocgnet", *arguments)
    assert text in str(caught.value)
    assert not (folder / "x.safetensors").exists()


def test_an_existing_checkpoint_is_not_overwritten(folder, monkeypatch):
    monkeypatch.chdir(folder)
    Path("there.safetensors").write_text("mine")
    with pytest.raises(OutputError, match="--replace"):
        call("ckpt2.pth.tar", "--model", "ocgnet", "--out", "there.safetensors")
    assert Path("there.safetensors").read_text() == "mine"


def test_our_own_checkpoint_needs_no_import(tmp_path):
    from safetensors.torch import save_file

    file = tmp_path / "ours.safetensors"
    save_file({"a": torch.ones(1)}, file, {"schema": "tilefix-checkpoint/1", "model": "detgeo"})
    with pytest.raises(TilefixError, match="a checkpoint of tilefix already"):
        call(file, "--model", "detgeo", "--out", tmp_path / "b.safetensors")


def test_unknown_model_shows_the_known():
    text = call("a", "--model", "yolo", "--out", "b.safetensors")
    assert "'detgeo', 'ocgnet', 'attengeo', 'mogeo', 'trogeo'" in text
