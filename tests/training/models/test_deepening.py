"""A deeper `lite` answers as the one that it grew from, and its new blocks train."""

from __future__ import annotations

import pytest
import torch
from small_lite import shallow_efficientnet, small_lite

from training.models.deepening import deepened


def test_more_blocks_change_no_answer_and_get_a_gradient() -> None:
    with shallow_efficientnet():
        model = small_lite()
        deeper = deepened(model, {"reference_depth": 5, "query_depth": 3})
        image = torch.rand(2, 3, 128, 128) * 255
        with torch.no_grad():
            wanted, found = model.encode_reference(image), deeper.encode_reference(image)
            queries = [m.encode_query(image[:, :, :64, :64]) for m in (model, deeper)]
        deeper.train().encode_reference(image)["u"].square().sum().backward()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert torch.equal(*queries)
    assert (deeper.options.reference_depth, deeper.options.query_depth) == (5, 3)
    assert deeper.options.width == model.options.width
    assert model.options.reference_depth == 3, "the one it grew from stays"
    added = deeper.reference_neck.blocks[3].bn_project.weight
    assert not added.any() and added.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("depths", "says"),
    [
        ({"width": 32}, "width cannot grow; reference_depth and query_depth can"),
        ({"query_depth": 1}, "query_depth is 2 already, not 1"),
        ({"reference_depth": "more"}, "a number of blocks, not 'more'"),
    ],
)
def test_what_cannot_grow_is_refused(depths, says) -> None:
    with shallow_efficientnet(), pytest.raises(ValueError, match=says):
        deepened(small_lite(), depths)
