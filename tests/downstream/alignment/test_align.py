"""Alignment against what is known: Praat's own files, recordings put together, every path of small CTC problems."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict

import numpy as np
import pytest
import soundfile
from conftest import ASTERISK, run_command
from hypothesis import given, settings
from hypothesis import strategies as st

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.alignment.align import align_command
from ptsel_fairseq.downstream.alignment.aligner import NotAligned
from ptsel_fairseq.downstream.alignment.ctc import best_path, letters_of, stretches_of_path, words_of
from ptsel_fairseq.downstream.alignment.frequent import frequent_command
from ptsel_fairseq.downstream.alignment.textgrid import TextGridAligner, read_textgrid
from ptsel_fairseq.downstream.speech import utterances as spoken_module
from ptsel_fairseq.downstream.speech.utterances import Spoken, read_spoken

ENGLISH = ASTERISK / "english"
LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 2.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = ""
        intervals [2]:
            xmin = 0.25
            xmax = 2.5
            text = "say ""42"" = [7]: ! no comment"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 2.5
        points: size = 1
        points [1]:
            number = 1.5
            mark = "Zürich ŋ"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
2.5 ! the end
<exists>
2
"IntervalTier"
"words"
0 2.5 2
0 0.25 ""
0.25
2.5
"say ""42"" = [7]: ! no comment"
"TextTier"
"clicks"
0
2.5
1
1.5
"Zürich ŋ"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("text", [LONG, SHORT])
def test_both_formats_in_every_encoding_are_one(text, encoding, tmp_path):
    content = text.replace("\n", "\r\n").encode(encoding)
    if encoding == "utf-16-be":
        content = b"\xfe\xff" + content
    (tmp_path / "a.TextGrid").write_bytes(content)
    grid = read_textgrid(tmp_path / "a.TextGrid")
    assert (grid.start, grid.end) == (0, 2.5)
    words, clicks = grid.tiers
    assert (words.name, words.is_points) == ("words", False)
    assert [tuple(s[:3]) for s in words.stretches] == [
        (0, 0.25, ""),
        (0.25, 2.5, 'say "42" = [7]: ! no comment'),
    ]
    assert clicks.is_points
    assert [tuple(s[:3]) for s in clicks.stretches] == [(1.5, 1.5, "Zürich ŋ")]


@pytest.mark.parametrize("verb", ["Save as text file...", "Save as short text file..."])
def test_what_praat_writes_is_read(verb, tmp_path):
    parselmouth = pytest.importorskip("parselmouth")
    praat = parselmouth.praat.call
    grid = praat("Create TextGrid", 0.0, 1.75, "words phones clicks", "clicks")
    names = ["señor", 'a "b"', "日本"]
    for i, name in enumerate(names):
        praat(grid, "Insert boundary", 1, 0.4 * (i + 1))
        praat(grid, "Set interval text", 1, i + 1, name)
    praat(grid, "Insert point", 3, 1.125, "x")
    praat(grid, verb, str(tmp_path / "a.TextGrid"))
    words, phones, clicks = read_textgrid(tmp_path / "a.TextGrid").tiers
    assert [s.name for s in words.stretches] == [*names, ""]
    assert [s.end for s in words.stretches] == pytest.approx([0.4, 0.8, 1.2, 1.75])
    assert [s.name for s in phones.stretches] == [""]
    assert [tuple(s[:3]) for s in clicks.stretches] == [(1.125, 1.125, "x")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LONG[:-60], "found the end of the file; it is cut off"),
        (LONG.replace("2.5\n            text", "late\n            text"), "the end of interval 2 of the tier 'words'"),
        ("{}", "expected the file type"),
        (LONG.replace('"TextGrid"', '"Pitch 1"'), "expected a TextGrid in Praat's text format"),
        ("ooBinaryFile\x08TextGrid", "a binary TextGrid; save it"),
    ],
)  # fmt: skip
def test_a_textgrid_that_cannot_be_read_says_why(content, message, tmp_path):
    (tmp_path / "a.TextGrid").write_text(content)
    with pytest.raises(PtselError, match=message):
        read_textgrid(tmp_path / "a.TextGrid")


def segments_of(file):
    rows = defaultdict(list)
    for line in file.read_text().splitlines()[1:]:
        path, start, end, name = line.split("\t")
        rows[path].append((float(start), float(end), name))
    return rows


def write_textgrid(file, seconds, tiers):
    """As MFA writes it: every tier without gaps, empty intervals for silence."""
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "0",
        f"{seconds}",
        "<exists>",
        f"{len(tiers)}",
    ]
    for name, stretches in tiers.items():
        rows, position = [], 0.0
        for start, end, text in [*stretches, (seconds, seconds, "")]:
            if start > position:
                rows.append((position, start, ""))
            if end > start:
                rows.append((start, end, text))
            position = end
        lines += ['"IntervalTier"', f'"{name}"', "0", f"{seconds}", f"{len(rows)}"]
        lines += [f"{field}" for start, end, text in rows for field in (start, end, f'"{text}"')]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")  # fmt: skip


@pytest.fixture(scope="module")
def textgrids(tmp_path_factory):
    """The bundled alignment of the validation clips as TextGrids, half of them with the speaker in the tiers' names."""
    folder = tmp_path_factory.mktemp("textgrids")
    words, phones = (segments_of(ASTERISK / "classes" / f"{kind}.tsv") for kind in ("word", "phone"))
    for i, utterance in enumerate(read_manifest(ENGLISH / "valid.tsv")):
        speaker = "allison - " if i % 2 else ""
        tiers = {f"{speaker}words": words[utterance.path], f"{speaker}phones": phones[utterance.path]}
        file = (folder / utterance.path).with_suffix(".TextGrid")
        write_textgrid(file, round(utterance.samples / 16000, 4), tiers)
    return folder


def test_textgrids_come_back_as_the_class_files_they_were_made_of(textgrids, tmp_path):
    done = run_command(
        *("ptsel", "align", ENGLISH, "--splits", "valid", "--textgrids", textgrids, "--out", tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert "14 of 14 utterances aligned" in done.stdout
    manifest = read_manifest(ENGLISH / "valid.tsv")
    for kind in ("word", "phone"):
        own, bundled = (
            read_classes(file, manifest, 16000)
            for file in (tmp_path / f"{kind}.tsv", ASTERISK / "classes" / f"{kind}.tsv")
        )
        found, expected = (sorted((s.utterance, s.start, s.name) for s in c.segments) for c in (own, bundled))
        assert found == expected
    assert not (tmp_path / "confidence.txt").exists()


def test_textgrids_that_do_not_fit_are_named_and_counted(textgrids, tmp_path):
    import shutil

    shutil.copytree(textgrids, tmp_path / "grids")
    files = sorted((tmp_path / "grids").rglob("*.TextGrid"))
    files[0].unlink()
    files[1].write_text(files[1].read_text()[:200])
    shutil.copyfile(files[3], files[2])
    files[4].write_text(files[4].read_text().replace("words", "Wort").replace("phones", "Laut"))
    flat = tmp_path / "grids" / "elsewhere" / files[5].name  # the only one of its name
    flat.parent.mkdir()
    files[5].rename(flat)
    done = run_command(
        *(
            "ptsel",
            "align",
            ENGLISH,
            "--splits",
            "valid",
            "--textgrids",
            tmp_path / "grids",
            "--out",
            tmp_path,
        )
    )
    assert done.returncode == 0, done.stderr
    assert "10 of 14 utterances aligned" in done.stdout
    assert "4 not aligned (first: " in done.stdout
    header, *rows = (tmp_path / "failed.txt").read_text().splitlines()
    reasons = dict(row.split("\t") for row in rows)
    assert header == "path\treason"
    expected = [
        "no TextGrid",
        "it is cut off",
        "is it of another file?",
        "expected an interval tier 'words' or 'phones'",
    ]
    for file, reason in zip((files[0], files[1], files[2], files[4]), expected, strict=True):
        assert reason in reasons[f"en/{file.stem}.ogg"]


def test_a_label_outside_its_audio_and_stress(tmp_path):
    spoken = Spoken("en/x.flac", tmp_path / "x.flac", 16000, "x")
    write_textgrid(
        tmp_path / "en" / "x.TextGrid", 1.0, {"words": [(0.1, 0.9, "HE0")], "phones": [(0.1, 0.9, "AH0")]}
    )
    found = TextGridAligner.of_folder(tmp_path, without_stress=True).align(spoken)
    assert (found["word"][0].name, found["phone"][0].name) == ("HE0", "AH")
    text = (tmp_path / "en" / "x.TextGrid").read_text()
    (tmp_path / "en" / "x.TextGrid").write_text(text.replace("0.9\n", "1.9\n"))
    with pytest.raises(NotAligned, match=r"'HE0' of the tier 'words' lies from 0.100 to 1.900 s, outside"):
        TextGridAligner.of_folder(tmp_path).align(spoken)


FAINT = 1e-4


def speech_only(waveform):
    """Cut to the 10 ms that are louder than -35 dB of the peak."""
    frames = waveform[: len(waveform) // 160 * 160].reshape(-1, 160)
    loud = np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) > 10 ** (-35 / 20) * np.abs(waveform).max())
    return waveform[loud[0] * 160 : (loud[-1] + 1) * 160]


def test_pocketsphinx_finds_where_recordings_were_put_together(tmp_path):
    pytest.importorskip("pocketsphinx")
    from ptsel_fairseq.downstream.alignment.sphinx import SphinxAligner

    noise = np.random.default_rng(0)
    manifest = read_manifest(ENGLISH / "valid.tsv")
    texts = (ENGLISH / "valid.wrd").read_text().splitlines()
    errors = []
    for chosen in (range(i, i + 3) for i in (0, 3, 6, 9)):
        pieces, limits, position = [], [], 0
        for i in chosen:
            pause = noise.normal(0, FAINT, 4000).astype(np.float32)
            speech = speech_only(read_audio(manifest.audio_path(manifest.utterances[i]), 16000))
            limits.append(((position + 4000) / 16000, (position + 4000 + len(speech)) / 16000))
            position += 4000 + len(speech)
            pieces += [pause, speech]
        soundfile.write(tmp_path / "all.wav", np.concatenate(pieces), 16000, subtype="FLOAT")
        spoken = Spoken("all.wav", tmp_path / "all.wav", position, "all", " ".join(texts[i] for i in chosen))
        words = SphinxAligner().align(spoken)["word"]
        lengths = np.cumsum([0, *(len(texts[i].split()) for i in chosen)])
        for (start, end), first, last in zip(limits, lengths[:-1], lengths[1:], strict=True):
            errors += [words[first].start - start, words[last - 1].end - end]
    assert np.median(np.abs(errors)) < 0.03
    assert np.max(np.abs(errors)) < 0.15


@pytest.fixture
def few(tmp_path):
    """Five English clips as FLAC with their texts."""
    manifest = read_manifest(ENGLISH / "valid.tsv")
    texts = (ENGLISH / "valid.wrd").read_text().splitlines()
    folder = tmp_path / "data"
    folder.mkdir()
    lines = []
    for utterance in manifest.utterances[:5]:
        waveform = read_audio(manifest.audio_path(utterance), 16000)
        soundfile.write(folder / f"{utterance.index}.flac", waveform, 16000)
        lines.append(f"{utterance.index}.flac\t{utterance.samples}")
    (folder / "train.tsv").write_text("\n".join([str(folder), *lines]) + "\n")
    (folder / "train.wrd").write_text("\n".join(texts[:5]) + "\n")
    return folder


def test_words_that_fail_are_named_and_the_rest_is_aligned(few, tmp_path):
    pytest.importorskip("pocketsphinx")
    texts = (few / "train.wrd").read_text().splitlines()
    texts[0] += " ZAIEM"
    texts[1] = ""
    texts[3] = texts[3].lower()
    (few / "train.wrd").write_text("\n".join(texts) + "\n")
    (few / "2.flac").write_bytes(b"damaged")
    out = tmp_path / "out"
    done = run_command("ptsel", "align", few, "--splits", "train", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "2 of 5 utterances aligned" in done.stdout
    assert "words that --dictionary could add: ZAIEM (1)" in done.stdout
    reasons = dict(row.split("\t") for row in (out / "failed.txt").read_text().splitlines()[1:])
    assert reasons["0.flac"] == "not in the dictionary: ZAIEM"
    assert reasons["1.flac"] == "no words in its transcript"
    assert "cannot be decoded" in reasons["2.flac"]
    words = segments_of(out / "word.tsv")
    assert [name for _, _, name in words["3.flac"]] == texts[3].split()
    assert set(words) == set(segments_of(out / "phone.tsv")) == {"3.flac", "4.flac"}
    report = json.loads((out / "alignment.json").read_text())
    assert (report["utterances"], report["failed"]) == (5, 3)
    assert report["aligner"]["kind"] == "pocketsphinx"


def test_a_dictionary_adds_words_and_its_faults_are_named(few, tmp_path):
    pytest.importorskip("pocketsphinx")
    text = (few / "train.wrd").read_text()
    last = text.splitlines()[0].split()[-1]
    (few / "train.wrd").write_text(text.replace(last, "ZZYX"))
    from ptsel_fairseq.downstream.alignment.sphinx import pronunciations

    (tmp_path / "more.dict").write_text(f"zzyx {pronunciations(None)[last.lower()][0]}\n")
    align_command(few, tmp_path / "out", ["train"], dictionary=tmp_path / "more.dict")
    assert segments_of(tmp_path / "out" / "word.tsv")["0.flac"][-1][2] == "ZZYX"
    for line, message in (
        ("zzyx QQ", "line 1: expected a word and its phones"),
        ("zzyx", "line 1: expected"),
    ):
        (tmp_path / f"{len(line)}.dict").write_text(line + "\n")
        with pytest.raises(PtselError, match=message):
            align_command(few, tmp_path / "again", ["train"], dictionary=tmp_path / f"{len(line)}.dict")


def test_audio_that_was_missing_is_aligned_once_it_is_there(few, tmp_path):
    pytest.importorskip("pocketsphinx")
    align_command(few, tmp_path / "expected", ["train"])
    manifest = (few / "train.tsv").read_text()
    (few / "train.tsv").write_text(manifest.replace(str(few), "/nowhere", 1))
    with pytest.raises(PtselError, match=r"none of 5 .*0.flac: no such audio file: /nowhere/0.flac"):
        align_command(few, tmp_path / "out", ["train"])
    (few / "train.tsv").write_text(manifest)
    align_command(few, tmp_path / "out", ["train"])
    for file in ("word.tsv", "phone.tsv", "failed.txt", "confidence.txt"):
        assert (tmp_path / "out" / file).read_text() == (tmp_path / "expected" / file).read_text()


def test_an_utterance_is_aligned_alike_whatever_came_before(few):
    pytest.importorskip("pocketsphinx")
    from ptsel_fairseq.downstream.alignment.sphinx import SphinxAligner

    spoken = read_spoken(few, "train", ".wrd")
    forth, back = ({s.path: SphinxAligner().align(s) for s in order} for order in (spoken, spoken[::-1]))
    assert forth == back


def test_an_interruption_loses_one_block_and_confidence_is_a_limit(few, tmp_path, monkeypatch):
    pytest.importorskip("pocketsphinx")
    monkeypatch.setattr(spoken_module, "BLOCK", 2)
    from ptsel_fairseq.downstream.alignment import sphinx

    real, seen = sphinx.read_whole_audio, []

    def counting(file, *arguments):
        seen.append(file.name)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return real(file, *arguments)

    monkeypatch.setattr(sphinx, "read_whole_audio", counting)
    with pytest.raises(KeyboardInterrupt):
        align_command(few, tmp_path, ["train"])
    assert not (tmp_path / "word.tsv").exists()
    align_command(few, tmp_path, ["train"])
    assert len(seen) == 4 + 3
    rows = [line.split("\t") for line in (tmp_path / "confidence.txt").read_text().splitlines()[1:]]
    words = [float(row[5]) for row in rows if row[3] == "word"]
    level = sum(sorted(words)[len(words) // 2 - 1 :][:2]) / 2
    align_command(few, tmp_path, ["train"], min_confidence=level)
    assert len(seen) == 7  # nothing is aligned again
    kept = sum(map(len, segments_of(tmp_path / "word.tsv").values()))
    assert kept == sum(confidence >= level for confidence in words) < len(words)
    with pytest.raises(PtselError, match=r"no word has as much; the highest is 0\."):
        align_command(few, tmp_path, ["train"], min_confidence=0.999)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda few: (few / "train.wrd").unlink(), "train.wrd: no such file; expected the text of each utterance"),
        (lambda few: (few / "train.wrd").write_text("ONE\n"), "expected 5 lines, one for each utter.* found 1"),
        (lambda few: (few / "train.wrd").write_text("QQQ\n" * 5), r"none of 5 utterances could be aligned \(first: 0"),
    ],
)  # fmt: skip
def test_transcripts_that_cannot_be_used(change, message, few, tmp_path):
    pytest.importorskip("pocketsphinx")
    change(few)
    with pytest.raises(PtselError, match=message):
        align_command(few, tmp_path / "out", ["train"])
    assert not (tmp_path / "out" / "word.tsv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"textgrids": "x", "model": "y"}, "--textgrids, --model: expected one"),
        ({"textgrids": "none"}, "none: expected a folder of .TextGrid files, found none"),
        ({"without_stress": True}, "for --textgrids only"),
        ({"textgrids": "x", "dictionary": "y"}, "only pocketsphinx has one"),
        ({"min_confidence": 1.5}, "expected 0 to 1"),
    ],
)
def test_options_that_contradict(options, message, few, tmp_path):
    pytest.importorskip("pocketsphinx")
    with pytest.raises(PtselError, match=message):
        align_command(few, tmp_path, ["train"], **options)


def collapsed(path):
    return [symbol for symbol, _ in itertools.groupby(path) if symbol != 0]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6), st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_the_best_path_is_the_best_of_all_paths(frames, targets, seed):
    scores = np.random.default_rng(seed).normal(size=(frames, 4))
    log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    fitting = [p for p in itertools.product(range(4), repeat=frames) if collapsed(p) == targets]
    found = best_path(log_probs, np.array(targets))
    if not fitting:
        assert found is None
        return
    best = max(sum(log_probs[t, s] for t, s in enumerate(p)) for p in fitting)
    symbols = [0 if place < 0 else targets[place] for place in found]
    assert collapsed(symbols) == targets
    assert sum(log_probs[t, s] for t, s in enumerate(symbols)) == pytest.approx(best)


def test_stretches_of_a_path_made_by_hand():
    names = ["T", "O", "|", "I", "|"]
    path = np.array([-1, 0, -1, -1, 1, 1, 2, -1, 3, 4, -1])
    log_probs = np.log(np.full((11, 6), 0.5))
    log_probs[1, 1], log_probs[4, 2] = np.log(0.8), np.log(0.2)
    pieces = stretches_of_path(path, log_probs, np.array([1, 2, 3, 4, 5]), FrameGrid())
    times = [(round((p.start - 0.0025) / 0.02, 6), round((p.end - 0.0025) / 0.02, 6)) for p in pieces]
    assert times == [(1, 3), (3, 6), (6, 7.5), (7.5, 9), (9, 10)]
    words = words_of(pieces, names)
    assert [(w.name, w.start, w.end) for w in words] == [
        ("TO", pieces[0].start, pieces[1].end),
        ("I", pieces[3].start, pieces[3].end),
    ]
    assert pieces[0].confidence == pytest.approx(0.8)
    assert pieces[1].confidence == pytest.approx(0.1**0.5)
    assert words[0].confidence == pytest.approx((0.8 * 0.1**0.5) ** 0.5)
    assert [p.name for p in letters_of(pieces, names)] == ["T", "O", "I"]


def test_frequent_words_are_the_papers_choice(tmp_path, capsys):
    words = segments_of(ASTERISK / "classes" / "word.tsv")
    counts = Counter(name for rows in words.values() for _, _, name in rows)
    chosen = sorted(name for name, count in counts.items() if len(name) >= 5 and count > 4)
    assert len(chosen) > 3
    source = ASTERISK / "classes" / "word.tsv"
    frequent_command(source, tmp_path / "first.tsv", 5, 4)
    lines = (tmp_path / "first.tsv").read_text().splitlines()
    of_name = {name: [line for line in lines[1:] if line.endswith(f"\t{name}")] for name in chosen}
    every = source.read_text().splitlines()
    for name, found in of_name.items():
        assert found == [line for line in every if line.endswith(f"\t{name}")][:4]
    assert len(lines) == 1 + 4 * len(chosen)
    assert f"4 segments of each of {len(chosen)} classes" in capsys.readouterr().out
    drawn = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        frequent_command(source, tmp_path / name, 5, 4, seed=seed)
        drawn.append((tmp_path / name).read_text())
    assert drawn[0] == drawn[1] != drawn[2]
    frequent_command(source, tmp_path / "valid.tsv", 5, 1, ASTERISK / "valid.tsv")
    paths = {u.path for u in read_manifest(ASTERISK / "valid.tsv")}
    assert set(segments_of(tmp_path / "valid.tsv")) <= paths


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("word", {}, "no class of 5 letters or more has more than 300 segments; the most frequent has"),
        ("voice", {}, "line 1: expected the header 'path<TAB>start<TAB>end<TAB>class'"),
        ("word", {"instances": 0}, "expected at least 1 each"),
        ("none", {}, "no such file; expected a class file of segments"),
    ],
)
def test_no_frequent_words(source, options, message, tmp_path):
    with pytest.raises(PtselError, match=message):
        frequent_command(ASTERISK / "classes" / f"{source}.tsv", tmp_path / "out.tsv", **options)
    assert not (tmp_path / "out.tsv").exists()
