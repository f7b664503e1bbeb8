"""TextGrids: Praat's own files, and those that the Montreal Forced Aligner writes, as class files."""

from __future__ import annotations

import pytest
from alignment_tools import ENGLISH, segments_of
from conftest import ASTERISK, run_command

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.alignment.aligner import NotAligned
from ptsel_fairseq.downstream.alignment.textgrid import TextGridAligner, read_textgrid
from ptsel_fairseq.downstream.speech.utterances import Spoken

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
