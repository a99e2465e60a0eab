"""Weights of others become a model: whole checkpoints of the authors, or backbones.

Strict: every tensor finds its place or is named in an error. What may be left out is said: the dead
layers of a full Darknet where the model is pruned, what of a backbone lies behind its features, and
what a file holds twice (TROGeo's backbone, OCGNet's ConvNeXt-Tiny).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from edge.errors import CheckpointError
from training.checkpoints.convnext_query import OPTION, has_convnext, one_encoder
from training.checkpoints.darknet import load_darknet_weights
from training.checkpoints.foreign import read_weights
from training.models import Model, name_of
from training.models.convnext import ConvNeXtV2Tiny
from training.models.convnext_tiny import ConvNeXtTinyQuery
from training.models.darknet import DEAD_LAYERS, Darknet
from training.models.resnet import ResNet18
from training.models.strict_loading import listed, load_strict
from training.models.swin import SwinSmall
from training.models.trogeo import one_backbone

DARKNET = "YOLOv3"
DARKNET_SUFFIX = ".weights"
NAMED = 3  # tensors that show what a file of another model holds
# A tensor that only this model's published checkpoints hold.
_MARKS = {
    "detgeo": "combine_clickptns_conv.conv.weight",
    "ocgnet": "queryreferencefusion.query.weight",
    "trogeo": "coodrs_out.0.weight",
}
_DARKNET_LAYER = re.compile(r"reference_darknet\.module_list\.(\d+)\.")
_OWN_PARAMETERS = "click_map."  # a learnt sigma, which no published checkpoint has


@dataclass(frozen=True, slots=True)
class Backbone:
    """A backbone that others publish: how its files are known, and what takes them here."""

    title: str
    marks: tuple[str, ...]  # a tensor that its files hold, one per naming
    kind: type[nn.Module]
    load: Callable[[Any, dict[str, Tensor], str], list[str]]  # -> names that were left out


BACKBONES = (
    Backbone("ResNet-18", ("layer1.0.conv1.weight",), ResNet18, ResNet18.load_imagenet),
    Backbone(
        "Swin-S",
        ("features.1.0.attn.qkv.weight", "layers.0.blocks.0.attn.qkv.weight"),
        SwinSmall,
        SwinSmall.load_imagenet,
    ),
    Backbone(
        "ConvNeXt V2-Tiny",
        ("stages.0.blocks.0.conv_dw.weight", "stages.0.0.dwconv.weight"),
        ConvNeXtV2Tiny,
        ConvNeXtV2Tiny.load_pretrained,
    ),
    Backbone(
        "ConvNeXt-Tiny",
        ("features.1.0.layer_scale",),
        ConvNeXtTinyQuery,
        ConvNeXtTinyQuery.load_imagenet,
    ),
)


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file."""

    part: str  # "the whole model", or a backbone and its place
    whole: bool
    left_out: tuple[str, ...]  # what was in the file and is not in the model, in words
    notes: tuple[str, ...]
    said: dict[str, float]  # by the file, of the run that made it


def import_weights(model: Model, path: Path) -> Imported:
    """Put the weights of a file into a model, in place.

    Args:
        model: any that `build` constructs, other than `lite`.
        path: the authors' `.pth.tar`, `yolov3.weights`, or a backbone under the names of
            torchvision (ResNet-18, Swin-S, ConvNeXt-Tiny), timm or its authors (Swin-S,
            ConvNeXt V2-Tiny).

    Raises:
        CheckpointError: see `read_weights` and `read_darknet_weights`; or a checkpoint of another
            model, a backbone that this one lacks, or tensors missing or unexpected (listed).
    """
    if path.suffix == DARKNET_SUFFIX:
        place, darknet = _place(model, Darknet, DARKNET, path)
        count = load_darknet_weights(darknet, path)
        left_out = (f"{count} tensors of {_DEAD_TEXT}",) if count else ()
        return Imported(f"{DARKNET} into {place}", False, left_out, (), {})
    foreign = read_weights(path)
    for backbone in BACKBONES:
        if any(mark in foreign.tensors for mark in backbone.marks):
            place, module = _place(model, backbone.kind, backbone.title, path)
            unused = backbone.load(module, foreign.tensors, str(path))
            left_out = (listed(sorted(unused)),) if unused else ()
            return Imported(f"{backbone.title} into {place}", False, left_out, (), foreign.said)
    left_out, notes = _import_whole(model, foreign.tensors, path)
    return Imported("the whole model", True, left_out, notes, foreign.said)


_DEAD_TEXT = "Darknet layers 80 to 82 and 91 to 106, which do not reach the output"


def backbones_of(model: Model) -> list[str]:
    """Titles of the backbones that a model takes from others."""
    kinds = [(backbone.title, backbone.kind) for backbone in BACKBONES] + [(DARKNET, Darknet)]
    return [title for title, kind in kinds if any(isinstance(m, kind) for m in model.modules())]


def _place(model: Model, kind: type[nn.Module], title: str, path: Path) -> tuple[str, Any]:
    """The module of a kind, and its name in the model."""
    for place, module in model.named_modules():
        if isinstance(module, kind):
            return place, module
    own = [f"{t} (a .weights file)" if t == DARKNET else t for t in backbones_of(model)]
    raise CheckpointError(
        f"{path} is a backbone that {name_of(model)} does not have",
        expected=f"{' or '.join(own) or 'none: it takes no backbones'}",
        found=title,
        do="import it into another model, or check the options that choose the backbone",
    )


def _import_whole(
    model: Model, tensors: dict[str, Tensor], path: Path
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    name = name_of(model)
    if name == "trogeo":
        tensors = one_backbone(tensors, str(path))
    own = model.state_dict()
    _refuse_other_model(name, own, tensors, path)
    left_out, notes = [], []
    if name == "ocgnet":
        _refuse_other_encoder(model, tensors, path)
        if has_convnext(tensors):
            encoder = one_encoder(tensors, str(path))
            tensors = encoder.tensors
            left_out.extend(encoder.left_out)
            notes.extend(encoder.notes)
    dead = [k for k in tensors.keys() - own.keys() if _is_dead(k)]
    if dead:
        left_out.append(f"{len(dead)} tensors of {_DEAD_TEXT}")
    extra = {k: v for k, v in own.items() if k.startswith(_OWN_PARAMETERS) and k not in tensors}
    if extra:
        notes.append(f"not in the file, and as the options say: {', '.join(sorted(extra))}")
    load_strict(model, {k: v for k, v in tensors.items() if k not in dead} | extra, str(path))
    return tuple(left_out), tuple(notes)


def _refuse_other_encoder(model: Model, tensors: dict[str, Tensor], path: Path) -> None:
    """Say which option fits the file's query encoder."""
    theirs, ours = has_convnext(tensors), isinstance(model.query_resnet, ConvNeXtTinyQuery)
    if theirs != ours:
        names = {True: "ConvNeXt-Tiny", False: "ResNet-18"}
        raise CheckpointError(
            f"{path} is of an OCGNet with another query encoder",
            expected=names[ours],
            found=names[theirs],
            do=f"write --option {OPTION}" if theirs else f"leave out --option {OPTION}",
        )


def _is_dead(name: str) -> bool:
    layer = _DARKNET_LAYER.match(name)
    return layer is not None and int(layer[1]) in DEAD_LAYERS


def _refuse_other_model(
    name: str, own: dict[str, Tensor], tensors: dict[str, Tensor], path: Path
) -> None:
    """Say so where the file is of another model, before tensors are compared one by one."""
    theirs = [model for model, mark in _MARKS.items() if mark in tensors]
    if theirs and name in theirs:
        return
    if not theirs and own.keys() & tensors.keys():
        return
    whose = f"those of {theirs[0]}" if theirs else "those of something else"
    first = ", ".join(sorted(tensors.keys() - own.keys())[:NAMED])
    raise CheckpointError(
        f"{path} is not a checkpoint of {name}",
        expected=f"the {len(own)} tensors of {name}",
        found=f"{whose}, such as {first}",
        do=f"write --model {theirs[0]}" if theirs else "check which file it is",
    )
