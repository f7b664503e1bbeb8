"""`ptsel prepare`: a corpus as published -> manifests, texts, classes, trials, and its counts checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ptsel_fairseq.base.class_file import (
    ROUNDING,
    class_name,
    segment_line,
    utterance_line,
    write_class_file,
)
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import output_folder, write_lines, write_text
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import manifest_file, read_manifest
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.base.names import path_fault
from ptsel_fairseq.base.tables import markdown
from ptsel_fairseq.downstream.corpora.bad_recordings import (
    BAD,
    UNPACK,
    check_few_bad,
    check_none_bad,
    measure_usable,
    remarks_on_bad,
    without,
    write_bad,
)
from ptsel_fairseq.downstream.corpora.copies import Measured, copy_of
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, check_none, wrong_root
from ptsel_fairseq.downstream.corpora.registry import CORPORA
from ptsel_fairseq.downstream.metrics.answer_files import MULTILABEL_HEADER
from ptsel_fairseq.downstream.speech.spelling import letters

REPORT = "report.md"
COPIES = "audio"
LENGTH_TOLERANCE = 0.5  # seconds by which a recording of known length may differ
HOURS_TOLERANCE = 0.1  # published hours are rounded, and some count otherwise


def prepare_command(
    name: str, root: Path | str, out: Path | str, jobs: int | None = None, skip_bad: bool = False
) -> None:
    """Write what training and evaluation need of a corpus into `out`.

    ``<split>.tsv`` (and ``.wrd``, ``.ltr``, ``.phn`` with their dictionaries), ``classes/<kind>.tsv``, trials,
    ``labels/<split>.tsv`` where an item has several classes, and ``report.md``. Audio of another rate than 16 kHz is
    copied to ``audio`` as FLAC; an interrupted run goes on. With `skip_bad`, recordings that are missing or cannot be
    decoded are left out of everything and listed in ``bad.txt``.

    Raises:
        PtselError: an unknown corpus, a folder that is not its own or not unpacked in full, lists that cannot be read
            or name a recording twice, an `out` that would mix with the corpus, or bad recordings; with `skip_bad`,
            more than half of them, or all of a split.
    """
    root, out = Path(root).resolve(), Path(out).resolve()
    corpus = CORPORA.get(name)
    if corpus.packages:
        raise PtselError(f"{name}: run `ptsel fetch {name} OUT`, which downloads this corpus and prepares it")
    if not root.is_dir():
        raise wrong_root(root, corpus.holds)
    reading = corpus.read(root)
    # Manifests may have the names of the corpus's own lists, and copies could be found as its audio.
    inside = out.is_relative_to(root) if corpus.searched else out == root
    if inside or root.is_relative_to(out / COPIES):
        raise PtselError(
            f"{out}: what is written there would mix with the corpus in {root}; give a folder outside"
        )
    advice = f"{UNPACK}, or leave them out with --skip-bad"
    write_corpus(corpus, reading, out, advice, jobs, skip_bad)


def write_corpus(
    corpus: Corpus, reading: Reading, out: Path, advice: str, jobs: int | None = None, skip_bad: bool = False
) -> None:
    """Measure or convert the audio, then write all files and print the report.

    Raises:
        PtselError: bad recordings, with `advice` on them; with `skip_bad`, more than half of them, or all of a split.
    """
    with output_folder(out):
        _write_corpus(corpus, reading, out, advice, jobs, skip_bad)


def _write_corpus(
    corpus: Corpus, reading: Reading, out: Path, advice: str, jobs: int | None, skip_bad: bool
) -> None:
    clips = [clip for clip in reading.clips if clip.splits]
    shown = copy_of if corpus.convert else str
    faults = {clip.path: fault for clip in clips if (fault := path_fault(clip.path))}
    listed_badly = [f"{path!r} {fault}" for path, fault in faults.items()]
    check_none(listed_badly, reading.root, "names of recordings cannot be used", "mend the corpus's lists")
    nameless = [clip.path for clip in clips if not all(map(class_name, _names_of(clip)))]
    check_none(nameless, reading.root, "recordings have a class without a name", "mend the corpus's lists")
    counts = Counter(shown(clip.path) for clip in clips)
    twice = [path for path, count in counts.items() if count > 1]
    check_none(twice, reading.root, "recordings are twice in the corpus's lists", "leave one line of each")
    copies = out / COPIES if corpus.convert else None
    listed = divide(clips)
    check = (
        partial(check_few_bad, reading, listed)
        if skip_bad
        else partial(check_none_bad, reading.root, len(clips), advice)
    )
    paths = [clip.path for clip in clips]
    samples, bad = measure_usable(reading.root, paths, copies, jobs, skip_bad, check)
    remarks = [*remarks_on_bad(reading, listed, bad), *reading.remarks]
    reading = without(reading, bad)
    clips = [clip for clip in reading.clips if clip.splits]
    beyond = [
        clip.path for clip in clips if _ends(clip) > samples[clip.path].samples / SAMPLE_RATE + ROUNDING
    ]
    check_none(beyond, reading.root, "recordings have boundaries after their end", UNPACK)
    remarks += remarks_on_lengths(corpus, clips, samples)
    by_split = divide(clips)
    for split, members in by_split.items():
        lines = [f"{shown(clip.path)}\t{samples[clip.path].samples}" for clip in members]
        write_lines(out / f"{split}.tsv", [str(copies or reading.root), *lines])
        write_transcripts(out, split, members)
    write_dictionaries(out, by_split)
    write_classes(out, clips, shown)
    for file, trials in reading.trials.items():
        write_lines(out / file, [f"{int(same)} {shown(a)} {shown(b)}" for same, a, b in trials])
    for split, labels in reading.labels.items():
        rows = [f"{shown(path)}\t{name}\t{relevance:g}" for path, name, relevance in labels]
        write_lines(out / "labels" / f"{split}.tsv", ["\t".join(MULTILABEL_HEADER), *rows])
    write_bad(out, bad)
    text = "\n\n".join([report(corpus, by_split, samples), *remarks, checksums(out, list(by_split))])
    write_text(out / REPORT, text + "\n")
    print(text)
    others = [REPORT, BAD] if bad else [REPORT]
    print(f"{out}: {', '.join(f'{split}.tsv' for split in by_split)}; {', '.join(others)}")


def _names_of(clip: Clip) -> Iterator[str]:
    """All classes of a clip."""
    yield from clip.classes.values()
    for spans in clip.segments.values():
        yield from (name for _, _, name in spans)


def _ends(clip: Clip) -> float:
    """Where the last segment of a clip ends, in seconds."""
    return max((end for spans in clip.segments.values() for _, end, _ in spans), default=0.0)


def remarks_on_lengths(corpus: Corpus, clips: Sequence[Clip], samples: Mapping[str, Measured]) -> list[str]:
    """How many recordings are not as long as all of the corpus are to be; nothing if there are none."""
    if corpus.seconds is None:
        return []
    others = [
        f"{clip.path} {samples[clip.path].samples / SAMPLE_RATE:.2f} s"
        for clip in clips
        if abs(samples[clip.path].samples / SAMPLE_RATE - corpus.seconds) > LENGTH_TOLERANCE
    ]
    if not others:
        return []
    return [
        f"{len(others):,} of {len(clips):,} recordings are not the {corpus.seconds:g} s that they are to be "
        f"{examples(others)}: cut off, or cut otherwise."
    ]


def divide(clips: Iterable[Clip]) -> dict[str, list[Clip]]:
    """The clips of each split, in `split_order`."""
    by_split: dict[str, list[Clip]] = {}
    for clip in clips:
        for split in clip.splits:
            by_split.setdefault(split, []).append(clip)
    return {split: by_split[split] for split in sorted(by_split, key=split_order)}


def split_order(split: str) -> tuple[str, int, str]:
    """By task; in a task to train on, to choose on, to test on, then all others."""
    task, _, part = split.rpartition("/")
    kinds = [i for i, kind in enumerate(("train", "dev", "valid", "test")) if part.startswith(kind)]
    return task, kinds[0] if kinds else 4, split


def write_transcripts(out: Path, split: str, clips: Sequence[Clip]) -> None:
    """.wrd and .ltr, .phn: one line for each line of the manifest."""
    if all(clip.text is not None for clip in clips):
        texts = [clip.text or "" for clip in clips]
        write_lines(out / f"{split}.wrd", texts)
        write_lines(out / f"{split}.ltr", [letters(text) for text in texts])
    if all(clip.phones is not None for clip in clips):
        write_lines(out / f"{split}.phn", [clip.phones or "" for clip in clips])


def write_dictionaries(out: Path, by_split: Mapping[str, Sequence[Clip]]) -> None:
    """fairseq's dict.ltr.txt and dict.phn.txt: symbols and counts in the training splits, most frequent first."""
    training = [split for split in by_split if "train" in split] or list(by_split)
    clips = [clip for split in training for clip in by_split[split]]
    for kind, lines in (
        ("ltr", [letters(clip.text) for clip in clips if clip.text is not None]),
        ("phn", [clip.phones for clip in clips if clip.phones is not None]),
    ):
        counts = Counter(symbol for line in lines for symbol in line.split())
        if counts:
            rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            write_lines(out / f"dict.{kind}.txt", [f"{symbol} {count}" for symbol, count in rows])


def write_classes(out: Path, clips: Iterable[Clip], shown: Callable[[str], str]) -> None:
    """``classes/<kind>.tsv`` of utterances, or of segments."""
    rows: dict[tuple[str, bool], list[str]] = {}
    for clip in clips:
        path = shown(clip.path)
        for kind, name in clip.classes.items():
            rows.setdefault((kind, False), []).append(utterance_line(path, name))
        for kind, spans in clip.segments.items():
            rows.setdefault((kind, True), []).extend(segment_line(path, *span) for span in spans)
    for (kind, of_segments), lines in rows.items():
        write_class_file(out / "classes" / f"{kind}.tsv", lines, of_segments)


def report(corpus: Corpus, by_split: Mapping[str, Sequence[Clip]], samples: Mapping[str, Measured]) -> str:
    """Utterances and hours of each split against the published ones, and how many classes there are."""
    rows = [["split", "utterances", "published", "hours", "published", ""]]
    for split in dict.fromkeys([*corpus.published, *by_split]):
        members = members_of(split, by_split)
        hours = sum(samples[clip.path].samples for clip in members) / SAMPLE_RATE / 3600
        count, published_hours = corpus.published.get(split, (None, None))
        rows.append(
            [
                split,
                f"{len(members):,}",
                "-" if count is None else f"{count:,}",
                f"{hours:.2f}",
                "-" if published_hours is None else f"{published_hours:g}",
                verdict(len(members), count, hours, published_hours),
            ]
        )
    kinds: dict[str, set[str]] = {}
    for members in by_split.values():
        for clip in members:
            for kind, name in clip.classes.items():
                kinds.setdefault(kind, set()).add(name)
            for kind, spans in clip.segments.items():
                kinds.setdefault(kind, set()).update(name for _, _, name in spans)
    classes = ", ".join(f"{kind} {len(names)}" for kind, names in sorted(kinds.items())) or "none"
    shared = "; ".join(shared_classes(by_split)) or "no classes of utterances in two or more splits"
    text = f"{corpus.title}. Published: {corpus.source}.\n\n{markdown(rows)}\n\nClasses: {classes}."
    return f"{text}\n\nIn more than one split of a task: {shared}."


def checksums(out: Path, splits: Sequence[str]) -> str:
    """By which two copies of a corpus can be compared: `Manifest.checksum` of each split."""
    lines = [f"    {read_manifest(manifest_file(out, split)).checksum}  {split}" for split in splits]
    return "\n".join(["SHA-256 of the paths and lengths of each split, wherever its audio lies:", "", *lines])


def shared_classes(by_split: Mapping[str, Sequence[Clip]]) -> list[str]:
    """For each kind of class that utterances have, how many classes are in several splits of one task, and which first.

    Speakers, songs and notes should be none unless the task is to tell them apart; emotions and instruments all.
    """
    splits_of: dict[tuple[str, str], dict[str, set[str]]] = {}
    for split, members in by_split.items():
        task = split.rpartition("/")[0]
        for clip in members:
            for kind, name in clip.classes.items():
                splits_of.setdefault((task, kind), {}).setdefault(name, set()).add(split)
    lines = []
    for (task, kind), found in sorted(splits_of.items()):
        several = sorted(name for name, splits in found.items() if len(splits) > 1)
        if len({split for splits in found.values() for split in splits}) > 1:
            first = f" {examples(several, ', ')}" if several else ""
            lines.append(f"{task + ': ' if task else ''}{len(several)} of {len(found)} {kind}{first}")
    return lines


def members_of(split: str, by_split: Mapping[str, Sequence[Clip]]) -> Sequence[Clip]:
    """The clips of a split; of ``all`` or ``task/all`` each clip once, whatever splits it is in."""
    if split in by_split or not split.endswith("all"):
        return by_split.get(split, [])
    task = split.removesuffix("all")
    of_task = [clip for name, members in by_split.items() if name.startswith(task) for clip in members]
    return list({clip.path: clip for clip in of_task}.values())


def verdict(count: int, published: int | None, hours: float, published_hours: float | None) -> str:
    """What a reader should see of a split: absent, as published, or that it differs."""
    if published is None:
        return ""
    if count == 0:
        return "not there"
    if count != published:
        return f"DIFFERS: {count - published:+,} utterances"
    if published_hours is not None and abs(hours - published_hours) > HOURS_TOLERANCE * published_hours:
        return "DIFFERS: hours"
    return "as published"
