"""Pools stand for their labels wherever labels are named."""

from __future__ import annotations

import pytest
from conftest import ASTERISK, ROOT, run_command

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.labels.pools import POOLS, expand
from ptsel_fairseq.labels.registry import known
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.tracks import names, resolve


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_names_labels_that_there_are(pool):
    assert [label.name for label in resolve([pool])] == sorted(POOLS[pool])
    assert len(set(POOLS[pool])) == len(POOLS[pool])


def test_no_pool_has_the_name_of_a_label():
    assert not {"all", *POOLS} & set(known())


def test_pools_and_labels_together():
    assert expand(["zaiem_speech", "f0", "mfcc"], ()) == sorted([*POOLS["zaiem_speech"], "mfcc"])
    assert [label.name for label in resolve(["all", "f0"])] == names()
    assert expand(["all", "other"], ["b", "a"]) == ["a", "b", "other"]


def test_an_unknown_word_names_labels_and_pools():
    with pytest.raises(PtselError, match=r"no label 'zaiem'; .*zcr.*zaiem_speech"):
        resolve(["zaiem"])


def test_the_papers_sizes():
    assert len(POOLS["zaiem_speech"]) == 7
    assert len(POOLS["zaiem_interspeech"]) == 10


def test_extract_and_score_take_pools(data_dir, tmp_path):
    """`all` is every label for `extract`, and every label of the store for `score`."""
    done = run_command("ptsel", "extract", data_dir, "--splits", "valid", "--labels", "zaiem_speech", "loudness",
                       "--store", tmp_path / "store")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(LabelStore(tmp_path / "store", "valid").labels) == {*POOLS["zaiem_speech"], "loudness"}
    done = run_command("ptsel", "score", data_dir, "--split", "valid", "--store", tmp_path / "store", "--labels",
                       "zaiem_speech", "--classes", ASTERISK / "classes" / "phone.tsv", "--permutations", 0,
                       "--bootstrap", 0, "--out", tmp_path / "ci")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(label in done.stdout for label in POOLS["zaiem_speech"])
    assert "loudness" not in done.stdout


def test_the_documentation_has_every_label_as_it_is():
    """Name, dimension and unit of each, and whether it can be undefined."""
    table = {}
    for line in (ROOT / "docs" / "labels.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 8 and cells[0].startswith("`"):
            table[cells[0].strip("`")] = cells
    assert sorted(table) == names()
    for name, cells in table.items():
        label = resolve([name])[0]
        assert (int(cells[1]), cells[2]) == (label.dim, label.unit), name
        assert (cells[6] == "never") == (label.undefined is None), name
