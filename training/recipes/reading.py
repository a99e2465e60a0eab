"""Recipes found by name or path, read and checked."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import ConfigError
from training.losses.total import TERMS
from training.models.option_text import parse_options, toml_value
from training.recipes.schema import (
    LITE,
    SCHEMA,
    DataSection,
    LiteSection,
    ModelSection,
    OptimizerSection,
    Recipe,
    RunSection,
    ScheduleSection,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent
LARGEST_SEED = 2**64 - 1
SECTIONS: dict[str, type] = {
    "model": ModelSection,
    "data": DataSection,
    "optimizer": OptimizerSection,
    "schedule": ScheduleSection,
    "run": RunSection,
    "lite": LiteSection,
}


def recipe_names() -> tuple[str, ...]:
    """All recipes that come with tilefix."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def read_recipe(name_or_path: str) -> Recipe:
    """A recipe of the package by its name, or one's own by its path.

    Raises:
        ConfigError: no such recipe (the nearest name is given), or see `parse_recipe`.
    """
    path = FOLDER / f"{name_or_path}.toml"
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
    try:
        text = path.read_text()
    except OSError as error:
        near = difflib.get_close_matches(Path(name_or_path).stem, recipe_names(), 1, 0.0)
        raise ConfigError(
            f"there is no recipe {name_or_path}",
            expected=f"a path that ends in .toml, or one of: {', '.join(recipe_names())}",
            found=str(error),
            do=f"write {near[0]} if that was meant",
        ) from error
    return parse_recipe(text, str(path))


def parse_recipe(text: str, where: str) -> Recipe:
    """Turn TOML into a checked recipe; `where` names it in errors.

    Raises:
        ConfigError: not TOML, another schema, an unknown or missing key, or a value that cannot be.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"the recipe {where} is not TOML",
            expected="a TOML file",
            found=str(error),
            do="correct that line",
        ) from error
    return recipe_from_table(table, where)


def recipe_from_table(table: dict[str, Any], where: str) -> Recipe:
    """Turn plain values, as TOML gives them, into a checked recipe.

    Raises:
        ConfigError: another schema, an unknown or missing key, or a value that cannot be.
    """
    if table.get("schema") != SCHEMA:
        raise ConfigError(
            f"the recipe {where} has another schema",
            expected=f'schema = "{SCHEMA}"',
            found=f"schema = {table.get('schema')!r}",
            do="write that line at the top, and compare the keys with a recipe of this version",
        )
    _refuse_unknown(table, _fields(Recipe), where, "")
    for key, section in SECTIONS.items():
        if isinstance(table.get(key), dict):
            _refuse_unknown(table[key], _fields(section), where, f"{key}.")
    for term in table.get("loss", []):
        _check_term(term, where)
    try:
        recipe = msgspec.convert(table, Recipe)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"the recipe {where} does not fit its schema",
            expected=f"every key of {SCHEMA}, each of its type",
            found=str(error),
            do="correct that key",
        ) from error
    _check_values(recipe, where)
    return recipe


def with_values(recipe: Recipe, changes: Mapping[str, Any], where: str) -> Recipe:
    """A recipe with some values replaced, checked again.

    Args:
        recipe: what to begin with.
        changes: `section.key` -> value, as `run.epochs` -> 3 or `model.options.sigma` -> 0.1.
        where: names their origin in errors.

    Raises:
        ConfigError: an unknown key (the nearest is named), or a value that cannot be.
    """
    table: dict[str, Any] = msgspec.to_builtins(recipe)
    if table["lite"] is None:
        del table["lite"]
    for key, value in changes.items():
        *sections, last = key.split(".")
        if sections[:1] == ["lite"] and recipe.lite is None:
            raise ConfigError(
                f"the recipe {recipe.name} does not train lite",
                expected="values of its own sections",
                found=f"`{key}`",
                do="leave it out, or begin with the recipe lite",
            )
        place = table
        for section in sections:
            if not isinstance(place.get(section), dict):
                _refuse_unknown({section: None}, [k for k in place if k != section], where, "")
            place = place[section]
        place[last] = value
    return recipe_from_table(table, where)


def parse_changes(texts: Iterable[str]) -> dict[str, Any]:
    """Changes for `with_values` from texts such as `run.epochs=3`.

    A value that is not TOML is taken as a word: `optimizer.name=adam`.

    Raises:
        ConfigError: a text without `=`.
    """
    changes = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or "." not in key:
            raise ConfigError(
                f"--set {text} changes nothing",
                expected="SECTION.KEY=VALUE",
                found=repr(text),
                do="write, for instance, --set run.epochs=3",
            )
        changes[key] = toml_value(value)
    return changes


def changed_recipe(
    name: str,
    options_text: Iterable[str],
    changes_text: Iterable[str],
    changes: Mapping[str, Any] | None = None,
) -> Recipe:
    """A recipe as a command line changes it.

    Args:
        name: of the recipe, or its path.
        options_text: options of its model, NAME=VALUE.
        changes_text: other values, SECTION.KEY=VALUE.
        changes: others still, which win.

    Raises:
        ConfigError: see `read_recipe`, `parse_changes` and `with_values`.
        UsageError: an option that the model does not know (the nearest is named).
    """
    recipe = read_recipe(name)
    options = parse_options(recipe.model.name, options_text)
    own = {f"model.options.{key}": value for key, value in options.items()}
    return with_values(recipe, {**own, **parse_changes(changes_text), **(changes or {})}, "--set")


def _fields(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _refuse_unknown(table: dict[str, Any], known: list[str], where: str, prefix: str) -> None:
    for key in table:
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
        raise ConfigError(
            f"the recipe {where} has an unknown key",
            expected=f"one of: {', '.join(known)}",
            found=f"`{prefix}{key}`",
            do=f"write `{prefix}{near}` if that was meant, or remove the key",
        )


def _check_term(term: Any, where: str) -> None:
    name = term.get("name") if isinstance(term, dict) else None
    if name not in TERMS:
        near = difflib.get_close_matches(str(name), TERMS, 1, 0.0)[0]
        raise ConfigError(
            f"the recipe {where} has an unknown loss",
            expected=f"[[loss]] with a name of: {', '.join(TERMS)}",
            found=f"name = {name!r}",
            do=f'write name = "{near}" if that was meant',
        )
    known = [field.name for field in msgspec.structs.fields(TERMS[name])]
    _refuse_unknown(term, ["name", *known], where, "loss.")


def _check_values(recipe: Recipe, where: str) -> None:
    """Refuse values that have the right type and still cannot be meant."""
    run, optimizer = recipe.run, recipe.optimizer
    positive = {
        "run.epochs": run.epochs,
        "run.batch": run.batch,
        "run.accumulate": run.accumulate,
        "run.workers": run.workers,
        "optimizer.learning_rate": optimizer.learning_rate,
        "schedule.every_epochs": recipe.schedule.every_epochs,
        "schedule.factor": recipe.schedule.factor,
    }
    for key, value in positive.items():
        if not 0 < value < float("inf"):
            raise _bad_value(where, key, "a positive number", repr(value))
    if not 0 <= run.seed <= LARGEST_SEED:
        expected = f"0 to {LARGEST_SEED}, which NumPy and PyTorch both take"
        raise _bad_value(where, "run.seed", expected, repr(run.seed))
    if run.ema_decay is not None and not 0 < run.ema_decay < 1:
        raise _bad_value(where, "run.ema_decay", "between 0 and 1", repr(run.ema_decay))
    names = [str(term.__struct_config__.tag) for term in recipe.loss]
    if len(set(names)) != len(names):
        raise _bad_value(where, "loss", "each term once", ", ".join(names))
    if recipe.model.name == LITE:
        if recipe.loss or recipe.lite is None:
            raise _bad_value(
                where, "loss", "a section [lite] and no [[loss]]: lite has its own", f"{names}"
            )
    elif not recipe.loss or recipe.lite is not None:
        found = f"{len(names)} terms, [lite] {'there' if recipe.lite else 'absent'}"
        raise _bad_value(where, "loss", "at least one [[loss]] and no section [lite]", found)


def _bad_value(where: str, key: str, expected: str, found: str) -> ConfigError:
    return ConfigError(
        f"the recipe {where} has a value at `{key}` that cannot be meant",
        expected=expected,
        found=found,
        do="correct that key",
    )
