"""Asterisk core sounds 1.6.1: telephone prompts in five languages, one voice each, with texts."""

from __future__ import annotations

import gzip
from pathlib import Path

from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, wrong_root
from ptsel_fairseq.downstream.corpora.packages import Package
from ptsel_fairseq.downstream.corpora.splits import fold_of, split_of
from ptsel_fairseq.downstream.corpora.texts import normalise

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
    name="asterisk",
    title="Asterisk core sounds",
    holds=HOLDS,
    read=read,
    published={
        "en/all": (568, 0.425),
        "es/all": (527, 0.517),
        "fr/all": (561, 0.433),
        "it/all": (599, 0.397),
        "ru/all": (575, 0.413),
        "all": (2830, 2.185),
    },
    source="the packages, decoded: 131.1 min, of these 2,678 prompts (123 min) with a text",
    convert=True,
    licence=(
        "English, Spanish, French: CC BY-SA 3.0; Italian, Russian: CC BY 3.0. Credits: Allison Smith, June Wallack, "
        "Carlo Flora, Maxim Topal"
    ),
    packages=(
        Package(
            "apt",
            "asterisk-core-sounds-en-g722",
            "1.6.1-1",
            "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
        ),
        Package(
            "apt",
            "asterisk-core-sounds-en",
            "1.6.1-1",
            "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
        ),
        Package(
            "apt",
            "asterisk-core-sounds-es-g722",
            "1.6.1-1",
            "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8",
        ),
        Package(
            "apt",
            "asterisk-core-sounds-es",
            "1.6.1-1",
            "9afdab7f559f036649fb406e625899306ca1004df8ebe39c30bfbd5912d66f74",
        ),
        Package(
            "apt",
            "asterisk-core-sounds-fr-g722",
            "1.6.1-1",
            "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0",
        ),
        Package(
            "apt",
            "asterisk-core-sounds-fr",
            "1.6.1-1",
            "04c82c78c570c43a7136cbc5e2488d0c470b775468dff9fbce4a131b18cf1056",
        ),
        Package(
            "apt",
            "asterisk-core-sounds-it-g722",
            "1.6.1-1",
            "46b4cf7afc508a5fcfc051b7ea233251c0d195dd4ef83cc4b7facb4c6429b016",
        ),
        Package(
            "apt",
            "asterisk-core-sounds-it",
            "1.6.1-1",
            "3884d9457e12f21caa018c18f0d587df5d53ebea14b673d8453a134c5941ab3b",
        ),
        Package(
            "apt",
            "asterisk-core-sounds-ru-g722",
            "1.6.1-1",
            "673b4238a6b8269960f055d868c6a11083f7a0d00979167cb01554046b48ed9b",
        ),
        Package(
            "apt",
            "asterisk-core-sounds-ru",
            "1.6.1-1",
            "28a61616bb0cd3345a7ea532dec4df9f071e5d0fa9f8c1a563ea9669002f39ab",
        ),
    ),
)
