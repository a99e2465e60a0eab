"""Every record's command can still be given: its module, its verbs and its options are there."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import re
import shlex
from pathlib import Path

import click
import pytest

from edge.cli import VERBS

RECORDS = Path(__file__).resolve().parents[3] / "benchmarks" / "records"
# Records made before these studies moved keep the command that made them.
MOVED = {
    "benchmarks.alignment_alternatives": "benchmarks.studies.alignment_alternatives",
    "benchmarks.alignment_study": "benchmarks.studies.alignment",
    "benchmarks.error_radius_study": "benchmarks.studies.error_radius",
    "benchmarks.matcher_study": "benchmarks.studies.matcher",
    "benchmarks.precision_study": "benchmarks.studies.precision",
}


class Parsed(Exception):  # noqa: N818 - not an error
    """Carries the parser of a study out of its `main`."""


def commands() -> list[tuple[str, str]]:
    found = set()
    for path in sorted(RECORDS.rglob("*.json*")):
        name = path.relative_to(RECORDS).as_posix()
        for match in re.finditer(r'"command": ("(?:[^"\\]|\\.)*")', path.read_text()):
            found.add((name, json.loads(match[1])))
    return sorted(found)


def parser_of(module: str, monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """The parser that a study's `main` makes."""
    caught = []

    def catch(parser: argparse.ArgumentParser, *_: object) -> None:
        caught.append(parser)
        raise Parsed

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", catch)
        with pytest.raises(Parsed):
            importlib.import_module(module).main()
    return caught[0]


def check_verb(words: list[str]) -> None:
    """Fail where the console command has no such verb or option."""
    module, _, attribute = VERBS[words[0]][0].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    words = words[1:]
    while isinstance(command, click.Group):
        context = click.Context(command)
        found = command.get_command(context, words[0]) if words else None
        if found is None:
            break
        command, words = found, words[1:]
    options = {o for each in command.params for o in (*each.opts, *each.secondary_opts)}
    unknown = [word for word in words if word.startswith("--") and word not in options]
    assert not unknown, f"tilefix has no {unknown}"


def test_there_are_records_with_commands() -> None:
    names = {name for name, _ in commands()}
    assert {"quantizers.json", "selection.json", "int8/entropy.json", "evaluate.json"} <= names


@pytest.mark.parametrize(("name", "command"), commands())
def test_a_records_command_can_be_given(name, command, monkeypatch) -> None:
    words = shlex.split(command)
    if words[0] == "tilefix":
        check_verb(words[1:])
        return
    assert words[:2] == ["python", "-m"], f"{name} names no command of ours"
    module = MOVED.get(words[2], words[2])
    assert importlib.util.find_spec(module) is not None, f"{name} names {module}"
    study = importlib.import_module(module)
    if hasattr(study, "argparse"):
        parser_of(module, monkeypatch).parse_args(words[3:])
    else:  # looks its few words up by itself
        source = Path(str(study.__file__)).read_text()
        assert all(f'"{word}"' in source for word in words[3:])


def test_what_is_said_to_have_moved_has(monkeypatch) -> None:
    used = {shlex.split(command)[2] for _, command in commands() if command.startswith("python")}
    for old, new in MOVED.items():
        assert old in used, f"no record names {old} any more: take it off the list"
        assert importlib.util.find_spec(old) is None
        assert importlib.util.find_spec(new) is not None


def test_a_verb_or_option_that_is_gone_is_found(monkeypatch) -> None:
    with pytest.raises(KeyError):
        check_verb(["fly"])
    with pytest.raises(AssertionError, match="--pears"):
        check_verb(["evaluate", "--pears", "x.json"])
    parser = parser_of("benchmarks.studies.selection", monkeypatch)
    with pytest.raises(SystemExit):
        parser.parse_args(["--pears"])


@pytest.mark.parametrize("name", ["quantizers.json", "selection.json", "int8/entropy.json"])
def test_a_command_names_no_folder_of_one_machine(name) -> None:
    (command,) = [command for found, command in commands() if found == name]
    assert not any(word.startswith("/") for word in shlex.split(command))
