from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from made_cvogl import write_cvogl

from edge.errors import UsageError
from training.experiments.command import experiment
from training.tasks.first_weights import FirstWeights, named_options, refuse_named_options


def test_options_of_the_model_are_told_from_the_rest_of_a_command() -> None:
    changes = ["run.epochs=3", "model.options.hidden = 8", "model.pretrained=[]"]
    named = named_options(["width=32"], changes)
    assert named == ("--option width=32", "--set model.options.hidden = 8")
    assert named_options([], ["model.options={}"]) == ("--set model.options={}",)
    assert named_options([], ["run.epochs=3"]) == ()


def test_what_is_named_is_refused_in_the_words_of_the_command() -> None:
    refuse_named_options(FirstWeights(Path("a")), "--init a")
    first = FirstWeights(Path("a"), named_options=("--option width=32", "--set b=1"))
    with pytest.raises(UsageError, match="mean nothing beside --init\n") as caught:
        refuse_named_options(first, "--init a")
    assert caught.value.found == "--init a and --option width=32, --set b=1"
    assert caught.value.do.startswith("leave out --option width=32 and --set b=1")


@pytest.mark.parametrize(
    "named", [("--option", "sigma=0.05"), ("--set", "model.options.sigma=0.05")]
)
def test_few_shot_experiments_refuse_options_beside_their_checkpoint(
    named: tuple[str, str], tmp_path: Path
) -> None:
    made = write_cvogl(tmp_path / "data", counts={"val": 1, "test": 1})
    for split, records in (("train", made.lists["val"]), ("test", made.lists["test"])):
        torch.save(records, made.home / f"few_shot_{split}.pth")
    out = tmp_path / "few"
    command = ["few-shot", "ocgnet_fewshot", "--data", str(made.root), "--out", str(out)]
    done = CliRunner().invoke(experiment, [*command, "--init", "drone.safetensors", *named])
    assert isinstance(done.exception, UsageError), done.exception
    assert f"leave out {' '.join(named)}" in done.exception.do
    assert not out.exists(), "nothing was begun"
