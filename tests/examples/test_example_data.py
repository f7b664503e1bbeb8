"""The bundled recordings in examples/asterisk: are files, manifests, texts and classes of one piece?"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

DATA = Path(__file__).parents[2] / "examples" / "asterisk"
SPLITS = ("train", "valid")
RATE = 16000
MINUTES = {
    "en_allison": 5.1,
    "es_allison": 1.5,
    "fr_june": 1.5,
    "it_carlo": 1.5,
    "ru_ivrvoice": 1.5,
}
ALPHABET = {
    "en": "A-Z",
    "es": "A-ZÁÉÍÓÚÜÑ",
    "fr": "A-ZÀÂÇÈÉÊËÎÏÔÙÛÜŒ",
    "it": "A-ZÀÈÉÌÒÙ",
    "ru": "А-ЯЁ",
}
VOWELS = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}
PHONES = VOWELS | set(re.findall(r"\w+", "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"))

Segments = dict[str, list[tuple[float, float, str]]]


def lines(name: str) -> list[str]:
    text = (DATA / name).read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert "\r" not in text
    return text.splitlines()


def manifest(name: str) -> list[tuple[str, int]]:
    rows = [line.split("\t") for line in lines(name)[1:]]
    return [(path, int(samples)) for path, samples in rows]


def table(name: str) -> list[list[str]]:
    return [line.split("\t") for line in lines(name)]


def segments(file: str) -> Segments:
    found: Segments = defaultdict(list)
    for path, start, end, name in table(file)[1:]:
        found[path].append((float(start), float(end), name))
    return found


@pytest.fixture(scope="module")
def stated() -> dict[str, int]:
    """Samples of every clip as the manifests state them."""
    return {path: samples for split in SPLITS for path, samples in manifest(f"{split}.tsv")}


@pytest.fixture(scope="module")
def waves(stated: dict[str, int]) -> dict[str, NDArray[np.float32]]:
    """Every clip, decoded."""
    decoded = {}
    for path in stated:
        wave, rate = sf.read(DATA / "audio" / path, dtype="float32")
        assert rate == RATE, path
        assert wave.ndim == 1, path
        decoded[path] = wave
    return decoded


def test_manifests_name_exactly_the_files_that_exist(stated: dict[str, int]) -> None:
    files = {file.relative_to(DATA / "audio").as_posix() for file in (DATA / "audio").rglob("*.*")}
    assert files == set(stated)
    assert all(re.fullmatch(r"(en|es|fr|it|ru)/[a-z0-9_-]+\.ogg", path) for path in stated)


@pytest.mark.parametrize("name", [f"{folder}{split}.tsv" for folder in ("", "english/") for split in SPLITS])
def test_root_is_relative_and_lines_are_sorted(name: str) -> None:
    root = lines(name)[0]
    assert not Path(root).is_absolute()
    assert ((DATA / name).parent / root).resolve() == (DATA / "audio").resolve()
    paths = [path for path, _ in manifest(name)]
    assert paths == sorted(set(paths))


def test_splits_share_no_clip_and_each_voice_is_in_both() -> None:
    train, valid = ([path for path, _ in manifest(f"{split}.tsv")] for split in SPLITS)
    assert not set(train) & set(valid)
    for language in ALPHABET:
        held_out = sum(path.startswith(f"{language}/") for path in valid)
        everything = held_out + sum(path.startswith(f"{language}/") for path in train)
        assert 0.08 <= held_out / everything <= 0.15, language


def test_audio_is_as_stated_and_neither_silent_nor_clipped(
    stated: dict[str, int], waves: dict[str, NDArray[np.float32]]
) -> None:
    for path, wave in waves.items():
        assert len(wave) == stated[path], path
        assert 0.99 <= len(wave) / RATE <= 6.01, path
        assert np.sqrt(np.mean(wave**2)) > 0.01, path
        assert np.abs(wave).max() < 0.99, path
        assert abs(wave.mean()) < 0.01, path


def test_audio_is_wideband(waves: dict[str, NDArray[np.float32]]) -> None:
    """Telephone bandwidth, or a codec that fell back to it, would leave nothing above 4 kHz."""
    spectra = defaultdict(list)
    for path, wave in waves.items():
        power = np.abs(np.fft.rfft(wave, 6 * RATE)) ** 2
        spectra[path[:2]].append(power)
    for language, powers in spectra.items():
        power = np.mean(powers, axis=0)
        band = power[5000 * 6 : 6800 * 6].mean() / power[300 * 6 : 3400 * 6].mean()
        assert 10 * np.log10(band) > -40, language


def test_no_two_clips_have_the_same_audio(waves: dict[str, NDArray[np.float32]]) -> None:
    hashes = Counter(hashlib.sha256(wave.tobytes()).hexdigest() for wave in waves.values())
    assert hashes.most_common(1)[0][1] == 1


def texts() -> Iterator[tuple[str, str]]:
    for split in SPLITS:
        yield from zip((path for path, _ in manifest(f"{split}.tsv")), lines(f"{split}.wrd"), strict=True)


def test_each_clip_has_a_clean_text() -> None:
    for path, text in texts():
        letters = ALPHABET[path[:2]]
        assert re.fullmatch(rf"[{letters}']+( [{letters}']+)*", text), (path, text)


def test_no_two_clips_of_a_voice_have_nearly_the_same_text() -> None:
    by_language = defaultdict(list)
    for path, text in texts():
        by_language[path[:2]].append(text)
    for found in by_language.values():
        for first, second in combinations(found, 2):
            match = difflib.SequenceMatcher(None, first, second, autojunk=False)
            if match.real_quick_ratio() > 0.9 and match.quick_ratio() > 0.9:
                assert match.ratio() <= 0.9, (first, second)


def test_texts_are_as_long_as_their_audio(stated: dict[str, int]) -> None:
    """Texts given to the wrong clips would not correlate with the durations."""
    for language in ALPHABET:
        pairs = [(len(text), stated[path]) for path, text in texts() if path.startswith(f"{language}/")]
        assert np.corrcoef(np.array(pairs, float).T)[0, 1] > 0.9, language


@pytest.mark.parametrize("split", SPLITS)
def test_english_is_the_english_part_of_the_split(split: str) -> None:
    rows = zip(manifest(f"{split}.tsv"), lines(f"{split}.wrd"), strict=True)
    expected = [(row, text) for row, text in rows if row[0].startswith("en/")]
    found = zip(manifest(f"english/{split}.tsv"), lines(f"english/{split}.wrd"), strict=True)
    assert list(found) == expected


@pytest.mark.parametrize("split", SPLITS)
def test_letters_rejoin_to_words(split: str) -> None:
    rejoined = [
        line.replace(" ", "").replace("|", " ").removesuffix(" ") for line in lines(f"english/{split}.ltr")
    ]
    assert rejoined == lines(f"english/{split}.wrd")
    assert all(re.fullmatch(r"([A-Z'|] )*\|", line) for line in lines(f"english/{split}.ltr"))


def test_dictionary_counts_the_training_letters_and_covers_valid() -> None:
    counts = Counter(symbol for line in lines("english/train.ltr") for symbol in line.split())
    entries = [line.split(" ") for line in lines("english/dict.ltr.txt")]
    assert {symbol: int(count) for symbol, count in entries} == counts
    assert [int(count) for _, count in entries] == sorted(counts.values(), reverse=True)
    assert set(counts) == set("ABCDEFGHIJKLMNOPQRSTUVWXYZ'|")
    assert {symbol for line in lines("english/valid.ltr") for symbol in line.split()} <= set(counts)


def test_valid_words_mostly_occur_in_train() -> None:
    train, valid = (" ".join(lines(f"english/{split}.wrd")).split() for split in SPLITS)
    assert sum(word in set(train) for word in valid) / len(valid) > 0.9


def test_every_clip_has_its_voice(stated: dict[str, int]) -> None:
    header, *rows = table("classes/voice.tsv")
    assert header == ["path", "class"]
    assert [path for path, _ in rows] == sorted(stated)
    assert {name for _, name in rows} == set(MINUTES)
    assert all(path[:2] == name[:2] for path, name in rows)


def test_minutes_of_each_voice(stated: dict[str, int]) -> None:
    found: Counter[str] = Counter()
    for path, name in table("classes/voice.tsv")[1:]:
        found[name] += stated[path]
    for name, minutes in MINUTES.items():
        assert found[name] / RATE / 60 == pytest.approx(minutes, abs=0.15), name


@pytest.mark.parametrize("name", ["classes/phone.tsv", "classes/word.tsv"])
def test_segments_lie_in_order_inside_their_clips(name: str, stated: dict[str, int]) -> None:
    assert table(name)[0] == ["path", "start", "end", "class"]
    found = segments(name)
    assert list(found) == sorted(path for path in stated if path.startswith("en/"))
    assert [row[0] for row in table(name)[1:]] == [path for path, rows in found.items() for _ in rows]
    for path, rows in found.items():
        assert rows[0][0] >= 0, path
        assert rows[-1][1] <= stated[path] / RATE, path
        assert all(start < end for start, end, _ in rows), path
        assert all(first[1] <= second[0] for first, second in pairwise(rows)), path


def test_word_segments_spell_the_texts() -> None:
    spoken = {
        path: " ".join(word for *_, word in rows) for path, rows in segments("classes/word.tsv").items()
    }
    assert spoken == {path: text for path, text in texts() if path.startswith("en/")}


def test_phone_segments_are_cmu_phones_that_fill_the_words() -> None:
    phones, words = segments("classes/phone.tsv"), segments("classes/word.tsv")
    assert {name for rows in phones.values() for *_, name in rows} <= PHONES
    for path, rows in words.items():
        for start, end, word in rows:
            inside = [(a, b) for a, b, _ in phones[path] if start <= a and b <= end]
            assert inside, (path, word)
            assert (inside[0][0], inside[-1][1]) == (start, end), (path, word)
            assert all(first[1] == second[0] for first, second in pairwise(inside)), (path, word)


def levels(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    """Level in dB of each 10 ms."""
    frames = wave[: len(wave) // 160 * 160].reshape(-1, 160)
    return 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-10)


def test_alignment_fits_the_sound(waves: dict[str, NDArray[np.float32]]) -> None:
    """What is loud lies in a segment, gaps are far quieter than vowels."""
    for path, rows in segments("classes/phone.tsv").items():
        level = levels(waves[path])
        name = np.full(len(level), "", dtype=object)
        for start, end, phone in rows:
            name[round(start * 100) : round(end * 100)] = phone
        vowel = np.median(level[np.isin(name, sorted(VOWELS))])
        assert np.mean(name[level > vowel - 15] != "") > 0.95, path
        if np.count_nonzero(name == "") > 3:
            assert np.median(level[name == ""]) < vowel - 20, path


def test_phones_sound_like_themselves(waves: dict[str, NDArray[np.float32]]) -> None:
    """Hissing phones cross zero often, and phones last as long as phones do."""
    crossings, durations = defaultdict(list), []
    for path, rows in segments("classes/phone.tsv").items():
        for start, end, phone in rows:
            part = waves[path][round(start * RATE) : round(end * RATE)]
            crossings[phone].append(np.mean(np.diff(np.signbit(part))))
            durations.append(end - start)
    vowels = np.median(np.concatenate([crossings[phone] for phone in sorted(VOWELS)]))
    assert all(np.median(crossings[phone]) > 3 * vowels for phone in ("S", "SH", "CH"))
    assert 0.05 < np.median(durations) < 0.12
    assert max(durations) < 0.6


def test_folder_is_small() -> None:
    sizes = {file: file.stat().st_size for file in DATA.rglob("*") if "__pycache__" not in file.parts}
    sizes = {file: size for file, size in sizes.items() if file.is_file()}
    assert sum(size for file, size in sizes.items() if file.suffix == ".ogg") <= 3.05e6
    assert sum(sizes.values()) <= 3.4e6


def test_readme_table_is_true(stated: dict[str, int]) -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for voice in MINUTES:
        row = re.search(rf"^\| {voice} \| (\d+) \| (\d+) \| ([\d.]+) \| (\d+) \|$", readme, re.MULTILINE)
        assert row, voice
        counts = [
            sum(path.startswith(f"{voice[:2]}/") for path, _ in manifest(f"{split}.tsv")) for split in SPLITS
        ]
        clips = [path for path in stated if path.startswith(f"{voice[:2]}/")]
        assert [int(row[1]), int(row[2])] == counts
        assert float(row[3]) == pytest.approx(sum(stated[path] for path in clips) / RATE / 60, abs=0.006)
        size = sum((DATA / "audio" / path).stat().st_size for path in clips)
        assert int(row[4]) == pytest.approx(size / 1000, abs=0.6)


def test_licence_covers_every_language() -> None:
    licence = (DATA / "LICENSE").read_text(encoding="utf-8")
    by_sa, by = licence.split("creativecommons.org/licenses/by-sa/3.0/", 1)
    assert all(f"audio/{language}" in by_sa for language in ("en", "es", "fr"))
    assert all(f"audio/{language}" in by for language in ("it", "ru"))
    assert "creativecommons.org/licenses/by/3.0/" in by
    names = (DATA / "CREDITS").read_text(encoding="utf-8")
    assert all(name in names for name in ("Allison Smith", "June Wallack", "Carlo Flora", "Maxim Topal"))
