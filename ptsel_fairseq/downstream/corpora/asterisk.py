"""Asterisk core sounds 1.6.1: telephone prompts in five languages, one voice each, with texts."""

from __future__ import annotations

import gzip
from pathlib import Path

from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, wrong_root
from ptsel_fairseq.downstream.corpora.splits import fold_of, normalise, split_of

VOICES = {
    "en": "en_US_f_Allison",
    "es": "es_MX_f_Allison",
    "fr": "fr_CA_f_June",
    "it": "it_IT_m_Carlo",
    "ru": "ru_RU_f_IvrvoiceRU",
}
EMPTY = ("ru_RU_f_IvrvoiceRU/is.g722",)  # a file without content
HOLDS = "the Debian packages asterisk-core-sounds-LANGUAGE and asterisk-core-sounds-LANGUAGE-g722 1.6.1-1"


def read(root: Path) -> Reading:
    """A task for each language, ``LANGUAGE/<split>``; prompts without a text are in ``LANGUAGE/other``."""
    clips = []
    for language, voice in VOICES.items():
        texts = texts_of(root, language)
        for folder in sorted(root.rglob(f"sounds/{voice}")):
            for file in sorted(folder.rglob("*.g722")):
                if file.relative_to(folder.parent).as_posix() in EMPTY:
                    continue
                name = file.relative_to(folder).with_suffix("").as_posix()
                text = texts.get(name)
                split = split_of(f"{language} {name}") if text else "other"
                clips.append(
                    Clip(
                        file.relative_to(root).as_posix(),
                        (f"{language}/{split}",),
                        text,
                        classes={"voice": voice, "fold": fold_of(f"{language} {name}")},
                    )
                )
    if not clips:
        raise wrong_root(root, HOLDS)
    return Reading(root, clips)


def texts_of(root: Path, language: str) -> dict[str, str]:
    """Text by name of prompt; what is no speech (in square brackets, or silence) is left out."""
    texts = {}
    for file in sorted(root.rglob(f"core-sounds-{language}.txt.gz")):
        for line in gzip.decompress(file.read_bytes()).decode("utf-8", "replace").splitlines():
            name, colon, text = line.partition(":")
            if colon and not line.startswith((";", "silence/")) and not text.strip().startswith("["):
                normal = normalise(text)
                if normal:
                    texts[name.strip()] = normal
    return texts


CORPUS = Corpus(
    "Asterisk core sounds",
    HOLDS,
    read,
    {
        "en/all": (568, 0.425),
        "es/all": (527, 0.517),
        "fr/all": (561, 0.433),
        "it/all": (599, 0.397),
        "ru/all": (575, 0.413),
        "all": (2830, 2.185),
    },
    "the packages, decoded: 131.1 min, of these 2,678 prompts (123 min) with a text",
    convert=True,
)
