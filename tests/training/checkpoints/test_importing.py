"""Weights of others into models: files as their authors write them, whole, foreign and broken."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from published_files import light, published, save_as_authors_do
from quick_weights import bare, quick_random_weights

from edge.errors import CheckpointError
from training.checkpoints.foreign import read_weights
from training.checkpoints.importing import import_weights
from training.vision_ops import import_torchvision


@pytest.mark.parametrize("name", ["detgeo", "ocgnet"])
def test_authors_checkpoint_goes_into_the_pruned_model(name, tmp_path):
    tensors = published(name)
    file = save_as_authors_do(tmp_path / "model_best.pth.tar", tensors)
    model = bare(name)
    done = import_weights(model, file)
    assert (done.whole, done.notes) == (True, ())
    assert done.said == {"epoch": 24.0, "validation_acc_0.5": pytest.approx(0.5766)}
    assert done.left_out == (
        "66 tensors of Darknet layers 80 to 82 and 91 to 106, which do not reach the output",
    )
    own = model.state_dict()
    assert len(tensors) - len(own) == 66
    assert all(torch.equal(own[k], tensors[k].expand(own[k].shape)) for k in own)


def test_authors_checkpoint_goes_into_the_full_model_whole(tmp_path):
    tensors = published("detgeo")
    model = bare("detgeo", full_darknet=True)
    done = import_weights(model, save_as_authors_do(tmp_path / "a.pth.tar", tensors))
    assert done.left_out == ()
    assert all(torch.equal(v, tensors[k]) for k, v in model.state_dict().items())


def test_learnt_sigma_begins_as_the_options_say(tmp_path):
    model = bare("ocgnet", sigma=0.075, learnable_sigma=True)
    file = save_as_authors_do(tmp_path / "a.pth.tar", published("ocgnet"))
    done = import_weights(model, file)
    assert done.notes == ("not in the file, and as the options say: click_map.log_sigma",)
    assert float(model.click_map.sigma.detach()) == pytest.approx(0.075)


def test_trogeo_holds_its_backbone_twice(tmp_path):
    model = bare("trogeo")
    one = {
        k: v.clone() if "index" in k else light(tuple(v.shape), 1 + i / 1000)
        for i, (k, v) in enumerate(model.state_dict().items())
    }
    prefix = "query_model."
    twice = {f"reference_model.{k[len(prefix) :]}": v for k, v in one.items() if prefix in k}
    import_weights(model, save_as_authors_do(tmp_path / "a.pth.tar", one | twice))
    assert all(torch.equal(v, one[k]) for k, v in model.state_dict().items())


# --- refusals of whole checkpoints ---------------------------------------------------------------


def refusal(model: torch.nn.Module, file: Path) -> str:
    def written() -> dict[str, tuple[int, int]]:
        """Where each tensor lies, and how often it has been written to."""
        return {k: (v.data_ptr(), v._version) for k, v in model.state_dict().items()}

    before = written()
    with pytest.raises(CheckpointError) as caught:
        import_weights(model, file)
    assert written() == before, "half imported"
    return str(caught.value)


@pytest.fixture(scope="module")
def detgeo() -> torch.nn.Module:
    return bare("detgeo")


def test_another_models_checkpoint_is_named(detgeo, tmp_path):
    text = refusal(detgeo, save_as_authors_do(tmp_path / "a.pth.tar", published("ocgnet")))
    assert "a.pth.tar is not a checkpoint of detgeo" in text
    assert "found:    those of ocgnet, such as combine_clickptns_conv1.bn.bias, " in text
    assert len(text.splitlines()) == 4 and len(text) < 400, "the hint is not buried"
    assert "do:       write --model ocgnet" in text


def test_missing_and_unexpected_tensors_are_listed(detgeo, tmp_path):
    tensors = published("detgeo")
    tensors["fcn_out.2.bias"] = tensors.pop("fcn_out.1.bias")
    tensors["query_mapping_visu.bn.bias"] = torch.ones(3)
    text = refusal(detgeo, save_as_authors_do(tmp_path / "a.pth.tar", tensors))
    assert "missing: ['fcn_out.1.bias']" in text
    assert "unexpected: ['fcn_out.2.bias']" in text
    assert "other shape: ['query_mapping_visu.bn.bias']" in text


def test_weights_of_something_else_are_refused(detgeo, tmp_path):
    text = refusal(detgeo, save_as_authors_do(tmp_path / "a.pth.tar", {"fc.weight": torch.ones(2)}))
    assert "found:    those of something else, such as fc.weight" in text
    assert "do:       check which file it is" in text


class Evil:
    def __init__(self, witness: Path) -> None:
        self.witness = str(witness)

    def __reduce__(self):
        return open, (self.witness, "w")


@pytest.mark.parametrize("protocol", ["zip", "bare"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(detgeo, tmp_path, protocol):
    witness, file = tmp_path / "ran", tmp_path / "a.pth.tar"
    content = {"state_dict": published("detgeo"), "extra": Evil(witness)}
    if protocol == "zip":
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps({"extra": Evil(witness)}, protocol=2))
    text = refusal(detgeo, file)
    assert "was not loaded: it could run code" in text
    assert "a use of " in text
    assert "open" in text
    assert not witness.exists()


@pytest.mark.parametrize("part", [0.2, 0.95])
def test_truncated_file_is_refused(detgeo, tmp_path, part):
    file = save_as_authors_do(tmp_path / "a.pth.tar", published("detgeo"))
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * part)])
    text = refusal(detgeo, file)
    assert "a.pth.tar cannot be read" in text
    assert "most likely truncated" in text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([1, 2, 3], "found:    a list"),
        ({"state_dict": {"a": 3.0}}, "found:    a dictionary of ['state_dict']"),
        ({}, "holds no weights"),
        ({"a": torch.tensor([1.0, float("nan")])}, "infinity or NaN in ['a']"),
    ],
)
def test_files_without_weights_are_refused(tmp_path, content, text):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError) as caught:
        read_weights(tmp_path / "a.pth")
    assert text in str(caught.value)


def test_wrong_formats_are_refused(tmp_path):
    (tmp_path / "a.pth").write_text("<html>quota exceeded</html>")
    (tmp_path / "a.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{")
    for name, text in (("a.pth", "a web page"), ("a.safetensors", "cannot be read")):
        with pytest.raises(CheckpointError, match=text):
            read_weights(tmp_path / name)
    with pytest.raises(CheckpointError, match="check the path"):
        read_weights(tmp_path / "none.pth")


# --- backbones -----------------------------------------------------------------------------------


def test_torchvisions_resnet_goes_into_detgeo_and_into_the_cut_one_of_mogeo(detgeo, tmp_path):
    torch.manual_seed(0)
    theirs = import_torchvision().models.resnet18().state_dict()
    torch.save(theirs, tmp_path / "resnet18.pth")
    for model, cut in ((detgeo, False), (bare("mogeo"), True)):
        before = model.reference_darknet.state_dict()["module_list.0.conv_0.weight"].clone()
        done = import_weights(model, tmp_path / "resnet18.pth")
        assert done.part == "ResNet-18 into query_resnet"
        assert not done.whole
        assert done.left_out[0].startswith("['fc.bias', 'fc.weight'")
        assert ("'layer4.0.bn1.bias'" in done.left_out[0]) == cut
        assert done.left_out[0].endswith(" and 20 more") == cut
        own = model.query_resnet.base_model.state_dict()
        assert all(torch.equal(v, theirs[k]) for k, v in own.items())
        after = model.reference_darknet.state_dict()["module_list.0.conv_0.weight"]
        assert torch.equal(after, before)


def test_torchvisions_swin_goes_into_trogeo(tmp_path):
    torch.manual_seed(0)
    with quick_random_weights():
        theirs = import_torchvision().models.swin_s().state_dict()
    torch.save(theirs, tmp_path / "swin_s.pth")
    model = bare("trogeo")
    assert import_weights(model, tmp_path / "swin_s.pth").part == "Swin-S into query_model"
    own = model.query_model.model.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in own.items())


def test_timms_swin_goes_into_trogeo(tmp_path):
    import_torchvision()
    import timm

    with quick_random_weights():
        theirs = timm.create_model("swin_small_patch4_window7_224").state_dict()
    torch.save(theirs, tmp_path / "swin.pth")
    model = bare("trogeo")
    done = import_weights(model, tmp_path / "swin.pth")
    assert done.part == "Swin-S into query_model"
    names = "['head.fc.bias', 'head.fc.weight', 'norm.bias', 'norm.weight']"
    assert done.left_out == (names,)
    own = model.query_model.model.state_dict()
    assert torch.equal(own["features.6.norm.bias"], theirs["layers.3.downsample.norm.bias"])


def test_timms_convnext_goes_into_attengeo_from_safetensors(tmp_path):
    from safetensors.torch import save_file

    import_torchvision()
    import timm

    torch.manual_seed(0)
    with quick_random_weights():
        theirs = timm.create_model("convnextv2_tiny").state_dict()
    save_file(theirs, tmp_path / "model.safetensors")
    model = bare("attengeo")
    done = import_weights(model, tmp_path / "model.safetensors")
    assert done.part.startswith("ConvNeXt V2-Tiny into ")
    module = model.get_submodule(done.part.removeprefix("ConvNeXt V2-Tiny into "))
    assert all(torch.equal(v, theirs[k]) for k, v in module.state_dict().items())


def test_a_backbone_that_the_model_lacks_is_refused(detgeo, tmp_path):
    torch.save({"features.1.0.attn.qkv.weight": torch.ones(1)}, tmp_path / "swin.pth")
    text = refusal(detgeo, tmp_path / "swin.pth")
    assert "is a backbone that detgeo does not have" in text
    assert "expected: ResNet-18 or YOLOv3 (a .weights file)" in text
    assert "found:    Swin-S" in text


def test_a_resnet_of_another_depth_lists_what_does_not_fit(detgeo, tmp_path):
    with quick_random_weights():
        theirs = import_torchvision().models.resnet34().state_dict()
    torch.save(theirs, tmp_path / "resnet34.pth")
    text = refusal(detgeo, tmp_path / "resnet34.pth")
    assert "unexpected: ['layer1.2.bn1.bias'" in text
