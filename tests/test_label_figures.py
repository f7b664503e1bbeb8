"""The picture of an utterance's labels: written whole, with a row for each label, or a clear refusal."""

from __future__ import annotations

import re

import pytest

from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.labels.figures import draw_labels
from ptsel_fairseq.manifest import read_manifest


def test_a_row_for_each_scalar_label(data_dir, store_dir, tmp_path):
    manifest = read_manifest(data_dir / "valid.tsv")
    out = tmp_path / "pictures" / "labels.svg"
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):  # so that text stays text
        draw_labels(manifest, manifest.utterances[0], store_dir, out)
    text = " ".join(
        re.findall(r"<text[^>]*>([^<]*)</text>|<tspan[^>]*>([^<]*)</tspan>", out.read_text())
        .__str__()
        .split()
    )
    for word in ("alpha_ratio", "f0", "Hz", "zcr", "dB", "time / s", manifest.utterances[0].path):
        assert word in text
    assert "log_mel" not in text  # 80 dimensions: only when asked for
    assert [file.name for file in out.parent.iterdir()] == ["labels.svg"]


def test_vector_labels_on_request(data_dir, store_dir, tmp_path):
    manifest = read_manifest(data_dir / "valid.tsv")
    draw_labels(manifest, manifest.utterances[1], store_dir, tmp_path / "labels.png", ["log_mel", "f0"])
    assert (tmp_path / "labels.png").read_bytes().startswith(b"\x89PNG")


def test_refusals(data_dir, store_dir, tmp_path):
    manifest = read_manifest(data_dir / "valid.tsv")
    with pytest.raises(PtselError, match="no label 'loudness'"):
        draw_labels(manifest, manifest.utterances[0], store_dir, tmp_path / "a.png", ["loudness"])
    with pytest.raises(PtselError, match=r"\.png"):
        draw_labels(manifest, manifest.utterances[0], store_dir, tmp_path / "a.exe")
    train = read_manifest(data_dir / "train.tsv")
    other = type(train)(manifest.file, train.root, train.utterances)
    with pytest.raises(PtselError, match="made from a manifest"):
        draw_labels(other, other.utterances[0], store_dir, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
