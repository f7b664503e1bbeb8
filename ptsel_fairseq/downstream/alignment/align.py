"""`ptsel align`: TextGrids, or audio with transcripts -> class files of words and phones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.class_file import segment_line, write_class_file
from ptsel_fairseq.base.errors import PtselError, RecordingError
from ptsel_fairseq.base.files import output_folder, write_lines, write_text
from ptsel_fairseq.base.manifest import manifest_file, read_manifest
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.downstream.alignment.aligner import Aligner, NotAligned, Stretch
from ptsel_fairseq.downstream.alignment.ctc import CtcAligner
from ptsel_fairseq.downstream.alignment.sphinx import SphinxAligner
from ptsel_fairseq.downstream.alignment.textgrid import TextGridAligner
from ptsel_fairseq.downstream.speech.utterances import Spoken, in_blocks, read_spoken

FAILED = "failed.txt"
CONFIDENCE = "confidence.txt"
REPORT = "alignment.json"
FAILURE = "failed"  # of one utterance: why it has no alignment
WORDS = "words"  # that the dictionary lacks, if that is why
UNREADABLE = "unreadable"  # marks a failure that is not about the utterance itself

Found = Mapping[str, Any]  # of one utterance: stretches by kind, or the reason under `FAILURE`


@dataclass(frozen=True)
class Outcome:
    """All utterances of all splits, and what was found of each."""

    spoken: list[Spoken]
    found: list[Found]

    def failures(self) -> list[tuple[str, str]]:
        return [
            (spoken.path, found[FAILURE])
            for spoken, found in zip(self.spoken, self.found, strict=True)
            if FAILURE in found
        ]

    def missing_words(self) -> Counter[str]:
        """Words that the dictionary lacks, and in how many utterances each is."""
        return Counter(word for found in self.found for word in found.get(WORDS, ()))

    def stretches(self, kind: str) -> Iterator[tuple[str, Stretch]]:
        for spoken, found in zip(self.spoken, self.found, strict=True):
            for fields in found.get(kind, ()):
                yield spoken.path, Stretch(*fields)


def align_command(
    data_dir: Path | str,
    out: Path | str,
    splits: Sequence[str] = ("train", "valid"),
    textgrids: Path | str | None = None,
    model: Path | str | None = None,
    dictionary: Path | str | None = None,
    min_confidence: float = 0.0,
    without_stress: bool = False,
    jobs: int | None = None,
    command_line: str = "",
) -> None:
    """Write ``OUT/word.tsv`` and ``phone.tsv`` (of a model of letters ``letter.tsv``), and what could not be aligned.

    Args:
        data_dir: manifests; ``<split>.wrd`` (``.phn`` for a model of phones) beside them unless `textgrids` are given.
        out: class files; ``confidence.txt`` with every stretch, ``failed.txt`` with each utterance that has no
            alignment and why, ``alignment.json`` with counts and origin. An interrupted run goes on.
        splits: of the manifests.
        textgrids: folder of TextGrids to read instead of aligning.
        model: CTC checkpoint of fairseq to align with instead of pocketsphinx.
        dictionary: more pronunciations for pocketsphinx.
        min_confidence: stretches below it are left out of the class files.
        without_stress: of TextGrids, whether the phone ``AH0`` is ``AH``.
        jobs: processes.
        command_line: kept in ``alignment.json``.

    Raises:
        PtselError: input that cannot be used, or no utterance that can be aligned.
    """
    aligner = choose_aligner(textgrids, model, dictionary, without_stress)
    if not 0 <= min_confidence < 1:
        raise PtselError(f"--min-confidence: expected 0 to 1 (1 excluded), found {min_confidence}")
    if min_confidence and isinstance(aligner, TextGridAligner):
        raise PtselError("--min-confidence: TextGrids hold no confidence; leave the option out")
    spoken = [
        utterance
        for split in dict.fromkeys(splits)
        for utterance in read_spoken(Path(data_dir), split, aligner.transcripts)
    ]
    if isinstance(aligner, TextGridAligner):
        aligner = aligner.for_recordings(utterance.path for utterance in spoken)
    out = Path(out)
    with output_folder(out):
        _align(spoken, aligner, data_dir, out, splits, min_confidence, jobs, command_line)


def _align(
    spoken: list[Spoken],
    aligner: Aligner,
    data_dir: Path | str,
    out: Path,
    splits: Sequence[str],
    min_confidence: float,
    jobs: int | None,
    command_line: str,
) -> None:
    # TextGrids are read in this process: that is faster than sending their index to others.
    found = in_blocks(
        partial(_align_block, aligner),
        spoken,
        out / "blocks",
        dict(aligner.provenance()),
        "aligning",
        1 if isinstance(aligner, TextGridAligner) else jobs,
        lambda value: UNREADABLE not in value,
        of_audio=not isinstance(aligner, TextGridAligner),
    )
    outcome = Outcome(spoken, found)
    failures = outcome.failures()
    if len(failures) == len(spoken):
        raise PtselError(
            f"{data_dir}: none of {len(spoken)} utterances could be aligned {examples(told(failures))}"
        )
    write_lines(
        out / FAILED, ["path\treason", *(f"{path}\t{' '.join(reason.split())}" for path, reason in failures)]
    )
    kept = write_classes(out, outcome, aligner.kinds, min_confidence)
    report = {
        "utterances": len(spoken),
        "failed": len(failures),
        "min_confidence": min_confidence,
        "classes": kept,
        "aligner": dict(aligner.provenance()),
        "splits": {split: read_manifest(manifest_file(data_dir, split)).checksum for split in splits},
        "command": command_line,
    }
    write_text(out / REPORT, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    for line in described(report, failures, outcome.missing_words()):
        print(line)
    print(f"{out}: {', '.join(f'{kind}.tsv' for kind in kept)}, {FAILED}, {REPORT}")


def choose_aligner(
    textgrids: Path | str | None,
    model: Path | str | None,
    dictionary: Path | str | None,
    without_stress: bool,
) -> Aligner:
    """The aligner that the options name; raise PtselError if they contradict each other."""
    if textgrids is not None and model is not None:
        raise PtselError("--textgrids, --model: expected one of them")
    if dictionary is not None and (textgrids is not None or model is not None):
        raise PtselError("--dictionary: only pocketsphinx has one; leave --textgrids and --model out")
    if without_stress and textgrids is None:
        raise PtselError("--without-stress: for --textgrids only; pocketsphinx's phones have no stress")
    if textgrids is not None:
        return TextGridAligner.of_folder(Path(textgrids), without_stress)
    if model is not None:
        return CtcAligner.of_checkpoint(Path(model))
    return SphinxAligner.of_dictionary(None if dictionary is None else Path(dictionary))


def _align_block(aligner: Aligner, block: Sequence[Spoken]) -> list[Found]:
    found: list[Found] = []
    for spoken in block:
        try:
            found.append({kind: list(stretches) for kind, stretches in aligner.align(spoken).items()})
        except NotAligned as reason:
            found.append({FAILURE: str(reason)} | ({WORDS: reason.words} if reason.words else {}))
        except RecordingError as error:  # missing or damaged, which can be mended
            found.append({FAILURE: error.fault, UNREADABLE: True})
        except PtselError as error:
            found.append({FAILURE: str(error), UNREADABLE: True})
    return found


def write_classes(
    out: Path, outcome: Outcome, kinds: Sequence[str], min_confidence: float
) -> dict[str, dict[str, Any]]:
    """A class file for each kind that was found, and the confidences; how many of each were kept."""
    kept: dict[str, dict[str, Any]] = {}
    rows = ["\t".join(("path", "start", "end", "kind", "class", "confidence"))]
    for kind in kinds:
        lines, names, confidences = [], [], []
        for path, stretch in outcome.stretches(kind):
            if stretch.confidence is not None:
                confidences.append(stretch.confidence)
                times = f"{stretch.start:.6g}\t{stretch.end:.6g}"
                rows.append(f"{path}\t{times}\t{kind}\t{stretch.name}\t{stretch.confidence:.4f}")
            if stretch.confidence is None or stretch.confidence >= min_confidence:
                lines.append(segment_line(path, stretch.start, stretch.end, stretch.name))
                names.append(stretch.name)
        if not lines and confidences:
            raise PtselError(
                f"--min-confidence {min_confidence}: no {kind} has as much; the highest is {max(confidences):.4f}"
            )
        if lines:
            write_class_file(out / f"{kind}.tsv", lines, segments=True)
            total = sum(1 for _ in outcome.stretches(kind))
            quartiles = np.quantile(confidences, (0.25, 0.5, 0.75)).round(4).tolist() if confidences else None
            kept[kind] = {
                "segments": len(lines),
                "below_min_confidence": total - len(lines),
                "classes": len(set(names)),
                "confidence_quartiles": quartiles,
            }
    if len(rows) > 1:
        write_lines(out / CONFIDENCE, rows)
    return kept


def described(
    report: Mapping[str, Any], failures: Sequence[tuple[str, str]], missing: Counter[str]
) -> list[str]:
    """The counts for reading, and the `missing` words of the dictionary."""
    aligned = report["utterances"] - report["failed"]
    lines = [f"{aligned} of {report['utterances']} utterances aligned"]
    for kind, found in report["classes"].items():
        quartiles = found["confidence_quartiles"]
        lines.append(
            f"{kind}: {found['segments']} segments of {found['classes']} classes"
            + (
                f", {found['below_min_confidence']} below the confidence"
                if found["below_min_confidence"]
                else ""
            )
            + (f"; confidence {' / '.join(f'{q:.2f}' for q in quartiles)} (quartiles)" if quartiles else "")
        )
    if failures:
        lines.append(f"{len(failures)} not aligned {examples(told(failures))}; all are in {FAILED}")
        if missing:
            shown = ", ".join(f"{word} ({count})" for word, count in missing.most_common(10))
            lines.append(f"words that --dictionary could add: {shown}")
    return lines


def told(failures: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Each utterance that has no alignment, and why."""
    return (f"{path}: {reason}" for path, reason in failures)
