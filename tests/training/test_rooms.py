"""The rooms of `training` stand in one order, and a room imports only itself and those above it."""

import ast
from pathlib import Path

import pytest

import training

HOME = Path(training.__file__).parent
# the order in which the docstring of `training` names them
ROOMS = [line.split()[0] for line in training.__doc__.splitlines() if line.startswith("    ")]


def rooms_of(path: Path) -> set[str]:
    """Rooms that a file imports from, inside functions too."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    return {parts[1] for m in modules if (parts := m.split("."))[0] == "training" and parts[1:]}


def test_every_room_has_its_place() -> None:
    assert set(ROOMS) == {path.parent.name for path in HOME.glob("*/__init__.py")}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_itself_and_those_above_it(room: str) -> None:
    known = {*ROOMS[: ROOMS.index(room) + 1], "vision_ops"}
    found = {path: rooms_of(path) for path in (HOME / room).glob("*.py")}
    assert {str(p): rooms - known for p, rooms in found.items() if rooms - known} == {}
    assert any(found.values()), "the walk sees imports"
