"""Value files: numbers of utterances and of segments, strictly read."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from ptsel_fairseq.base.class_file import NoClassesError, read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.base.value_file import number_of, read_values


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "train.tsv").write_text(f"{tmp_path}\na.wav\t16000\nb.wav\t32000\nc.wav\t8000\n")
    return read_manifest(tmp_path / "train.tsv")


def written(tmp_path, text):
    (tmp_path / "values.tsv").write_text(text)
    return tmp_path / "values.tsv"


def test_values_of_utterances_in_the_order_of_the_manifest(tmp_path, manifest):
    file = written(tmp_path, "path\tvalue\nb.wav\t-1.5e1\nelsewhere.wav\t3\na.wav\t 0.25\n")
    found = read_values(file, manifest, 16000)
    np.testing.assert_array_equal(found.in_order_values(), [0.25, -15])
    assert [segment.utterance for segment in found.in_order()] == [0, 1]
    assert (found.other_paths, found.unlabelled) == (1, 1)
    assert len(found.checksum) == 64


def test_values_of_segments(tmp_path, manifest):
    file = written(
        tmp_path, "path\tstart\tend\tvalue\nb.wav\t0.5\t1\t4\nb.wav\t0\t0.5\t3\na.wav\t0.2\t0.9\t3\n"
    )
    found = read_values(file, manifest, 16000)
    np.testing.assert_array_equal(found.in_order_values(), [3, 4, 3])
    assert [(s.start, s.end) for s in found.in_order()] == [(0.2, 0.9), (0.5, 1), (0, 0.5)]
    assert found.unlabelled == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the header 'path<TAB>value'"),
        ("path\tvalue\n", "it has the header and no lines"),
        ("path\tclass\na.wav\tx\n", "line 1: .*the header of a class file; give that as --classes"),
        ("path\tstart\tend\tclass\na.wav\t0\t1\tx\n", "the header of a class file"),
        ("path,value\na.wav,1\n", "line 1: expected the header 'path<TAB>value'"),
        ("path\tvalue\na.wav\t1\nb.wav\n", r"line 3: expected 2 fields \(path, value\)"),
        ("path\tvalue\na.wav\t1\nb.wav\t\n", r"line 3: expected 2 fields"),
        ("path\tvalue\na.wav\t1\t2\n", "line 2: expected 2 fields"),
        (
            "path\tvalue\na.wav\tnan\n",
            "line 2: expected a finite number such as 3.25 as the value, found 'nan'",
        ),
        ("path\tvalue\na.wav\t1\nb.wav\t-inf\n", "line 3: expected a finite number .*found '-inf'"),
        ("path\tvalue\na.wav\t1e999\n", "found '1e999'"),
        ("path\tvalue\na.wav\t1,5\n", "found '1,5'"),
        ("path\tvalue\na.wav\t1_000\n", "found '1_000'"),
        ("path\tvalue\na.wav\thigh\n", "found 'high'"),
        ("path\tvalue\na.wav\t1\na.wav\t2\n", "line 3: the same utterance or segment as line 2"),
        ("path\tvalue\nx.wav\t1\nx.wav\t1\n", "line 3: the same utterance or segment as line 2"),
        ("path\tstart\tend\tvalue\na.wav\t0.1\t0.2\t1\na.wav\t0.10\t.2\t2\n", "line 3: the same utterance"),
        ("path\tstart\tend\tvalue\na.wav\t0.5\t0.2\t1\n", "line 2: expected 0 <= start < end"),
        ("path\tstart\tend\tvalue\na.wav\t0.5\t1.2\t1\n", "line 2: expected 0 <= start < end <= 1.000"),
    ],
)
def test_what_is_no_value_file(tmp_path, manifest, text, message):
    with pytest.raises(PtselError, match=message):
        read_values(written(tmp_path, text), manifest, 16000)


def test_no_line_about_the_manifest(tmp_path, manifest):
    with pytest.raises(NoClassesError, match="none of its 1 lines is about an utterance"):
        read_values(written(tmp_path, "path\tvalue\nfar.wav\t1\n"), manifest, 16000)


def test_a_values_file_is_no_class_file(tmp_path, manifest):
    with pytest.raises(PtselError, match=r"line 1: expected the header 'path<TAB>class'.*found '"):
        read_classes(written(tmp_path, "path\tvalue\na.wav\t1\n"), manifest, 16000)


def test_two_spellings_of_one_path_are_one_utterance(tmp_path):
    name = "é.wav"
    (tmp_path / "train.tsv").write_text(f"{tmp_path}\n{name}\t16000\n")
    lines = [f"{unicodedata.normalize(form, name)}\t{i}" for i, form in enumerate(("NFC", "NFD"))]
    file = written(tmp_path, "\n".join(["path\tvalue", *lines]) + "\n")
    with pytest.raises(PtselError, match="expected one value for each utterance, found '0' and '1'"):
        read_values(file, read_manifest(tmp_path / "train.tsv"), 16000)


@pytest.mark.parametrize("text", ["1", "-1", "+2.5", ".5", "5.", "1e-3", "1.5E+2"])
def test_numbers(text):
    assert number_of(text) == float(text)


@pytest.mark.parametrize("text", ["", ".", "e5", "0x10", "١", "1 2", "--1", "infinity", "1e400"])
def test_no_numbers(text):
    assert number_of(text) is None
