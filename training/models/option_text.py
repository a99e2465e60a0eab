"""Options of a model as text, NAME=VALUE, the value as TOML writes it."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from edge.errors import UsageError
from training.models import options_class

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def parse_options(name: str, texts: Iterable[str], flag: str = "--option") -> dict[str, Any]:
    """Options of the model `name` from texts such as `sigma=0.075` or `frame_hw_px=[256, 512]`.

    A value that is not TOML is taken as a word: `click_encoding=gaussian`. `flag` is what errors
    call the texts.

    Raises:
        UsageError: a text without `=`, or a name that the model does not know (names the nearest).
    """
    known = [f.name for f in fields(options_class(name))]
    options = {}
    for text in texts:
        option, equals, value = (part.strip() for part in text.partition("="))
        if not equals or option not in known:
            near = difflib.get_close_matches(option, known, 1, 0)[0]
            raise UsageError(
                f"{flag} {text} means nothing to {name}",
                expected=f"NAME=VALUE with NAME one of: {', '.join(known)}",
                found=repr(text),
                do=f"write {flag} {near}={value or 'VALUE'} if that was meant",
            )
        options[option] = toml_value(value)
    return options


def toml_value(text: str) -> Any:
    """What TOML makes of a value; what is not TOML is a word."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
