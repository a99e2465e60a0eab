import json
import pickle
import warnings
from pathlib import Path

import pytest
import torch

from edge.errors import CheckpointError, OutputError
from training.trainer.processes import Processes
from training.trainer.run_folder import STATE_KEYS, RunFolder, open_run

CONFIG = {"recipe": {"run": {"batch": 12, "seed": 13}}, "given": {"data": ["/a"]}}


def refusal(path: Path, config: dict = CONFIG, writes: bool = True) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        RunFolder(path, config, writes=writes)
    return caught.value


def test_configuration_is_written_once_and_left_alone_afterwards(tmp_path) -> None:
    RunFolder(tmp_path / "run", CONFIG)
    file = tmp_path / "run" / "config.json"
    file.write_text(json.dumps(CONFIG))  # the same in other bytes: a second writing would show
    before = file.read_bytes(), file.stat().st_ino
    RunFolder(tmp_path / "run", CONFIG)
    RunFolder(tmp_path / "run", CONFIG, writes=False)
    assert (file.read_bytes(), file.stat().st_ino) == before


def test_a_kill_while_the_configuration_is_written_leaves_none(tmp_path, monkeypatch) -> None:
    def killed(self: Path, text: str) -> int:
        with self.open("w") as stream:
            stream.write(text[:9])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            RunFolder(tmp_path, CONFIG)
    RunFolder(tmp_path, CONFIG)
    assert json.loads((tmp_path / "config.json").read_text()) == CONFIG


def test_only_differing_options_are_named_as_they_are_given(tmp_path) -> None:
    begun = {
        "recipe": {"run": {"batch": 12, "seed": 13}, "loss": [{"name": "a", "weight": 1.0}]},
        "given": {"data": ["/a"], "from_scratch": False},
    }
    RunFolder(tmp_path, begun)
    now = {
        "recipe": {
            "run": {"batch": 8, "seed": 13, "new": 1},
            "loss": ({"name": "b", "weight": 1},),
        },
        "given": {"data": ["/a", "/b"], "from_scratch": True},
    }
    error = refusal(tmp_path, now)
    assert error.found.split("; ") == [
        "run.batch: 12 there, 8 here",
        'loss.0.name: "a" there, "b" here',
        "loss.0.weight: 1.0 there, 1 here",
        '--data: ["/a"] there, ["/a", "/b"] here',
        "--from-scratch: false there, true here",
        "run.new: nothing there, 1 here",
    ]
    assert str(tmp_path / "config.json") in error.expected


@pytest.mark.parametrize("content", [b"", b'{"recipe": {"ru', b"\xff\xfe\x00"])
def test_a_configuration_that_cannot_be_read_is_said_to_be_so(tmp_path, content) -> None:
    (tmp_path / "config.json").write_bytes(content)
    error = refusal(tmp_path)
    assert f"the configuration in {tmp_path / 'config.json'} cannot be read" in str(error)
    assert "another --out" in error.do
    assert (tmp_path / "config.json").read_bytes() == content, "whose it was may still be told"


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="no run can be begun"):
        RunFolder(tmp_path / "file", CONFIG)


def test_other_processes_look_once_the_first_has_written(tmp_path, monkeypatch) -> None:
    """The first process writes before all meet; another one looks only after that."""
    met: list[bool] = []

    def wait(self: Processes) -> None:
        if not self.first:
            open_run(tmp_path, CONFIG, Processes(0, 2, torch.device("cpu")))
        met.append((tmp_path / "config.json").exists())

    monkeypatch.setattr(Processes, "wait", wait)
    folder = open_run(tmp_path, CONFIG, Processes(1, 2, torch.device("cpu")))
    assert met == [True, True]
    assert not folder.writes


def test_the_first_process_meets_the_others_after_an_error_too(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    met: list[int] = []
    monkeypatch.setattr(Processes, "wait", lambda self: met.append(self.rank))
    with pytest.raises(OutputError):
        open_run(tmp_path / "file", CONFIG, Processes(0, 2, torch.device("cpu")))
    with pytest.raises(CheckpointError, match="does not see the run"):
        open_run(tmp_path / "file", CONFIG, Processes(1, 2, torch.device("cpu")))
    assert met == [0, 1]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (bytes(range(7, 256)), "249 bytes of something else"),
        (b"", "0 bytes of something else"),
        (pickle.dumps({"step": 3}), "a pickle that is not torch's, of "),
    ],
)
def test_garbage_for_a_state_is_refused_in_one_line(tmp_path, content, found) -> None:
    folder = RunFolder(tmp_path, CONFIG)
    assert folder.load_state() is None
    (tmp_path / "state.pt").write_bytes(content)
    with warnings.catch_warnings(), pytest.raises(CheckpointError) as caught:
        warnings.simplefilter("error")
        folder.load_state()
    assert str(caught.value).startswith(f"the state in {tmp_path / 'state.pt'} cannot be read\n")
    assert caught.value.found.startswith(found)
    assert caught.value.do == f"remove {tmp_path / 'state.pt'} to start again from the first step"


def test_a_state_that_is_cut_or_of_something_else_is_refused(tmp_path) -> None:
    folder, file = RunFolder(tmp_path, CONFIG), tmp_path / "state.pt"
    state = dict.fromkeys(STATE_KEYS, 1)
    folder.save_state(state)
    assert folder.load_state() == state
    for content, found in (([1, 2], "a list"), ({"step": 1}, "nothing under best, model")):
        torch.save(content, file)
        with pytest.raises(CheckpointError) as caught:
            folder.load_state()
        assert caught.value.found.startswith(found)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="most likely truncated"):
        folder.load_state()
