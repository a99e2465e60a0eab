"""Reads the commands that an error advises, with the parser that would read them in a shell."""

from __future__ import annotations

import shlex
from typing import Any

import click

from edge.cli import tilefix


def parsed(text: str) -> list[tuple[str, dict[str, Any]]]:
    """ "tilefix plugin build --out x && tilefix build y" -> each verb with its parameters.

    Raises:
        click.UsageError: what is there cannot be run as it stands.
    """
    return [_parsed(shlex.split(part)) for part in text.split(" && ")]


def _parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    assert words[0] == "tilefix", words
    command: click.Command = tilefix
    context, rest, path = click.Context(tilefix, info_name="tilefix"), words[1:], []
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert name is not None and found is not None
        path.append(name)
        command = found
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name, parent=context)
    made = command.make_context(path[-1], rest, parent=context)
    return " ".join(path), made.params
