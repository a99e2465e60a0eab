"""One file for each model, over shared blocks; `build` constructs any of them by name."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from training.models.contract import CrossViewModel
    from training.models.lite import Lite

    Model: TypeAlias = Lite | CrossViewModel
else:
    Model: TypeAlias = Any

# name -> module, class, options class. Strings: torchvision and timm load with the models that
# need them, not before.
_MODELS = {
    "lite": ("lite", "Lite", "LiteOptions"),
    "detgeo": ("detgeo", "DetGeo", "DetGeoOptions"),
    "ocgnet": ("ocgnet", "OCGNet", "OCGNetOptions"),
    "attengeo": ("attengeo", "AttenGeo", "AttenGeoOptions"),
    "mogeo": ("mogeo", "MOGeo", "MOGeoOptions"),
    "trogeo": ("trogeo", "TROGeo", "TROGeoOptions"),
    "detgeo_ported": ("detgeo_ports", "PortedDetGeo", "PortedDetGeoOptions"),
}
NAMES = tuple(_MODELS)


def options_class(name: str) -> Any:
    """The frozen dataclass of a model's options.

    Raises:
        ValueError: an unknown model; names the nearest.
    """
    return _load(name)[1]


def name_of(model: Model) -> str:
    """The name that `build` knows a model by."""
    return getattr(type(model), "name", "lite")


def build(name: str, **options: Any) -> Model:
    """Construct a model by name.

    Args:
        name: one of `NAMES`.
        options: fields of the model's options class, `LiteOptions` for `lite`; lists, as JSON and
            TOML have them, stand for tuples.

    Raises:
        ValueError: an unknown name or option (names the nearest), or a value that the model
            refuses.
    """
    model, shape = _load(name)
    known = [f.name for f in fields(shape)]
    for option in options:
        if option not in known:
            raise ValueError(
                f"model {name!r} has no option {option!r}; nearest: {_nearest(option, known)!r}; "
                f"known: {', '.join(known)}"
            )
    try:
        built: Model = model(msgspec.convert(options, shape))
    except msgspec.ValidationError as error:
        raise ValueError(f"model {name!r}: {error}") from error
    return built


def _load(name: str) -> tuple[Any, Any]:
    if name not in _MODELS:
        raise ValueError(
            f"unknown model {name!r}; nearest: {_nearest(name, list(NAMES))!r}; "
            f"known: {', '.join(NAMES)}"
        )
    module_name, model, options = _MODELS[name]
    module = importlib.import_module(f"training.models.{module_name}")
    return getattr(module, model), getattr(module, options)


def _nearest(word: str, known: list[str]) -> str:
    return difflib.get_close_matches(word.lower(), known, 1, 0)[0]
