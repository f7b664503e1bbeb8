"""TIMIT (Garofolo et al. 1993): read English with hand-made phone boundaries; SA sentences are left out as is usual."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import read_lines
from ptsel_fairseq.data.audio_folder import look_into
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, Span, check_none, wrong_root

HOLDS = "the folder TIMIT with TRAIN/DR1/... and TEST/DR1/... (upper or lower case)"

# Of the 168 test speakers: the core test set of the corpus's documentation, and the 50 of the development set that
# Halberstadt (1998) chose and later work uses.
CORE_TEST = (
    "mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 "
    "mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0"
)
DEVELOPMENT = (
    "faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 fedw0 mgjf0 mglb0 "
    "mrtk0 mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 mdvc0 mers0 fmah0 fdrw0 mrcs0 mrjm4 "
    "fcal1 mmwh0 fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 mteb0 mjfc0 mrjr0 fmml0 mrws1"
)

# The 39 classes of Lee and Hon (1989) from the 61 phones: those that keep their name, and what the others become.
KEPT = "aa ae ah aw ay b ch d dh dx eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z"
FOLDED = {
    **{
        "ao": "aa",
        "ax": "ah",
        "ax-h": "ah",
        "axr": "er",
        "hv": "hh",
        "ix": "ih",
        "el": "l",
        "em": "m",
        "en": "n",
    },
    **{"nx": "n", "eng": "ng", "zh": "sh", "ux": "uw"},
    **dict.fromkeys(("pcl", "tcl", "kcl", "bcl", "dcl", "gcl", "h#", "pau", "epi"), "sil"),
}
DELETED = "q"


def fold(phone: str) -> str | None:
    """One of 39 classes, or None for the glottal stop, which is left out."""
    if phone in KEPT.split():
        return phone
    return None if phone == DELETED else FOLDED[phone]


def read(root: Path) -> Reading:
    """Every SX and SI sentence with its text, phones and phone boundaries."""
    clips, lacking = [], []
    for (part, dialect, speaker, _), audio in recordings(root).items():
        path = audio.relative_to(root).as_posix()
        text, phones = _beside(audio, ".txt"), _beside(audio, ".phn")
        if text is None or phones is None:
            lacking.append(path)
            continue
        raw = read_phones(phones)
        folded = [fold(phone) for _, _, phone in raw]
        clips.append(
            Clip(
                path,
                splits_of(part, speaker),
                text_of(text),
                " ".join(phone for phone in folded if phone),
                {"speaker": speaker, "dialect": dialect},
                {
                    "phone": raw,
                    "phone39": [
                        (start, end, phone)
                        for (start, end, _), phone in zip(raw, folded, strict=True)
                        if phone
                    ],
                },
            )
        )
    check_none(lacking, root, "recordings have no .TXT or .PHN beside them", "unpack the corpus again")
    if not clips:
        raise wrong_root(root, HOLDS)
    return Reading(root, clips)


def recordings(root: Path) -> dict[tuple[str, str, str, str], Path]:
    """The SX and SI recordings by part, dialect, speaker and sentence, all in lower case.

    Some copies hold them as RIFF, ``SX1.WAV.wav``, beside the originals or instead; an original is preferred.
    """
    found: dict[tuple[str, str, str, str], Path] = {}
    for path in look_into(root, (".wav",)).files:
        audio, parts = root / path, path.lower().split("/")
        if len(parts) != 4:
            continue
        part, dialect, speaker, name = parts
        if part not in ("train", "test") or not dialect.startswith("dr") or name.startswith("sa"):
            continue
        key = part, dialect, speaker, name.split(".")[0]
        if key not in found or name.count(".") == 1:
            found[key] = audio
    return found


def splits_of(part: str, speaker: str) -> tuple[str, ...]:
    """train, dev, test (the core test set); the other test speakers are used by neither."""
    if part == "train":
        return ("train",)
    if speaker in CORE_TEST.split():
        return ("test",)
    return ("dev",) if speaker in DEVELOPMENT.split() else ()


def read_phones(file: Path) -> list[Span]:
    """Lines ``START END PHONE`` in samples, as seconds."""
    spans = []
    for number, line in enumerate(read_lines(file, "lines such as '0 2260 h#'"), start=1):
        fields = line.split()
        if len(fields) != 3 or not all(field.isdecimal() and len(field) < 12 for field in fields[:2]):
            raise PtselError(f"{file}, line {number}: expected such as '0 2260 h#', found {line!r}")
        start, end, phone = int(fields[0]) / SAMPLE_RATE, int(fields[1]) / SAMPLE_RATE, fields[2].lower()
        if phone not in KEPT.split() and phone not in FOLDED and phone != DELETED:
            raise PtselError(f"{file}, line {number}: {phone!r} is none of TIMIT's 61 phones")
        if start < end:
            spans.append((start, end, phone))
    return spans


def text_of(file: Path) -> str:
    """The sentence of a .TXT, after its two sample numbers, in capitals without punctuation."""
    expected = "a line such as '0 46797 She had your dark suit.'"
    text = " ".join(read_lines(file, expected))
    words = text.split()[2:]
    if not words or not all(number.isdecimal() for number in text.split()[:2]):
        raise PtselError(f"{file}: expected {expected}, found {text!r}")
    kept = "".join(
        char if char.isalpha() or char in "' " else " " for char in " ".join(words).replace("-", " ")
    )
    return " ".join(kept.upper().split())


def _beside(audio: Path, suffix: str) -> Path | None:
    sentence = audio.name.split(".")[0]
    files = (audio.with_name(sentence + suffix), audio.with_name(sentence + suffix.upper()))
    return next((file for file in files if file.is_file()), None)


CORPUS = Corpus(
    name="timit",
    title="TIMIT",
    holds=HOLDS,
    read=read,
    published={"train": (3696, None), "dev": (400, None), "test": (192, None)},
    source="the corpus's documentation; development set: Halberstadt 1998",
)
