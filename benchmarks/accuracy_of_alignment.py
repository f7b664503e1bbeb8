"""How far `ptsel align` is from word boundaries that are known.

    ptsel fetch asterisk CORPUS
    OMP_NUM_THREADS=1 python benchmarks/accuracy_of_alignment.py CORPUS [--utterances 60] [--model CTC_CHECKPOINT]

One-word prompts (digits, letters, single words) of the English voice are cut to where they are louder than -35 dB of
their peak and put together with pauses of 0.05 to 0.4 s of faint noise. Prints the median and the 90th percentile
of the distance of the aligned starts and ends from the known ones, the signed median (positive: late), and the same for
transcripts of another utterance of as many words, which the confidence should tell apart.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from common import ASTERISK, Figure, bundled, finish, parse, parser_of

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.alignment.aligner import NotAligned
from ptsel_fairseq.downstream.alignment.ctc import CtcAligner
from ptsel_fairseq.downstream.alignment.sphinx import SphinxAligner, pronunciations
from ptsel_fairseq.downstream.speech.utterances import Spoken

RATE, FRAME = 16000, 160
LONG_ENOUGH = 0.35  # seconds of a word that is cut from a sentence
Word = tuple[str, np.ndarray]  # text and waveform
THRESHOLD = 10 ** (-35 / 20)


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument(
        "corpus", type=Path, nargs="?", help="fetched prompts (with --tiny: words cut from the bundled ones)"
    )
    parser.add_argument("--utterances", type=int, default=60)
    parser.add_argument("--model", type=Path)
    options = parse(parser, arguments, {"utterances": 3})
    if not options.tiny and options.corpus is None:
        parser.error("expected the folder of the corpus")
    words = words_of_bundled() if options.tiny else read_words(options.corpus)
    with tempfile.TemporaryDirectory() as folder:
        return finish(options, measure(options, words, Path(folder)))


def measure(options: argparse.Namespace, words: list[Word], out: Path) -> list[Figure]:
    """Align utterances made of the words, which are written to `out`, and print how well."""
    aligner = SphinxAligner() if options.model is None else CtcAligner.of_checkpoint(options.model)
    print(f"{len(words)} recorded words")
    utterances = [concatenate(words, seed, out) for seed in range(options.utterances)]
    errors, right, wrong, failed, refused = [], [], [], 0, 0
    seconds, started = 0.0, time.process_time()
    for i, (spoken, limits) in enumerate(utterances):
        seconds += spoken.seconds
        try:
            found = aligner.align(spoken)["word"]
        except NotAligned as reason:
            failed += 1
            print(f"{spoken.path}: {reason}")
            continue
        errors.append([(w.start - start, w.end - end) for w, (start, end) in zip(found, limits, strict=True)])
        right += [word.confidence for word in found]
        other = utterances[(i + 1) % len(utterances)][0].text
        try:
            wrong += [w.confidence for w in aligner.align(Spoken(**{**vars(spoken), "text": other}))["word"]]
        except NotAligned:
            refused += 1
    cost = (time.process_time() - started) / 2
    distances = np.concatenate(errors) * 1000
    for side, column in (("start", distances[:, 0]), ("end", distances[:, 1])):
        print(
            f"{side}: median error {np.median(abs(column)):.0f} ms, 90 % below {np.quantile(abs(column), 0.9):.0f} ms, "
            f"signed median {np.median(column):+.0f} ms, {len(column)} words"
        )
    print(
        f"{failed} of {len(utterances)} not aligned; about {seconds / cost:.0f} times real time on one core"
    )
    print(f"texts of another utterance: {refused} not aligned; confidence of words 10, 50, 90 %:")
    for name, values in (("right", right), ("other", wrong)):
        print(f"  {name} {np.quantile(values, (0.1, 0.5, 0.9)).round(3)}")
    for level in (0.05, 0.1, 0.15, 0.2):
        print(f"  at least {level}: {np.mean(np.array(right) >= level):.1%} of right words, "
              f"{np.mean(np.array(wrong) >= level):.1%} of others")  # fmt: skip
    return [
        Figure(f"median error of word {side}s in ms", float(np.median(abs(column))))
        for side, column in (("start", distances[:, 0]), ("end", distances[:, 1]))
    ]


def words_of_bundled() -> list[Word]:
    """Longer words of the English clips that come with the repository, where their class file says they lie."""
    known, manifest = pronunciations(None), bundled()
    segments = read_classes(ASTERISK / "classes" / "word.tsv", manifest, RATE).segments
    found = []
    for segment in segments[:200]:
        if segment.name.lower() in known and segment.end - segment.start > LONG_ENOUGH:
            file = manifest.audio_path(manifest.utterances[segment.utterance])
            first, last = round(RATE * segment.start), round(RATE * segment.end)
            waveform, _ = soundfile.read(file, start=first, stop=last, dtype="float32")
            found.append((segment.name, cut_to_speech(waveform)))
    return found


def read_words(corpus: Path) -> list[Word]:
    """Text and waveform of the prompts that are one word, cut to the word."""
    known = pronunciations(None)
    found = []
    for split in ("train", "valid", "test"):
        manifest = read_manifest(corpus / "en" / f"{split}.tsv")
        texts = (corpus / "en" / f"{split}.wrd").read_text().splitlines()
        for utterance, text in zip(manifest, texts, strict=True):
            if " " not in text and text.lower() in known:
                waveform, _ = soundfile.read(manifest.audio_path(utterance), dtype="float32")
                found.append((text, cut_to_speech(waveform)))
    return found


def cut_to_speech(waveform: np.ndarray) -> np.ndarray:
    frames = waveform[: len(waveform) // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) > THRESHOLD * np.abs(waveform).max())
    return waveform[loud[0] * FRAME : (loud[-1] + 1) * FRAME]


def concatenate(words: list[Word], seed: int, out: Path) -> tuple[Spoken, list[tuple]]:
    """Five words with pauses, and where each lies in seconds."""
    draw, noise = random.Random(seed), np.random.default_rng(seed)
    chosen = draw.sample(words, 5)
    pieces, limits, position = [], [], 0
    for _, waveform in chosen:
        pause = noise.normal(0, 1e-4, int(RATE * draw.uniform(0.05, 0.4))).astype(np.float32)
        start = position + len(pause)
        position = start + len(waveform)
        pieces += [pause, waveform]
        limits.append((start / RATE, position / RATE))
    pieces.append(noise.normal(0, 1e-4, RATE // 10).astype(np.float32))
    file = out / f"{seed:03d}.wav"
    soundfile.write(file, np.concatenate(pieces), RATE)
    samples = sum(map(len, pieces))
    return Spoken(file.name, file, samples, str(file), " ".join(text for text, _ in chosen)), limits


if __name__ == "__main__":
    main()
