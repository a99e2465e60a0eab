"""Pictures are held where the training is, if they leave it room."""

from types import SimpleNamespace

import pytest
import torch

import training.batches.pictures
from training.batches.device import own_device, place_of
from training.batches.pictures import Pictures
from training.datasets.pair_folder import PairFolder
from training.trainer.processes import Processes


@pytest.fixture
def third_gpu(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine with GPUs, of which this process has the third, with 1,000 bytes free."""
    chosen = SimpleNamespace(devices=[])
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000 - device.index + 2, 5000))
    monkeypatch.setattr(torch.cuda, "set_device", chosen.devices.append)
    return chosen


def test_a_process_has_the_gpu_that_torchrun_numbers(third_gpu: SimpleNamespace) -> None:
    assert own_device() == torch.device("cuda", 2)
    processes = Processes.join()
    assert processes.device == torch.device("cuda", 2)
    assert third_gpu.devices == [torch.device("cuda", 2)]


def test_half_of_what_is_free_is_for_pictures(third_gpu: SimpleNamespace) -> None:
    assert place_of(500) == torch.device("cuda", 2)
    assert place_of(501) == torch.device("cpu")


def test_without_a_gpu_all_is_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert own_device() == place_of(1 << 60) == torch.device("cpu")


def test_preloaded_pictures_lie_where_they_are_placed(
    small_folder: PairFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def place(needed_bytes: int) -> torch.device:
        asked.append(needed_bytes)
        return torch.device("meta")  # holds no values: a place other than the CPU

    monkeypatch.setattr(training.batches.pictures, "place_of", place)
    pictures = Pictures.open(small_folder, preload=True)
    assert asked == [sum(tensor.numel() for tensor in pictures.held.values())]
    assert {tensor.device.type for tensor in pictures.held.values()} == {"meta"}
    assert pictures.batch("frame", [1, 0])[1].device.type == "meta"
