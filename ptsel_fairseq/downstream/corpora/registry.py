"""Every corpus by the name that `ptsel prepare` and `ptsel fetch` take.

Each module of `ptsel_fairseq.downstream.corpora.catalogue` is a corpus. `register_corpus` adds another one, in a
file given as ``--plugin FILE.py`` or in a module that an installed package names as an entry point of the group
``ptsel_fairseq.corpora``.
"""

from __future__ import annotations

from collections.abc import Iterable

from ptsel_fairseq.base.extensions import Registry, attributes_of_modules
from ptsel_fairseq.downstream.corpora.corpus import Corpus


def _catalogue() -> Iterable[Corpus]:
    return attributes_of_modules("ptsel_fairseq.downstream.corpora.catalogue", "CORPUS")  # type: ignore[return-value]


CORPORA: Registry[Corpus] = Registry("corpus", "corpora", "ptsel_fairseq.corpora", _catalogue)


def register_corpus(corpus: Corpus) -> Corpus:
    """Make a corpus known by its name to `ptsel prepare` or, with packages, `ptsel fetch`; returns it.

    Raises:
        PtselError: a name that cannot be used or is taken.
    """
    return CORPORA.register(corpus)


def corpus_names() -> list[str]:
    """All corpora, those of installed packages and plugins among them, sorted."""
    return sorted(CORPORA.names())


def prepared_names() -> list[str]:
    """The corpora that one unpacks oneself, for `ptsel prepare`."""
    return [corpus.name for corpus in CORPORA.all() if not corpus.packages]


def fetched_names() -> list[str]:
    """The corpora that public registries hold, for `ptsel fetch`."""
    return [corpus.name for corpus in CORPORA.all() if corpus.packages]
