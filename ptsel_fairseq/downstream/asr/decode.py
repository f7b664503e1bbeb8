"""`ptsel decode`: what a fine-tuned CTC model hears, and its error rates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import output_folder, write_lines
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.provenance import checksums
from ptsel_fairseq.downstream.asr.search import BeamSearch, collapse, text_of
from ptsel_fairseq.downstream.asr.settings import LABELS, SUFFIXES
from ptsel_fairseq.downstream.features.wav2vec import load_ctc
from ptsel_fairseq.downstream.metrics.answer_files import read_class_table
from ptsel_fairseq.downstream.metrics.evaluate import notes
from ptsel_fairseq.downstream.metrics.results import (
    RESAMPLES,
    RESULT,
    Answers,
    result_lines,
    score,
    write_result,
)
from ptsel_fairseq.downstream.speech.utterances import Spoken, in_blocks, read_spoken

HYPOTHESIS, REFERENCE = "hypothesis.txt", "reference.txt"


def decode_command(
    data_dir: Path | str,
    model: Path | str,
    out: Path | str,
    split: str = "valid",
    lexicon: Path | str | None = None,
    lm: Path | str | None = None,
    lm_weight: float = 2.0,
    word_score: float = -1.0,
    beam: int = 100,
    groups: Path | str | None = None,
    name: str | None = None,
    jobs: int | None = None,
    command_line: str = "",
) -> None:
    """Write ``hypothesis.txt``, and with transcripts beside the manifest ``reference.txt`` and ``result.json``.

    Args:
        data_dir: manifests; ``<split>.wrd`` (``.phn`` for a model of phones) if there is a reference.
        model: checkpoint of the model ``wav2vec_ctc`` or ``ptsel_ctc``.
        out: folder; an interrupted run goes on.
        split: of the manifests.
        lexicon: words of the beam search; without it the best path is taken, word by letter.
        lm: n-gram model of the beam search.
        lm_weight: of the n-gram model.
        word_score: of each word of the beam search.
        beam: hypotheses of the beam search.
        groups: class file; what the intervals resample as a whole (speakers); default, utterances.
        name: how comparisons call the system; default, the name of the checkpoint's folder.
        jobs: processes.
        command_line: kept in the result.

    Raises:
        PtselError: input that cannot be used.
    """
    model, out = Path(model), Path(out)
    search = search_of(lexicon, lm, lm_weight, word_score, beam)
    labels = load_ctc(model).labels
    if labels not in LABELS:
        raise PtselError(
            f"{model}: expected a model of letters (task.labels=ltr) or phones (phn), found {labels!r}"
        )
    unit = LABELS[labels]
    suffix = SUFFIXES[unit]
    spoken = read_spoken(Path(data_dir), split, None)
    lacking = [file for file in (lexicon, lm) if file is not None and not Path(file).is_file()]
    if lacking:
        raise PtselError(
            f"{lacking[0]}: no such file; expected a lexicon (--lexicon) or an n-gram model (--lm)"
        )
    described = {
        "files": checksums([model, lexicon, lm]),
        "search": None if search is None else [lm_weight, word_score, beam],
    }
    with output_folder(out):
        texts = in_blocks(
            partial(_decode_block, model, search), spoken, out / "blocks", described, "decoding", jobs
        )
        pairs = [(utterance.path, text) for utterance, text in zip(spoken, texts, strict=True)]
        write_lines(out / HYPOTHESIS, ["\t".join(pair) for pair in pairs])
        if not (Path(data_dir) / f"{split}{suffix}").is_file():
            print(f"no {split}{suffix} beside the manifest: no error rates")
            print(out / HYPOTHESIS)
            return
        reference = [s.text for s in read_spoken(Path(data_dir), split, suffix)]
        rows = [f"{path}\t{text}" for (path, _), text in zip(pairs, reference, strict=True)]
        write_lines(out / REFERENCE, rows)
        paths = [path for path, _ in pairs]
        answers = Answers(
            "asr",
            tuple(paths),
            tuple(reference),
            (tuple(texts),),
            tuple(paths if groups is None else read_class_table(groups).of_paths(paths)),
            unit,
        )
        result = score(
            name or model.resolve().parent.name, answers, {"command": command_line, **described}, RESAMPLES
        )
        write_result(out / RESULT, result)
        for line in [*result_lines(result), *notes(answers)]:
            print(line)
        print(f"{out}: {HYPOTHESIS}, {REFERENCE}, {RESULT}")


def search_of(
    lexicon: Path | str | None, lm: Path | str | None, lm_weight: float, word_score: float, beam: int
) -> BeamSearch | None:
    """The beam search that the options ask for, None for the best path; raise PtselError if they contradict."""
    if lm is not None and lexicon is None:
        raise PtselError("--lm: give --lexicon as well, the words that may be recognised, one a line")
    if beam < 1:
        raise PtselError(f"--beam: expected at least 1, found {beam}")
    if lexicon is None:
        return None
    return BeamSearch(Path(lexicon), None if lm is None else Path(lm), lm_weight, word_score, beam)


def _decode_block(model: Path, search: BeamSearch | None, block: Sequence[Spoken]) -> list[str]:
    ctc = load_ctc(model)
    texts = []
    for spoken in block:
        waveform = read_whole_audio(spoken.file, SAMPLE_RATE, spoken.samples, spoken.where)
        if spoken.samples < ctc.grid.window:
            texts.append("")
            continue
        log_probs = ctc.log_probs(waveform)
        if search is None:
            texts.append(text_of([ctc.symbols[i] for i in collapse(log_probs)], LABELS[ctc.labels]))
        else:
            texts.append(search.text(log_probs, ctc.symbols))
    return texts
