import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from quick_weights import quick_random_weights
from small_backbones import shallow_backbones
from torch import nn

Backbones = Callable[[], AbstractContextManager[None]]


@pytest.fixture(scope="package", autouse=True)
def quick_weights() -> Iterator[None]:
    """Nothing here depends on how the many weights of a model are drawn."""
    with quick_random_weights():
        yield


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(shallow_backbones, id="shallow"),
        pytest.param(contextlib.nullcontext, id="whole", marks=pytest.mark.full_size),
    ],
)
def backbones(request: pytest.FixtureRequest) -> Backbones:
    """`with backbones(): build(...)`: what stands before and behind them is the same in both."""
    made: Backbones = request.param
    return made


@pytest.fixture(scope="module")
def made(backbones: Backbones, request: pytest.FixtureRequest) -> Callable[..., nn.Module]:
    """`made(**options)`: what `build` of the test's file makes, on shallow backbones or whole."""

    def of(**options: object) -> nn.Module:
        with backbones():
            model: nn.Module = request.module.build(**options)
        return model

    return of
