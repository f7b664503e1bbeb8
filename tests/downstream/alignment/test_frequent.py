"""The frequent words of a class file: the papers' choice."""

from __future__ import annotations

from collections import Counter

import pytest
from alignment_tools import segments_of
from conftest import ASTERISK

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.alignment.frequent import frequent_command


def test_frequent_words_are_the_papers_choice(tmp_path, capsys):
    words = segments_of(ASTERISK / "classes" / "word.tsv")
    counts = Counter(name for rows in words.values() for _, _, name in rows)
    chosen = sorted(name for name, count in counts.items() if len(name) >= 5 and count > 4)
    assert len(chosen) > 3
    source = ASTERISK / "classes" / "word.tsv"
    frequent_command(source, tmp_path / "first.tsv", 5, 4)
    lines = (tmp_path / "first.tsv").read_text().splitlines()
    of_name = {name: [line for line in lines[1:] if line.endswith(f"\t{name}")] for name in chosen}
    every = source.read_text().splitlines()
    for name, found in of_name.items():
        assert found == [line for line in every if line.endswith(f"\t{name}")][:4]
    assert len(lines) == 1 + 4 * len(chosen)
    assert f"4 segments of each of {len(chosen)} classes" in capsys.readouterr().out
    drawn = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        frequent_command(source, tmp_path / name, 5, 4, seed=seed)
        drawn.append((tmp_path / name).read_text())
    assert drawn[0] == drawn[1] != drawn[2]
    frequent_command(source, tmp_path / "valid.tsv", 5, 1, ASTERISK / "valid.tsv")
    paths = {u.path for u in read_manifest(ASTERISK / "valid.tsv")}
    assert set(segments_of(tmp_path / "valid.tsv")) <= paths


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("word", {}, "no class of 5 letters or more has more than 300 segments; the most frequent has"),
        ("voice", {}, "line 1: expected the header 'path<TAB>start<TAB>end<TAB>class'"),
        ("word", {"instances": 0}, "expected at least 1 each"),
        ("none", {}, "no such file; expected a class file of segments"),
    ],
)
def test_no_frequent_words(source, options, message, tmp_path):
    with pytest.raises(PtselError, match=message):
        frequent_command(ASTERISK / "classes" / f"{source}.tsv", tmp_path / "out.tsv", **options)
    assert not (tmp_path / "out.tsv").exists()
