"""Which interior values of each model are tapped: backbone stages, necks, fused maps, head.

The paths are those inside the graph modules of `lite_graphs` and `published_graphs`, which hold
their model as `model`.
"""

from __future__ import annotations

from edge.bundle import ENCODER, LOCALIZER
from export.taps import Tap
from training.models import Model
from training.models.lite import Lite


def taps_of(model: Model) -> tuple[Tap, ...]:
    """The taps of both graphs of a model, in the order of the computation."""
    if isinstance(model, Lite):
        return _lite(model)
    raise NotImplementedError


def _lite(model: Lite) -> tuple[Tap, ...]:
    reference = [
        *_lite_backbone(model, 32),
        *_neck("reference_neck", model.options.reference_depth),
        ("embedding", "reference_embedding"),
    ]
    query = [
        *_lite_backbone(model, 16),
        *_neck("query_neck", model.options.query_depth),
        ("query_map", "query_embedding"),
    ]
    return (*_taps(ENCODER, reference), *_taps(LOCALIZER, query))


def _lite_backbone(model: Lite, deepest: int) -> list[tuple[str, str]]:
    if model.options.backbone != "efficientnet_lite0":
        return []
    blocks = {"stage_2": 0, "stage_4": 2, "stage_8": 4, "stage_16": 10, "stage_32": 15}
    return [
        (name, f"backbone._blocks.{index}")
        for name, index in blocks.items()
        if int(name.removeprefix("stage_")) <= deepest
    ]


def _neck(name: str, depth: int) -> list[tuple[str, str]]:
    blocks = [(f"neck_{i + 1}", f"{name}.blocks.{i}") for i in range(depth)]
    return [("neck_reduced", f"{name}.bn"), *blocks]


def _taps(graph: str, places: list[tuple[str, str]]) -> tuple[Tap, ...]:
    return tuple(Tap(name, graph, f"model.{path}") for name, path in places)
