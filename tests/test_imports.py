"""The imports between the rooms of the package: they point down, make no circle, and keep the command line light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT

PACKAGE = "ptsel_fairseq"
# What each room may import, besides itself. A module at the top is a room of its own.
MAY_IMPORT = {
    "base": set(),
    "labels": {"base"},
    "heads": {"base"},
    "data": {"base", "labels"},
    "selection": {"base", "labels", "runs", "run_figures"},
    "plugin": {"base", "labels", "heads"},
    "downstream": {"base", "labels", "data"},
    "runs": {"base"},
    "run_figures": {"base", "runs"},
    "pipeline": {"base", "data", "runs"},
    "export": {"base", "export_hf"},
    "export_hf": {"base"},
    "cli": {
        "base",
        "labels",
        "data",
        "selection",
        "plugin",
        "downstream",
        "pipeline",
        "run_figures",
        "export",
    },
    "__main__": {"cli"},
}
# The loaders of checkpoints need the models of the plugin, and an export asks them why it cannot be made.
EXCEPTIONS = {
    ("downstream.features.wav2vec", "plugin"),
    ("export", "plugin"),
}
IMPORT_FAIRSEQ = {"plugin", "downstream.features"}


class Import(NamedTuple):
    """`module` imports `name`: when it is imported itself (``now``), when a function runs, or for types alone."""

    module: str
    name: str
    when: str


def modules() -> dict[str, Path]:
    """Every module by its name without the package's."""
    found = {}
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = list(file.relative_to(ROOT / PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def imports_of(module: str) -> Iterator[Import]:
    def walk(node: ast.AST, when: str) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(module, alias.name, when) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module}: write imports in full"
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}".removeprefix(f"{PACKAGE}.")
                    name = f"{PACKAGE}.{whole}" if whole in MODULES else str(child.module)
                    yield Import(module, name, when)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                for part in child.body:
                    yield from walk(ast.Module([part], []), "types")
                for part in child.orelse:
                    yield from walk(ast.Module([part], []), when)
            else:
                late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, "late" if late else when)

    yield from walk(ast.parse(MODULES[module].read_text(encoding="utf-8")), "now")


IMPORTS = [found for module in MODULES for found in imports_of(module)]
INSIDE = [
    Import(module, name.removeprefix(PACKAGE).removeprefix("."), when)
    for module, name, when in IMPORTS
    if name.split(".")[0] == PACKAGE
]


def room(module: str) -> str:
    return module.split(".")[0]


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """What can be reached from itself: for each such node a shortest way back."""
    found = []
    for start in arrows:
        before: dict[str, str] = {}
        waiting = [start]
        while waiting and start not in before:
            node = waiting.pop(0)
            for following in sorted(arrows.get(node, ())):
                if following not in before:
                    before[following] = node
                    waiting.append(following)
        if start in before:
            way = [start]
            while way[-1] != start or len(way) == 1:
                way.append(before[way[-1]])
            found.append(way[::-1])
    return found


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})[0] == ["a", "b", "c", "a"]
    assert circles({"a": {"b"}, "b": {"c"}, "d": {"a"}}) == []


def test_every_room_has_its_place():
    assert {room(module) for module in MODULES} - {""} == set(MAY_IMPORT)


def test_what_is_imported_is_there():
    """A type checker that is told to pass over missing modules passes over those of this package as well."""
    assert not {found for found in INSIDE if found.name not in MODULES}


def test_imports_point_down():
    """Imports inside functions and those for types count as well."""
    upward = {
        f"{found.module} imports {found.name}"
        for found in INSIDE
        if found.module and found.name
        if room(found.name) not in {room(found.module), *MAY_IMPORT[room(found.module)]}
        if (found.module, room(found.name)) not in EXCEPTIONS
    }
    assert not upward


def test_no_exception_is_left_that_nobody_needs():
    used = {(found.module, room(found.name)) for found in INSIDE}
    assert used >= EXCEPTIONS
    arrows = {(room(found.module), room(found.name)) for found in INSIDE}
    unused = {(a, b) for a, rooms in MAY_IMPORT.items() for b in rooms} - arrows
    assert not unused


def test_no_module_imports_itself_by_way_of_others():
    arrows = defaultdict(set)
    for module, name, when in INSIDE:
        if when == "now" and module and name != module and name:
            arrows[module].add(name)
    assert circles(arrows) == []


@pytest.mark.parametrize("house", ["downstream", "labels", "plugin", "selection"])
def test_no_room_inside_a_room_is_in_a_circle(house):
    def inner(module: str) -> str | None:
        parts = module.split(".")
        within = parts[0] == house and len(parts) > 1 and (ROOT / PACKAGE / house / parts[1]).is_dir()
        return parts[1] if within else None

    arrows = defaultdict(set)
    for module, name, _ in INSIDE:
        first, second = inner(module), inner(name)
        if first and second and first != second:
            arrows[first].add(second)
    assert circles(arrows) == []


def test_only_two_rooms_import_fairseq():
    found = {
        module
        for module, name, _ in IMPORTS
        if name.split(".")[0] in ("fairseq", "fairseq_cli")
        if not module.startswith(tuple(IMPORT_FAIRSEQ))
    }
    assert not found


HEAVY = ("numpy", "torch", "scipy", "librosa", "soundfile", "sklearn", "matplotlib", "fairseq", "omegaconf")


@pytest.mark.parametrize(
    "code",
    [
        "import ptsel_fairseq",
        "from ptsel_fairseq import labels, selection, downstream, heads",
        "from ptsel_fairseq.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass",
        "from ptsel_fairseq.cli import main\ntry:\n    main(['prepare', '--help'])\nexcept SystemExit:\n    pass",
        "from ptsel_fairseq.cli import main\ntry:\n    main(['evaluate', '--help'])\nexcept SystemExit:\n    pass",
    ],
    ids=["the package", "the faces", "ptsel --help", "ptsel prepare --help", "ptsel evaluate --help"],
)
def test_what_must_answer_at_once_imports_nothing_heavy(code):
    check = f"\nimport sys\nprint('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def names_of(module: str) -> set[str]:
    """What a module defines or imports at its top level, in any block there; a face names its own in ``__all__``."""
    found: set[str] = set()
    waiting = list(ast.parse(MODULES[module].read_text(encoding="utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
        else:
            found.update(part.id for part in ast.walk(node) if isinstance(part, ast.Name))
            if isinstance(node, ast.Assign) and ast.dump(node.targets[0]).startswith("Name(id='__all__'"):
                found.update(ast.literal_eval(node.value))
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return found


def test_every_name_that_is_imported_exists():
    """Of the package, and of tests, examples and benchmarks, which no type checker reads."""
    files = [file for folder in (PACKAGE, "tests", "examples", "benchmarks", "tools") for file in
             sorted((ROOT / folder).rglob("*.py"))]  # fmt: skip
    known = {module: names_of(module) for module in MODULES}
    missing = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not str(node.module).startswith(PACKAGE):
                continue
            module = str(node.module).removeprefix(PACKAGE).removeprefix(".")
            for alias in node.names:
                inside = f"{module}.{alias.name}".removeprefix(".")
                if inside not in MODULES and alias.name not in known.get(module, ()):
                    missing.add(f"{file.relative_to(ROOT)}: {node.module}.{alias.name}")
    assert not missing
