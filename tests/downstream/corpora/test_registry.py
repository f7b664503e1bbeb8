"""The registry of corpora: commands, help and docs name what it holds, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT, run_command

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream import Corpus, Reading, corpus_names, register_corpus
from ptsel_fairseq.downstream.corpora.fetch import fetch_command
from ptsel_fairseq.downstream.corpora.packages import Package
from ptsel_fairseq.downstream.corpora.prepare import prepare_command
from ptsel_fairseq.downstream.corpora.registry import CORPORA, fetched_names, prepared_names


@pytest.fixture
def own():
    """A corpus that is registered for one test."""
    name = "of-one-test"
    yield Corpus(name=name, title="Own", holds="anything", read=lambda root: Reading(Path(root), []))
    CORPORA.remove(name)


def test_the_docs_have_a_row_for_every_corpus():
    page = (ROOT / "docs" / "downstream.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.M))
    assert rows >= set(corpus_names())


@pytest.mark.parametrize(("command", "names"), [("prepare", prepared_names), ("fetch", fetched_names)])
def test_the_help_names_the_corpora_of_the_command(command, names):
    shown = re.sub(r"\s+", "", run_command("ptsel", command, "--help").stdout)
    assert ",".join(names()) in shown


def test_a_corpus_goes_by_the_command_that_can_get_it(tmp_path):
    with pytest.raises(PtselError, match="asterisk: run `ptsel fetch asterisk OUT`"):
        prepare_command("asterisk", tmp_path, tmp_path / "out")
    with pytest.raises(
        PtselError, match=r"timit: no public registry holds this corpus.*`ptsel prepare timit ROOT"
    ):
        fetch_command("timit", tmp_path / "out")
    done = run_command("ptsel", "prepare", "librispech", tmp_path, tmp_path / "out")
    assert done.returncode == 2
    assert "no corpus 'librispech'" in done.stderr
    assert "did you mean 'librispeech'?" in done.stderr


def test_one_of_a_name_and_a_licence_with_packages(own):
    register_corpus(own)
    assert own.name in corpus_names()
    assert CORPORA.origin(own.name) == "this process"
    with pytest.raises(PtselError, match="the name is taken by this process"):
        register_corpus(own)
    with pytest.raises(
        PtselError, match="corpus paid: expected a licence to show before its packages are down"
    ):
        Corpus("paid", "Paid", "files", own.read, packages=(Package("npm", "a", "1", "0" * 64),))


def test_a_file_that_registers_what_is_there_already_is_named(tmp_path):
    plugin = tmp_path / "again.py"
    plugin.write_text(
        "from ptsel_fairseq.downstream import Corpus, register_corpus\n"
        "register_corpus(Corpus('timit', 'T', 'files', None))\n"
    )
    done = run_command("ptsel", "prepare", "timit", tmp_path, tmp_path / "out", "--plugin", plugin)
    assert done.returncode == 2
    assert "again.py: corpus timit: the name is taken by ptsel_fairseq; choose another one" in done.stderr
