"""The house: every import goes to the same floor or below, without circles, and every name of a module is used once."""

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import emo_teach

PACKAGE = Path(emo_teach.__file__).parent
# From the ground up; the rooms of one line do not know each other unless the one stands before the other.
FLOORS = (
    "files inputs",
    "costs divergences transport words",
    "worked pictures",
    "losses world",
    "finetune measure",
    "verify studies",
    "explorers figures check",
    "bench authoring",
    "__main__",
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms.split()}


def modules():
    """(dotted name inside the package, path) of every module, without `__init__` of the package itself."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if "sources" not in parts:  # texts of lessons and problem sets, which nobody imports
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(name, path, known):
    """Names of the package's modules that a module imports, inside functions too."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            up = [part for part in package if part][: len(package) - node.level + 1]
            base = ".".join(up + (node.module.split(".") if node.module else []))
            for alias in node.names:
                full = f"{base}.{alias.name}".strip(".")
                yield full if full in known else base


KNOWN = dict(modules())
GRAPH = {name: set(imported(name, path, KNOWN)) - {name, ""} for name, path in KNOWN.items() if name}


def test_every_room_has_a_floor():
    assert {name.split(".")[0] for name in GRAPH} == set(FLOOR)


@pytest.mark.parametrize("name", GRAPH)
def test_no_import_goes_up(name):
    room = name.split(".")[0]
    above = [other for other in GRAPH[name] if FLOOR[other.split(".")[0]] > FLOOR[room]]
    assert above == []


def test_rooms_and_modules_import_in_no_circle():
    rooms = {}
    for name, others in GRAPH.items():
        room = name.split(".")[0]
        rooms.setdefault(room, set()).update({other.split(".")[0] for other in others} - {room})
    list(TopologicalSorter(rooms).static_order())  # raises CycleError
    # a package's own __init__ may load its modules, and these may ask for it by name
    modules_only = {n: {o for o in others if not n.startswith(f"{o}.")} for n, others in GRAPH.items()}
    list(TopologicalSorter(modules_only).static_order())


def test_no_base_name_twice():
    names = Counter(path.stem for path in KNOWN.values() if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 1 and not name.removeprefix("lesson").isdigit()] == []
