"""Registries: what this package brings, what packages and files add, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType

import pytest

from ptsel_fairseq.base import extensions
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.extensions import Registry, load_file, load_files


@dataclass(frozen=True)
class Thing:
    name: str


@pytest.fixture
def registry(monkeypatch):
    """A registry of one built-in thing, which files reach as ``things.REGISTRY``."""
    monkeypatch.setattr(extensions, "_registries", [])
    monkeypatch.setattr(extensions, "_loaded", {})
    monkeypatch.setenv(extensions.VARIABLE, "")
    made = Registry("thing", "things", "some.group", lambda: [Thing("bolt")])
    module = ModuleType("things")
    module.REGISTRY, module.Thing = made, Thing
    monkeypatch.setitem(sys.modules, "things", module)
    return made


def plugin(folder, *lines):
    file = folder / "mine.py"
    file.write_text("from things import REGISTRY, Thing\n" + "".join(f"{line}\n" for line in lines))
    return file


def test_names_come_in_the_order_of_registration_with_their_origin(registry, tmp_path):
    file = plugin(tmp_path, 'REGISTRY.register(Thing("screw-2"))')
    load_file(file)
    registry.register(Thing("anvil"))
    assert registry.names() == ["bolt", "screw-2", "anvil"]
    assert [thing.name for thing in registry.all()] == registry.names()
    assert registry.origin("bolt") == "ptsel_fairseq"
    assert registry.origin("screw-2").startswith("mine.py, sha256 ")
    assert registry.origin("anvil") == "this process"
    registry.remove("anvil")
    assert registry.names() == ["bolt", "screw-2"]


def test_a_file_is_run_once_for_each_text_of_it(registry, tmp_path):
    file = plugin(tmp_path, 'REGISTRY.register(Thing("nail"))')
    load_files([file, file])
    load_file(plugin(tmp_path, 'REGISTRY.register(Thing("tack"))'))
    assert registry.names() == ["bolt", "tack"]


def test_an_unknown_name_is_told_with_the_known_ones(registry):
    with pytest.raises(PtselError, match=r"no thing 'bold'; the things are bolt; did you mean 'bolt'\?"):
        registry.get("bold")


@pytest.mark.parametrize("name", ["Bolt", "1st", "", "a b", "a--b", "a/b"])
def test_a_name_that_cannot_be_used(registry, name):
    with pytest.raises(PtselError, match="expected a name of lower-case letters"):
        registry.register(Thing(name))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['REGISTRY.register(Thing("bolt"))'], r"mine.py: thing bolt: the name is taken by ptsel_fairseq"),
        (["def f(:"], r"mine.py: cannot be loaded \(line 2: "),
        (["1 / 0"], r"mine.py: cannot be loaded \(ZeroDivisionError: division by zero, in mine.py, line 2\)"),
    ],
)
def test_a_file_that_cannot_be_used_leaves_nothing(registry, tmp_path, lines, message):
    file = plugin(tmp_path, 'REGISTRY.register(Thing("nail"))', *lines[1:])
    file.write_text(file.read_text().replace('REGISTRY.register(Thing("nail"))', lines[0]))
    with pytest.raises(PtselError, match=message):
        load_file(file)
    assert registry.names() == ["bolt"]


def test_a_file_that_is_not_there_or_not_text(registry, tmp_path):
    with pytest.raises(PtselError, match=r"--plugin .*none.py: the file cannot be read \(No such file"):
        load_file(tmp_path / "none.py")
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PtselError, match=r"binary.py: the file cannot be read"):
        load_file(tmp_path / "binary.py")


def entry(monkeypatch, code: str) -> None:
    """One installed package whose entry point runs `code`."""
    module = ModuleType("installed_thing")
    monkeypatch.setitem(sys.modules, "installed_thing", module)
    point = EntryPoint("any", "installed_thing", "some.group")
    monkeypatch.setattr(EntryPoint, "load", lambda self: exec(code, {}))
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: EntryPoints([point]))


def test_installed_packages_are_asked_when_names_are_needed(registry, monkeypatch):
    entry(monkeypatch, 'from things import REGISTRY, Thing\nREGISTRY.register(Thing("rivet"))')
    assert registry.names() == ["bolt", "rivet"]
    assert registry.origin("rivet") == "installed_thing"


def test_an_installed_package_that_fails_is_named(registry, monkeypatch):
    entry(monkeypatch, "raise ValueError('broken')")
    for _ in range(2):  # the second time as well: nothing half loaded is kept
        with pytest.raises(PtselError, match=r"some.group: any = installed_thing\): cannot be loaded"):
            registry.names()


def test_a_process_that_is_started_finds_the_files(registry, tmp_path, monkeypatch):
    load_file(plugin(tmp_path, 'REGISTRY.register(Thing("nail"))'))
    monkeypatch.setattr(extensions, "_loaded", {})  # as another process, which inherits the environment
    other = Registry("thing", "things", "some.group")
    sys.modules["things"].REGISTRY = other
    assert other.names() == ["nail"]


def test_a_file_of_two_kinds_is_run_once(registry, tmp_path, monkeypatch):
    second = Registry("other", "others", "other.group")
    sys.modules["things"].SECOND = second
    lines = (
        'REGISTRY.register(Thing("nail"))',
        "from things import SECOND",
        'SECOND.register(Thing("tack"))',
    )
    monkeypatch.setenv(extensions.VARIABLE, str(plugin(tmp_path, *lines)))
    assert second.names() == ["tack"]
    assert registry.names() == ["bolt", "nail"]
