"""Hours of music in several parts with exact labels: the scores of music21's corpus, played by FluidSynth."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.corpora.corpus import Corpus, Reading, Rendering
from ptsel_fairseq.downstream.corpora.packages import Package

NAME = "rendered-scores"


def read(root: Path) -> Reading:
    """Not without settings: `make` does it."""
    raise PtselError(f"{root}: run `ptsel fetch {NAME} OUT`, which plays this corpus")


def make(source: Path, out: Path, rendering: Rendering, jobs: int | None) -> Reading:
    """See `music.corpus.make_corpus`."""
    from ptsel_fairseq.downstream.corpora.music.corpus import make_corpus

    return make_corpus(source, out, rendering, jobs)


def cost(rendering: Rendering, jobs: int | None) -> str:
    """See `music.corpus.cost`."""
    from ptsel_fairseq.downstream.corpora.music import corpus

    return corpus.cost(rendering, jobs)


CORPUS = Corpus(
    name=NAME,
    title="rendered scores",
    holds="the package music21",
    read=read,
    make=make,
    cost=cost,
    source="the corpus is as long as you ask",
    licence=(
        "music21's corpus: distributed with the permission of its encoders; public domain in the United States or "
        "licensed for use, some of it not for commercial use (its license.txt, and notes in the files). Essen's folk "
        "songs, whose status is unclear, are left out. FluidR3: MIT"
    ),
    packages=(
        Package(
            "wheel",
            "music21",
            "10.5.1",
            "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1",
            only="music21/corpus/",
        ),
    ),
)
