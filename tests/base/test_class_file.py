"""Class files: one parser for whoever reads them, one form for whoever writes them, and the lists of messages."""

from __future__ import annotations

import math

import pytest
from conftest import ASTERISK as DATA
from conftest import write_manifest

from ptsel_fairseq.base.class_file import (
    NoClassesError,
    is_class_header,
    read_classes,
    read_rows,
    segment_line,
    utterance_line,
    write_class_file,
)
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.base.messages import examples, shortened
from ptsel_fairseq.base.provenance import NUMERICS, checksums, versions
from ptsel_fairseq.base.version import __version__
from ptsel_fairseq.downstream.metrics.answer_files import read_class_table


@pytest.fixture
def manifest(tmp_path):
    return read_manifest(write_manifest(DATA / "valid.tsv", tmp_path / "valid.tsv", every=6))


def test_what_is_written_is_read(manifest, tmp_path):
    first, second = (utterance.path for utterance in manifest.utterances[:2])
    lines = [segment_line(second, 0.25, 0.5, "AH"), segment_line(first, 0, 0.1234567, "b c")]
    file = write_class_file(tmp_path / "segments.tsv", lines, segments=True)
    found = read_classes(file, manifest, 16000)
    assert [(s.utterance, s.start, s.end, s.name) for s in found.segments] == [
        (1, 0.25, 0.5, "AH"),
        (0, 0.0, 0.123457, "b c"),
    ]
    assert [segment.utterance for segment in found.in_order()] == [0, 1]
    assert found.unlabelled == len(manifest) - 2
    whole = write_class_file(
        tmp_path / "whole.tsv", [utterance_line(first, "x"), "elsewhere\ty"], segments=False
    )
    found = read_classes(whole, manifest, 16000)
    assert (found.other_paths, found.names(), found.segments[0].end) == (1, ["x"], math.inf)


def test_probes_and_metrics_read_the_same_rows(tmp_path):
    file = write_class_file(tmp_path / "s.tsv", ["a\t0.10\t.2\tx", "a\t0.2\t0.30\ty"], segments=True)
    rows = list(read_rows(file))
    assert [(row.number, row.path, row.seconds(), row.name) for row in rows] == [
        (2, "a", (0.1, 0.2), "x"),
        (3, "a", (0.2, 0.3), "y"),
    ]
    assert read_class_table(file).values == {"a\t0.1000\t0.2000": "x", "a\t0.2000\t0.3000": "y"}


def test_no_line_about_a_manifest_is_an_error_of_its_own(manifest, tmp_path):
    file = write_class_file(tmp_path / "c.tsv", ["far/away.wav\tx"], segments=False)
    with pytest.raises(NoClassesError, match=r"none of its 1 lines is about .*found such as 'far/away.wav'"):
        read_classes(file, manifest, 16000)


@pytest.mark.parametrize("times", ["0.5\t0.4", "-1\t2", "nan\t1", "a\t1", "0\tinf", "0\t99"])
def test_times_that_cannot_be(times, manifest, tmp_path):
    path = manifest.utterances[0].path
    file = write_class_file(tmp_path / "s.tsv", [f"{path}\t{times}\tx"], segments=True)
    with pytest.raises(PtselError, match=r"s.tsv, line 2: expected 0 <= start < end <= \d+\.\d+"):
        read_classes(file, manifest, 16000)


def test_only_segments(tmp_path):
    file = write_class_file(tmp_path / "c.tsv", ["a\tx"], segments=False)
    with pytest.raises(PtselError, match=r"line 1: expected the header 'path<TAB>start<TAB>end<TAB>class'"):
        list(read_rows(file, segments_only=True))
    assert is_class_header("path\tclass")
    assert not is_class_header("/audio")


def test_lists_in_messages_stay_short():
    assert examples(range(10)) == "(first: 0; 1; 2)"
    assert examples(iter(["a"]), ", ") == "(first: a)"
    assert shortened(["a", "b"]) == "a, b"
    assert shortened([str(i) for i in range(20)], most=3) == "0, 1, 2 and 17 more"


def test_provenance_names_versions_and_checksums(tmp_path):
    import hashlib

    import numpy

    found = versions(*NUMERICS, optional=["no-such-distribution", "torch"])
    assert list(found)[:4] == ["ptsel_fairseq", "numpy", "python", "scipy"]
    assert (found["ptsel_fairseq"], found["numpy"]) == (__version__, numpy.__version__)
    assert "no-such-distribution" not in found
    file = tmp_path / "a"
    file.write_bytes(b"content")
    assert checksums([file, None]) == {str(file): hashlib.sha256(b"content").hexdigest()}
