"""`ptsel classes`: class files from folders, tables and names."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from conftest import run_command
from mixed_audio import speech

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.data.classes import classes_command, folder_at
from ptsel_fairseq.data.convert import convert_command

PATHS = ("Zoë/happy/spk1_happy_01.flac", "Zoë/sad/spk1_sad_02.flac", "李/happy/spk2_happy_03.flac",
         "李/sad/spk2_sad_04.flac", "loose.flac")  # fmt: skip


@pytest.fixture
def data(tmp_path):
    """Manifests of five paths; the audio is not read."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.tsv").write_text("/audio\n" + "".join(f"{path}\t16000\n" for path in PATHS[:3]))
    (folder / "valid.tsv").write_text("/audio\n" + "".join(f"{path}\t16000\n" for path in PATHS[3:]))
    return folder


def classes(data, **options):
    out = data.parent / "classes.tsv"
    classes_command(data, out, **options)
    header, *lines = out.read_text().splitlines()
    return {tuple(line.split("\t")[:-1]): line.split("\t")[-1] for line in lines}, header


def test_of_folders_at_a_level(data, capsys):
    found, header = classes(data, from_folders=1)
    assert header == "path\tclass"
    assert found == {(path,): path.split("/")[0] for path in PATHS[:4]}
    shown = capsys.readouterr().out
    assert "4 utterances in 2 classes" in shown
    assert "1 utterances without a class: no folder at level 1 (first: loose.flac)" in shown
    assert set(classes(data, from_folders=2)[0].values()) == {"happy", "sad"}
    assert classes(data, from_folders=-1)[0] == classes(data, from_folders=2)[0]
    read = read_classes(data.parent / "classes.tsv", read_manifest(data / "train.tsv"), 16000)
    assert read.names() == ["happy", "sad"]


def test_levels():
    assert [folder_at("a/b/c.flac", level) for level in (1, 2, 3, -1, -2, -3)] == [
        "a",
        "b",
        None,
        "b",
        "a",
        None,
    ]
    with pytest.raises(PtselError, match="found 0"):
        folder_at("a/b.flac", 0)


@pytest.mark.parametrize("pattern", ["*_{class}_*", r"spk\d_(?P<class>[a-z]+)_\d+", "*/*/spk*_{class}_*"])
def test_of_names(data, pattern):
    found, _ = classes(data, from_names=pattern)
    assert found == {(path,): path.split("_")[1] for path in PATHS[:4]}


@pytest.mark.parametrize(
    "text",
    [
        "file,speaker\n" + "".join(f'"{path}","{path.split("/")[0]}"\n' for path in PATHS[:4]),
        ",path,speaker,label\n" + "".join(f"{i},{p},x,{p.split('/')[0]}\n" for i, p in enumerate(PATHS[:4])),
        "\ufeffpath;label\r\n" + "".join(f"{path};{path.split('/')[0]}\r\n" for path in PATHS[:4]),
        "filename\tclass\n" + "".join(f"{p.split('/')[-1]}\t{p.split('/')[0]}\n" for p in PATHS[:4]),
        "wav\tclass\n" + "".join(f"{p.replace('.flac', '.WAV')}\t{p.split('/')[0]}\n" for p in PATHS[:4]),
    ],
    ids=["quoted", "pandas", "semicolons of Windows", "names only", "another suffix"],
)
def test_of_tables(data, text):
    (data / "metadata.csv").write_text(text, encoding="utf-8")
    found, _ = classes(data, from_table=data / "metadata.csv")
    assert found == {(path,): path.split("/")[0] for path in PATHS[:4]}


def test_names_with_the_delimiter_in_them_and_classes_of_two_lines(data):
    (data / "t.csv").write_text(f'path,class\n{PATHS[0]},"Brown, Zoë"\n{PATHS[1]},"two\nlines"\n')
    assert set(classes(data, from_table=data / "t.csv")[0].values()) == {"Brown, Zoë", "two lines"}


def test_a_contradiction_is_refused_and_a_repetition_is_not(data):
    table = data / "t.csv"
    table.write_text(f"path,class\n{PATHS[0]},a\n{PATHS[0]},a\n{PATHS[1]},b\n")
    assert len(classes(data, from_table=table)[0]) == 2
    table.write_text(f"path,class\n{PATHS[0]},a\n{PATHS[0]},b\n")
    with pytest.raises(PtselError, match=r"1 contradictions .*'a' and 'b'"):
        classes(data, from_table=table)


def test_a_name_that_two_utterances_have_is_not_guessed(data, capsys):
    (data / "train.tsv").write_text("/audio\na/x.flac\t16000\nb/x.flac\t16000\nc/y.flac\t16000\n")
    (data / "t.csv").write_text("path,class\nx.flac,one\ny.flac,two\n")
    assert classes(data, from_table=data / "t.csv")[0] == {("c/y.flac",): "two"}
    assert (
        "1 lines of the table that name no utterance, or several (first: line 2: x.flac)"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b,c\n1,2,3\n", {}, "expected one column of path, file"),
        ("path,b,c\n1,2,3\n", {}, "expected one column of class, label"),
        ("path,class\nx\n", {}, "line 2: expected 2 fields"),
        ("path,class\nx,\n", {}, "no line has a class"),
        (
            "path,class\nx,a\n",
            {"class_column": "speaker"},
            "no column 'speaker'; expected one of path, class",
        ),
        (
            "path,class,s,e\nx,a,1,0.5\n",
            {"start_column": "s", "end_column": "e"},
            "line 2: expected 0 <= start < end",
        ),
        ("path,class,s,e\nx,a,one,2\n", {"start_column": "s", "end_column": "e"}, "expected seconds"),
        ("path,class\nnowhere.wav,a\n", {}, "no utterance has a class"),
        ("", {}, "found nothing"),
    ],
)
def test_tables_that_cannot_be_used(data, text, options, message):
    (data / "t.csv").write_text(text)
    with pytest.raises(PtselError, match=message):
        classes_command(data, data / "out.tsv", from_table=data / "t.csv", **options)
    assert not (data / "out.tsv").exists()


@pytest.mark.parametrize("options", [{}, {"from_folders": 1, "from_names": "{class}"}, {"from_names": "*_*"}])
def test_unclear_wishes(data, options):
    with pytest.raises(PtselError, match="expected"):
        classes_command(data, data / "out.tsv", **options)


def test_small_classes_are_said_or_left_out(data, capsys):
    (data / "t.csv").write_text(f"path,class\n{PATHS[0]},a\n{PATHS[1]},a\n{PATHS[2]},b\n")
    classes(data, from_table=data / "t.csv")
    assert "warning: 1 classes have one member" in capsys.readouterr().out
    assert set(classes(data, from_table=data / "t.csv", min_size=2)[0].values()) == {"a"}
    assert "1 classes of fewer than 2 left out: b (1)" in capsys.readouterr().out


def test_segments_of_a_recording_that_was_cut_move_to_its_pieces(tmp_path, capsys):
    """Words of a table in the recording's seconds lie on the same samples of the pieces."""
    pause = np.zeros(8000, np.float32)
    words = [speech(i, 16000, 1.0) for i in range(8)]
    waveform = np.concatenate([part for word in words for part in (word, pause)])
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "talk.wav", waveform, 16000, subtype="PCM_16")
    convert_command(
        tmp_path / "in", tmp_path / "data", split_long=4, valid_percent=0, resampler="soxr", jobs=1
    )
    times = [(1.5 * i, 1.5 * i + 1.0) for i in range(8)]
    rows = "".join(f"talk.wav,{start},{end},word{i}\n" for i, (start, end) in enumerate(times))
    (tmp_path / "words.csv").write_text(f"source,start,end,class\n{rows}talk.wav,0,11.9,all\n")
    done = run_command("ptsel", "classes", tmp_path / "data", "--from-table", tmp_path / "words.csv", "--start-column",
                       "start", "--end-column", "end", "--out", tmp_path / "words.tsv")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 segments that lie across a cut or beyond their recording" in done.stdout
    lines = [line.split("\t") for line in (tmp_path / "words.tsv").read_text().splitlines()[1:]]
    assert len(lines) == 8
    for path, start, end, name in lines:
        piece, _ = soundfile.read(tmp_path / "data" / "audio" / path)
        cut = piece[round(float(start) * 16000) : round(float(end) * 16000)]
        np.testing.assert_allclose(cut, words[int(name[4:])], atol=1 / 16384)
