"""Every corpus that `ptsel prepare` knows, by the name it takes."""

from __future__ import annotations

from ptsel_fairseq.downstream.corpora import (
    audioset,
    common_voice,
    iemocap,
    librispeech,
    medley_solos,
    openmic,
    timit,
    voxceleb1,
)
from ptsel_fairseq.downstream.corpora.corpus import Corpus

CORPORA: dict[str, Corpus] = {
    "librispeech": librispeech.CORPUS,
    "timit": timit.CORPUS,
    "voxceleb1": voxceleb1.CORPUS,
    "iemocap": iemocap.CORPUS,
    "common-voice": common_voice.CORPUS,
    "medley-solos-db": medley_solos.CORPUS,
    "openmic-2018": openmic.CORPUS,
    "audioset": audioset.CORPUS,
}
