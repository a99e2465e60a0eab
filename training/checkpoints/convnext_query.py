"""OCGNet checkpoints whose query encoder is ConvNeXt-Tiny, as the authors' README builds it.

That class keeps torchvision's whole model and registers its parts a second time, so a state dict
holds, under the encoder's own name P:

    P.base_model.features.*, P.base_model.classifier.*      torchvision's model, classifier unused
    P.early_stem.*, P.forward_features.*                    the first layer and the others, again
    P.(one more).weight, .bias                              the 1x1 convolution to 512 channels

The checkpoints themselves were not at hand. P and the name of the convolution are not published,
so both are taken from the file. It stays strict: copies must be equal, what is left must be that
one convolution, and every other tensor must be one of OCGNet's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edge.errors import CheckpointError
from training.models.strict_loading import listed

OPTION = "query_backbone=convnext-tiny"
OURS = "query_resnet."
_FIRST = "base_model.features.0.0.weight"
_FEATURES = "base_model.features."
_CLASSIFIER = "base_model.classifier."
_COPIES = ("early_stem.", "forward_features.")


@dataclass(frozen=True, slots=True)
class QueryEncoder:
    """A state dict under our names, and what was done to it in words."""

    tensors: dict[str, Tensor]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def has_convnext(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a state dict, without `module.`, holds such an encoder."""
    return bool(_names_of_encoders(tensors))


def one_encoder(tensors: Mapping[str, Tensor], source: str) -> QueryEncoder:
    """A state dict with its ConvNeXt-Tiny once, under our names.

    Args:
        tensors: names without `module.`; see `has_convnext`.
        source: named in errors.

    Raises:
        CheckpointError: not one encoder, copies that differ, or tensors beside them that are not
            one convolution.
    """
    found = _names_of_encoders(tensors)
    if len(found) != 1:
        raise _refused(source, "one encoder", f"{len(found)}: {listed(found)}")
    prefix = found[0]
    inside = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    features = _below(_FEATURES, inside)
    copies = 0
    for copy in _COPIES:
        held = _below(copy, inside)
        if not _is_part(held, features):
            same = f"{prefix}{copy}* equal to its part of {prefix}{_FEATURES}*"
            raise _refused(source, same, f"other tensors in {listed(sorted(held))}")
        copies += len(held)
    known = (_FEATURES, _CLASSIFIER, *_COPIES)
    rest = {k: v for k, v in inside.items() if not k.startswith(known)}
    modules = {name.rpartition(".")[0] for name in rest}
    if len(modules) != 1 or {name.rpartition(".")[2] for name in rest} != {"weight", "bias"}:
        wanted = f"one convolution beside base_model, early_stem and forward_features of {prefix}*"
        raise _refused(source, wanted, listed(sorted(rest)))
    reduce = modules.pop()
    own = {k: v for k, v in tensors.items() if not k.startswith(prefix)}
    own |= {f"{OURS}features.{name}": tensor for name, tensor in features.items()}
    own |= {f"{OURS}reduce.{name.rpartition('.')[2]}": tensor for name, tensor in rest.items()}
    left_out = [f"{copies} tensors of {prefix}*, which are held twice"] if copies else []
    classifier = sorted(prefix + name for name in inside if name.startswith(_CLASSIFIER))
    if classifier:
        left_out.append(f"the classifier: {listed(classifier)}")
    note = (
        f"the query encoder was found as {prefix}base_model, its last convolution as "
        f"{prefix}{reduce}: the names of the authors' files are not published, check the accuracy"
    )
    return QueryEncoder(own, tuple(left_out), (note,))


def _names_of_encoders(tensors: Mapping[str, Tensor]) -> list[str]:
    """What stands before `base_model`, with its dot."""
    return sorted(
        name.removesuffix(_FIRST)
        for name in tensors
        if name.endswith("." + _FIRST)  # torchvision's own model has no name in front
    )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _is_part(copy: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> bool:
    """Whether these are features again, under the same numbers or counted from their own first."""
    return any(
        all(name in features and torch.equal(features[name], t) for name, t in renamed.items())
        for renamed in (
            copy,  # a slice of the layers
            {f"0.{name}": tensor for name, tensor in copy.items()},  # the first layer itself
            {_next(name): tensor for name, tensor in copy.items()},  # a new list of all but it
        )
    )


def _next(name: str) -> str:
    number, dot, rest = name.partition(".")
    return f"{int(number) + 1}{dot}{rest}" if number.isdecimal() else name


def _refused(source: str, expected: str, found: str) -> CheckpointError:
    return CheckpointError(
        f"the ConvNeXt-Tiny of {source} is not as the README of OCGNet builds it",
        expected=expected,
        found=found,
        do="check which file it is; another form cannot be imported",
    )
