"""JSON and YAML of whomever: what Python's readers let pass is named, and none of it multiplies."""

import json

import pytest
import yaml

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.json_file import JsonError, parse_json, read_json
from ptsel_fairseq.base.yaml_file import parse_yaml, read_yaml


@pytest.mark.parametrize("value", [{}, [], None, "é", 1.5, {"a": [{"b": None}]}, -(2**70)])
def test_json_comes_back(value, tmp_path):
    (tmp_path / "a.json").write_text("\ufeff" + json.dumps(value), encoding="utf-8")
    assert read_json(tmp_path / "a.json") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
        ('[{"x": {"y": 1, "y": 2}}]', "'y' stands twice"),
        ('{"score": NaN}', "NaN"),
        ("[-Infinity]", "Infinity"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("9" * 5000, "digits"),
        ("{", "Expecting"),
        ("", "Expecting"),
    ],
)
def test_what_is_no_json(text, message):
    with pytest.raises(JsonError, match=message):
        parse_json(text)


def test_json_in_another_encoding(tmp_path):
    (tmp_path / "a.json").write_bytes('"é"'.encode("utf-16"))
    with pytest.raises(JsonError, match="UTF-8"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: [x, {c: null}]",
        "",
        "- 1\n- two",
        "a: &x {b: 1}\nc: *x",
        "base: &x {b: 1}\nd: {<<: *x, e: 2}",
    ],
)
def test_yaml_is_what_the_safe_reader_makes_of_it(text):
    assert parse_yaml(text, "a.yaml", "settings") == yaml.safe_load(text)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: .*'a' stands twice"),
        ("x: {y: 1, y: 2}", "'y' stands twice"),
        (BOMB, "references make more than"),
        ("a: &a [*a]", "nested|holds itself"),
        ("[" * 3000, "nested too deeply"),
        ("a: !!python/object/apply:os.system [id]", "not a YAML file"),
        ("? [a, b]\n: 1", "expected a name as key"),
        ("a: [", "line "),
        ("a: 2026-99-99", "not a YAML file"),
        ("a: \x00", "not a YAML file"),
    ],
)
def test_yaml_that_is_refused(text, message):
    with pytest.raises(PtselError, match=rf"^a\.yaml.*{message}"):
        parse_yaml(text, "a.yaml", "settings")


def test_yaml_files_that_cannot_be_read(tmp_path):
    with pytest.raises(PtselError, match="no such file"):
        read_yaml(tmp_path / "none.yaml", "settings")
    with pytest.raises(PtselError, match="cannot be read"):
        read_yaml(tmp_path, "settings")
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    with pytest.raises(PtselError, match="UTF-8"):
        read_yaml(tmp_path / "a.yaml", "settings")
