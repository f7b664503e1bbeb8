"""Fish Fillets NG 1.0.1: an acted puzzle game in Czech and Dutch, with texts and roles."""

from __future__ import annotations

import re
from pathlib import Path

from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, wrong_root
from ptsel_fairseq.downstream.corpora.packages import Package
from ptsel_fairseq.downstream.corpora.splits import fold_of, sentence_of, split_of
from ptsel_fairseq.downstream.corpora.texts import normalise

LANGUAGES = ("cs", "nl")
HOLDS = "the Debian packages fillets-ng-data, fillets-ng-data-cs and fillets-ng-data-nl 1.0.1-1.1"
# dialogId("ID", "font_ROLE", "English") then dialogStr("text"), with Lua's escapes in the strings
STRING = r'"((?:[^"\\]|\\.)*)"'
DIALOGUE = re.compile(rf"dialogId\(\s*{STRING}\s*,\s*{STRING}\s*,\s*{STRING}\s*\)\s*dialogStr\(\s*{STRING}")
COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
DAMAGED = ("elevator1/nl/zd1-m-cesta.ogg", "gems/nl/zav-v-sto.ogg")  # hold no samples


def read(root: Path) -> Reading:
    """A task for each language, ``LANGUAGE/<split>``; clips without a text are in ``LANGUAGE/other``."""
    clips = []
    for sounds in sorted(root.rglob("fillets-ng/sound")):
        for folder in sorted(entry for name in LANGUAGES for entry in sounds.rglob(name)):
            level, language = folder.parent.relative_to(sounds), folder.name
            found = dialogues(root, level, language)
            clips += [
                clip_of(root, file, language, level.as_posix(), found.get(file.stem, ("", "")))
                for file in sorted(folder.glob("*.ogg"))
                if file.relative_to(sounds).as_posix() not in DAMAGED
            ]
    if not clips:
        raise wrong_root(root, HOLDS)
    return Reading(root, clips)


def dialogues(root: Path, level: Path, language: str) -> dict[str, tuple[str, str]]:
    """Role and text, as the game shows it, by clip of a level; texts of jokes that levels share are in one folder."""
    folder = level.parts[0]  # of "share/border" the texts are in "share"
    found = {}
    for file in sorted(root.rglob(f"fillets-ng/script/{folder}/*dialogs_{language}.lua")):
        for match in DIALOGUE.finditer(COMMENT.sub("", file.read_text(encoding="utf-8"))):
            name, font, _, text = match.groups()
            found[name] = (font.removeprefix("font_"), re.sub(r"\\(.)", r"\1", text))
    return found


def clip_of(root: Path, file: Path, language: str, level: str, dialogue: tuple[str, str]) -> Clip:
    role, shown = dialogue
    text, sentence = normalise(shown), sentence_of(shown)
    key = f"{language} {level} {file.stem}"
    classes = {"fold": fold_of(key)} | ({f"role_{language}": role} if role else {})
    if sentence:
        classes[f"sentence_{language}"] = sentence
    split = split_of(key) if text else "other"
    return Clip(file.relative_to(root).as_posix(), (f"{language}/{split}",), text or None, classes=classes)


CORPUS = Corpus(
    name="fish-fillets",
    title="Fish Fillets NG",
    holds=HOLDS,
    read=read,
    published={"cs/all": (1882, None), "nl/all": (1614, None), "all": (3496, None)},
    source="the packages: Czech 1,825 clips with a text, Dutch 1,613 (95.8 min)",
    convert=True,
    licence="GPL-2",
    packages=(
        Package(
            "apt",
            "fillets-ng-data-cs",
            "1.0.1-1.1",
            "3ecef99b9456f1c80c9625c6f2418642b52d58e7167a46bad7a412db17991b14",
        ),
        Package(
            "apt",
            "fillets-ng-data-nl",
            "1.0.1-1.1",
            "afb4443fda9ab507dee578b75be857d121718a1cd6017a474f30e0eb13dc9d10",
        ),
        Package(
            "apt",
            "fillets-ng-data",
            "1.0.1-1.1",
            "25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84",
        ),
    ),
)
