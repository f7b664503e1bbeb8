"""Convolutions of a configuration are read, never run."""

import pytest

from ptsel_fairseq.base.conv_layers import parse_conv_layers
from ptsel_fairseq.base.errors import PtselError


@pytest.mark.parametrize(
    "text",
    [
        "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2",
        "[(512,10,5)]+[(512,3,2)]*4+[(512,2,2)]+[(512,2,2)]",
        "2 * [(64, 10, 5)]",
        "[(64, 10, 5), [64, 3, 2]] * 2",
        "((32, 4, 2),)",
        " [(1, 1, 1)]\n",
    ],
)
def test_it_is_what_python_makes_of_it(text):
    assert parse_conv_layers(text, "x.pt") == [tuple(layer) for layer in eval(text)]


@pytest.mark.parametrize(
    "text",
    [
        '__import__("os").system("touch RAN") or [(512, 10, 5)]',
        '[(512, 10, 5)] + [open("RAN", "w").write("") or (512, 3, 2)]',
        "[(512, 10, 5) for _ in range(3)]",
        "[(512, 10, 5)] if 1 else []",
        "(lambda: [(512, 10, 5)])()",
        "[(512, 10, 5)] * 10**9",
        "[(512, 10, 5)] * 10 * 10 * 10",
        "[(512, 10, 5)] * True",
        "[(512, 10, 5)] - []",
        "[(512, 10.0, 5)]",
        "[(512, -10, 5)]",
        "[(512, 0, 5)]",
        "[(512, 10, 5, 1)]",
        "[(99999999, 10, 5)]",
        "[(512, 10, 99999999)]",
        "[(512, 10, 5)]; import os",
        "[" * 5000,
        "(" * 900 + "[(1, 1, 1)]" + ")" * 900,
        "[(1, 1, 1)]" + " + [(1, 1, 1)]" * 101,
        "[]",
        "",
        "\0",
        "${oc.env:HOME}",
        None,
        [(512, 10, 5)],
        7,
    ],
)
def test_anything_else_is_refused_and_does_nothing(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PtselError, match=r"x\.pt: model\.conv_feature_layers: expected convolutions"):
        parse_conv_layers(text, "x.pt")
    assert not list(tmp_path.iterdir())
