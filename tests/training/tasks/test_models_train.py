"""Every model trains: a step lowers its loss, and it learns eight synthetic scenes by heart.

By heart learn two published models, one that compares by cosine and one that attends, on shallow
backbones (TROGeo with a third of its channels), and `lite` on the smaller of its backbones: their
click maps, fusion, heads, losses and decoding are the same. Under `full_size` all three learn
whole, as published, only their pictures are smaller; and a step is of every whole model.
"""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from quick_weights import quick_random_weights
from small_backbones import shallow_backbones
from torch import nn

from training.batches.lite import Collection
from training.batches.samples import SampleReader
from training.datasets import scene_pairs
from training.datasets.pair_folder import PairFolder, render
from training.losses.total import term
from training.models import NAMES, build
from training.recipes.schema import LiteSection
from training.tasks.lite import LiteTask
from training.tasks.published import PublishedTask

SIDE_PX = 64
# Draws whose largest object is some cells large; a draw that is not so is followed by the next.
DRAWS = (26, 33, 53, 57, 67, 100, 111, 112)
ANCHORS = ((40.0, 40.0), (20.0, 20.0), (12.0, 12.0))
# The smallest windows that their poolings and kernels allow.
WINDOW_PX = {"ocgnet": 128, "attengeo": 160, "detgeo_ported": 96}
PUBLISHED = [name for name in NAMES if name != "lite"]
TERMS = {
    "trogeo": [term("mask_bce", weight=0.4), term("mask_dice", weight=1.6)],
    "mogeo": [term("object_similarity")],
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> PairFolder:
    """Eight views of one small town, the largest object of each clicked."""

    def draw(index: int):
        for attempt in range(200):
            rng = np.random.default_rng(DRAWS[index] + 1000 * attempt)
            sample = scene_pairs.sample_pair(
                rng, frame_px=SIDE_PX, window_px=SIDE_PX, gsd_m=1.0, first_town=3
            )
            wide, high = (sample.box_xyxy_px[:, 2:] - sample.box_xyxy_px[:, :2]).T
            least = np.where(sample.present, np.minimum(wide, high), 0)
            k = [int(least.argmax())]
            if least[k[0]] >= 10:
                return replace(
                    sample,
                    click_xy_px=sample.click_xy_px[k],
                    box_xyxy_px=sample.box_xyxy_px[k],
                    present=sample.present[k],
                    expected_xy_px=sample.expected_xy_px[k],
                )
        raise AssertionError("this town has no buildings")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_pairs, "TOWN_POOL", 1)
        path = tmp_path_factory.mktemp("scenes")
        return render(path, len(DRAWS), draw, made_by={"kind": "scenes", "seed": 5})


def squares(count: int, window_px: int):
    """Samples of any size with a coloured square in each view."""
    from tiny_model import Squares

    class Resized(Squares):
        def read(self, index: int):
            sample = super().read(index)
            window = np.resize(sample.window, (window_px, window_px, 3))
            box = np.array([[10, 12, 30, 34]], np.float32)
            return replace(sample, window=window, box_xyxy_px=box)

    return Resized(count)


def published(name: str, source, window_px: int) -> PublishedTask:
    torch.manual_seed(0)
    model = build(name, frame_hw_px=(SIDE_PX, SIDE_PX), window_px=window_px, anchors_wh_px=ANCHORS)
    reader = SampleReader(source, (SIDE_PX, SIDE_PX), window_px, masks=name == "trogeo")
    terms = [term("softmax_confidence"), term("box_mse"), *TERMS.get(name, [])]
    return PublishedTask(model, reader, reader, terms, validation_batch=8)


def lite(folder: PairFolder, **options: str) -> LiteTask:
    torch.manual_seed(0)
    model = build("lite", frame_px=SIDE_PX, window_px=SIDE_PX, anchors_wh_px=ANCHORS, **options)
    pictures = Collection.open([folder], preload=True)
    section = LiteSection(window_px=SIDE_PX, freeze_backbone=False, swap_share=0.0, prior_share=0.3)
    return LiteTask(model, pictures, pictures, section, validation_batch=8)


def overfit(task, steps: int, rate: float) -> dict[str, float]:
    """Train on all samples at once, by a loop of this test's own: it shows that models can learn.

    Neither the trainer nor a recipe takes part: Adam, a rate that falls along a cosine, the running
    statistics of batch norms with momentum 0.5, no block of a Swin left out by chance, gradients
    clipped to 5. `test_published_run.py` and `tests/training/trainer` train by the trainer.
    """
    for module in task.model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5  # the running statistics of so few steps would lag behind
        if type(module).__name__ == "StochasticDepth":
            module.p = 0.0  # it keeps a net from learning by heart, which is what is asked of it
    optimizer = torch.optim.Adam(task.model.parameters(), lr=rate, fused=True)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.02 + 0.49 * (1 + np.cos(np.pi * step / steps)))
        task.set_training()
        batch = task.batch(list(range(len(task))), np.random.default_rng(step))
        loss = task.losses(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(task.model.parameters(), 5.0)
        optimizer.step()
    return task.validate(task.model, torch.device("cpu"))


@pytest.mark.parametrize(
    "backbones",
    [shallow_backbones, pytest.param(contextlib.nullcontext, marks=pytest.mark.full_size)],
    ids=["shallow", "whole"],
)
@pytest.mark.parametrize("name", PUBLISHED)
def test_one_step_lowers_the_loss_and_every_gradient_is_finite(name: str, backbones) -> None:
    window_px = WINDOW_PX.get(name, SIDE_PX)
    with quick_random_weights(), backbones():
        task = published(name, squares(2, window_px), window_px)
    batch = task.batch([0, 1], np.random.default_rng(0))
    # Adam moves every weight by its rate at first: a larger one overshoots in a net of this depth.
    optimizer = torch.optim.Adam(task.model.parameters(), lr=1e-5, fused=True)

    def loss() -> torch.Tensor:
        torch.manual_seed(1)  # the same dropout both times
        task.set_training()
        return task.losses(batch)["loss"]

    before = loss()
    before.backward()
    without = [n for n, p in task.model.named_parameters() if p.grad is None]
    assert not without, f"no gradient: {without[:5]}"
    finite = [bool(torch.isfinite(p.grad).all()) for p in task.model.parameters()]
    assert all(finite)
    optimizer.step()
    with torch.no_grad():
        assert float(loss()) < float(before)


def test_one_step_lowers_the_loss_of_lite(scenes: PairFolder) -> None:
    task = lite(scenes)
    batch = task.batch([0, 1, 2, 3], np.random.default_rng(0))
    # Adam moves every weight by its rate at first: a larger one overshoots in a net of this depth.
    optimizer = torch.optim.Adam(task.model.parameters(), lr=1e-5, fused=True)
    task.set_training()
    before = task.losses(batch)["loss"]
    before.backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in task.model.parameters())
    optimizer.step()
    with torch.no_grad():
        assert float(task.losses(batch)["loss"]) < float(before)


@pytest.mark.parametrize(
    ("options", "steps"),
    [({"backbone": "xfeat"}, 30), pytest.param({}, 40, marks=pytest.mark.full_size)],
    ids=["xfeat", "default"],
)
def test_lite_learns_eight_scenes_by_heart(options, steps: int, scenes: PairFolder) -> None:
    assert overfit(lite(scenes, **options), steps, rate=4e-3)["acc@0.5"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mogeo", "trogeo"])
def test_a_published_model_learns_eight_scenes_by_heart(name: str, scenes: PairFolder) -> None:
    with quick_random_weights(), shallow_backbones(trogeo_width=256):
        task = published(name, scenes, SIDE_PX)
    assert overfit(task, steps=20, rate=1e-3)["acc@0.5"] == 1.0


@pytest.mark.full_size
@pytest.mark.parametrize(("name", "steps", "rate"), [("mogeo", 20, 1e-3), ("trogeo", 14, 5e-4)])
def test_a_whole_published_model_learns_eight_scenes_by_heart(
    name: str, steps: int, rate: float, scenes: PairFolder
) -> None:
    """Every layer and channel as published; frames and windows of 64 px, not of 256 and 1024.

    The other published models would need larger windows or more steps: minutes each.
    """
    with quick_random_weights():
        task = published(name, scenes, SIDE_PX)
    assert overfit(task, steps, rate)["acc@0.5"] == 1.0
