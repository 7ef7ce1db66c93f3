"""The order of the house: which file may import which, and which names may be imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import icefront
from tests.helpers.paths import ROOT

SOURCE = ROOT / "src"

ROOMS = (
    ("errors", "zones", "progress", "recipes", "lazy", "memory", "text", "glaciers"),
    ("grid",),
    ("files",),
    ("reporting",),
    ("scenes",),
    ("models",),
    ("inference",),
    ("fronts",),
    ("series",),
    ("series",),
    ("extraction",),
    ("measures",),
    ("timeseries",),
    ("datasets",),
    ("simulation",),
    ("evaluation",),
    ("annotators",),
    ("training",),
    ("pretraining",),
    ("acquisition",),
    ("projects",),
    ("products",),
    ("viewer",),
    ("demo",),
    ("cli",),
)
"""The rooms from the top to the bottom; those of one line may import each other."""

RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}
DOORS = ("icefront", "icefront.__main__")
"""The front door hands out the public names when asked; no room imports from it."""
FRONT_DOOR_NAMES = {"__version__"}
"""What rooms may take from the front door all the same: it is defined there."""


class Import(NamedTuple):
    """A module imported by a file, with the name taken from it."""

    line: int
    module: str
    name: str | None
    when_loaded: bool


def modules(folder: Path) -> dict[str, Path]:
    """Return the files of a source folder by their dotted name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules(SOURCE)


def is_for_types(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports_of(tree: ast.AST, name: str, *, is_package: bool) -> Iterator[Import]:
    """Yield the imports of a file, those inside of functions too.

    Imports under ``if TYPE_CHECKING`` never run and are left out.
    """

    def walk(node: ast.AST, when_loaded: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and is_for_types(node.test):
            for child in node.orelse:
                yield from walk(child, when_loaded)
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, None, when_loaded)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parts = name.split(".")
                base = parts[: len(parts) - node.level + is_package]
                module = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                yield Import(node.lineno, module, alias.name, when_loaded)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, when_loaded and not inside)

    yield from walk(tree, True)


def target_of(found: Import, known: dict[str, Path]) -> str | None:
    """Return the module that an import reaches: a submodule where the name is one."""
    inner = f"{found.module}.{found.name}"
    if found.name is not None and inner in known:
        return inner
    return found.module if found.module in known else None


IMPORTS = {
    name: list(
        imports_of(ast.parse(path.read_text("utf-8")), name, is_package=path.stem == "__init__")
    )
    for name, path in MODULES.items()
}


def room_of(module: str) -> str:
    return module.split(".")[1]


def upward_imports() -> list[str]:
    """List the imports of a room below, or of the front door."""
    found = []
    for name, imports in IMPORTS.items():
        if name in DOORS:
            continue
        for each in imports:
            target = target_of(each, MODULES)
            if target is None or (target in DOORS and each.name in FRONT_DOOR_NAMES):
                continue
            if target in DOORS or RANK[room_of(target)] > RANK[room_of(name)]:
                found.append(f"{name}:{each.line} imports {target}")
    return found


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of nodes of a graph that reach each other (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1 or node in edges.get(node, ()):
                groups.append(sorted(group))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return groups


def edges_between_modules() -> dict[str, set[str]]:
    """Return who imports whom; a module of a room that the room itself imports counts once."""
    edges: dict[str, set[str]] = {name: set() for name in MODULES}
    for name, imports in IMPORTS.items():
        if name in DOORS:
            continue
        for each in imports:
            target = target_of(each, MODULES)
            if target is not None and target not in DOORS:
                edges[name].add(target)
    return edges


def test_every_module_lies_in_a_room_of_the_design() -> None:
    assert {room_of(name) for name in MODULES if name not in DOORS} <= RANK.keys()


def test_no_room_imports_from_a_room_below_it() -> None:
    assert upward_imports() == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(edges_between_modules()) == []


def test_a_circle_is_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"e"}}
    assert circles(edges) == [["a", "b", "c"], ["e"]]


def test_imports_in_functions_count_and_those_for_types_do_not() -> None:
    text = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from icefront.cli import app
else:
    import icefront.zones
def late():
    from . import grid
    from .files.atomic import writing
"""
    found = list(imports_of(ast.parse(text), "icefront.errors", is_package=False))
    assert [(each.module, each.name, each.when_loaded) for each in found] == [
        ("typing", "TYPE_CHECKING", True),
        ("icefront.zones", None, True),
        ("icefront", "grid", False),
        ("icefront.files.atomic", "writing", False),
    ]
    assert target_of(found[2], MODULES) == "icefront.grid"


def test_no_room_is_named_like_a_public_function() -> None:
    """Importing the room would hide the function of that name."""
    rooms = {name.split(".")[1] for name in MODULES if name.count(".") == 1}
    assert rooms & set(icefront.__all__) == set()


def test_no_private_name_is_imported_from_another_file() -> None:
    found = [
        f"{name}:{each.line} imports {each.module}.{each.name}"
        for name, imports in IMPORTS.items()
        for each in imports
        if each.module.startswith("icefront")
        and each.name is not None
        and each.name.startswith("_")
        and not each.name.startswith("__")
    ]
    assert found == []


def attributes_of_modules(tree: ast.AST, imports: list[Import]) -> Iterator[ast.Attribute]:
    """Yield private attributes that a file takes from modules it imports by name."""
    names = {each.name for each in imports if target_of(each, MODULES) and each.name is not None}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in names
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
        ):
            yield node


@pytest.mark.parametrize("name", [name for name in MODULES if name not in DOORS])
def test_no_private_name_is_taken_from_an_imported_module(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    taken = [ast.unparse(node) for node in attributes_of_modules(tree, IMPORTS[name])]
    assert taken == []


TESTS = {
    name: list(imports_of(ast.parse(path.read_text("utf-8")), name, is_package=False))
    for name, path in modules(ROOT / "tests").items()
    if path.stem != "__init__"
}


def test_no_test_imports_another_test() -> None:
    found = [
        f"{name}:{each.line} imports {each.module}"
        for name, imports in TESTS.items()
        for each in imports
        if each.module.startswith("tests") and not each.module.startswith("tests.helpers")
    ]
    assert len(TESTS) > 30
    assert found == []


def test_no_test_imports_a_private_name() -> None:
    found = [
        f"{name}:{each.line} imports {each.module}.{each.name}"
        for name, imports in TESTS.items()
        for each in imports
        if each.module.startswith("icefront")
        and (each.name or "").startswith("_")
        and not (each.name or "").startswith("__")
    ]
    assert found == []
