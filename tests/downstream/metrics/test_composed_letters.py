"""Texts in decomposed letters, as macOS writes them, are the same texts, and it is said."""

import unicodedata

from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.metrics.answer_files import read_texts
from ptsel_fairseq.downstream.metrics.error_rates import TranscriptScorer
from ptsel_fairseq.downstream.speech.transcripts import read_transcripts

TEXTS = ["CAFÉ ÜBER", "Việt Nam", "GRÜN"]


def test_errors_of_letters_that_only_look_different_vanish_with_a_note(tmp_path, capsys):
    for form in ("NFC", "NFD"):
        lines = [f"{i}\t{unicodedata.normalize(form, text)}" for i, text in enumerate(TEXTS)]
        (tmp_path / form).write_text("\n".join(lines) + "\n", encoding="utf-8")
    reference, hypothesis = read_texts(tmp_path / "NFC"), read_texts(tmp_path / "NFD")
    assert reference.values == hypothesis.values
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert f"{tmp_path / 'NFD'}: 3 lines hold letters apart from their marks" in said
    items = list(reference.values)
    scorer = TranscriptScorer([reference.values[i] for i in items], [hypothesis.values[i] for i in items])
    assert all(errors[:, :3].sum() == 0 for errors in scorer.errors.values())


def test_transcripts_beside_a_manifest_are_composed(tmp_path):
    (tmp_path / "train.tsv").write_text("/audio\na.flac\t16000\nb.flac\t16000\n")
    (tmp_path / "train.wrd").write_text(unicodedata.normalize("NFD", "CAFÉ\nÜBER\n"), encoding="utf-8")
    assert read_transcripts(read_manifest(tmp_path / "train.tsv")) == ["CAFÉ", "ÜBER"]
