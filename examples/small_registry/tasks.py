"""The four downstream tasks and the two pools of unlabelled audio, and their files made of the fetched corpora."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from files import ROOT, lines, write

from ptsel_fairseq.base.manifest import Manifest, read_manifest

BUNDLED = ROOT / "examples" / "asterisk"
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Task:
    """A downstream task.

    Attributes:
        name: on the command line and of its folders.
        kind: ``asr`` (fine-tuned by CTC) or ``classification`` (probed).
        corpus: as `ptsel fetch` calls it, and where its manifests are in it.
        classes: file of classes: what the score is conditioned on, and what a probe tells apart.
        pool: what it is pretrained on.
        leave_out: class file; each of its classes is the test set once.
    """

    name: str
    kind: str
    corpus: str
    classes: str
    pool: str
    leave_out: str | None = None


TASKS = {
    task.name: task
    for task in (
        Task("asr", "asr", "asterisk/en", "phone", "speech"),
        Task("speaker", "classification", "amazon-queen", "character_sure", "speech"),
        Task("emotion", "classification", "polish-emotions", "emotion", "speech", leave_out="speaker"),
        Task("instruments", "classification", "tonejs", "instrument_seconds", "music"),
    )
}

# Unlabelled audio: nothing that a task chooses or is tested on, but that the emotions are not in it at all.
POOLS: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {
    "speech": {
        "train": (
            ("amazon-queen", "train"),
            ("amazon-queen", "untranscribed"),
            *((f"asterisk/{language}", "train") for language in ("en", "es", "fr", "it", "ru")),
        ),
        "valid": (("amazon-queen", "valid"), ("asterisk/en", "valid")),
    },
    "music": {
        "train": (("tonejs", "train"), ("fluidr3mono", "train"), ("fluidr3mono", "other")),
        "valid": (("tonejs", "valid"), ("fluidr3mono", "valid")),
    },
}
VALID_MINUTES = 3.0  # of each part: enough to see a training's loss


def corpora_of(tasks: Iterable[Task]) -> list[str]:
    """What has to be fetched, each once."""
    names = [task.corpus for task in tasks]
    names += [source for task in tasks for parts in POOLS[task.pool].values() for source, _ in parts]
    return sorted({name.split("/")[0] for name in names})


def write_pool(name: str, corpora: Path, out: Path, minutes: float | None) -> None:
    """Manifests of a pool with the root `corpora`; the first `minutes` of every corpus's part, or all."""
    for split, sources in POOLS[name].items():
        rows: list[str] = []
        for source, part in sources:
            manifest = read_manifest(corpora / source / f"{part}.tsv")
            rows += taken(manifest, corpora, VALID_MINUTES if split == "valid" else minutes)
        write(out / f"{split}.tsv", lines([str(corpora), *rows]))


def taken(manifest: Manifest, corpora: Path, minutes: float | None) -> list[str]:
    """Lines of a manifest below `corpora`, until `minutes` of audio."""
    rows, left = [], float("inf") if minutes is None else minutes * 60 * 16000
    for utterance in manifest:
        if left <= 0:
            break
        left -= utterance.samples
        rows.append(f"{below(manifest, corpora)}/{utterance.path}\t{utterance.samples}")
    return rows


def below(manifest: Manifest, corpora: Path) -> str:
    return manifest.root.resolve().relative_to(corpora.resolve()).as_posix()


def write_task(task: Task, corpora: Path, out: Path, most: int | None) -> None:
    """Manifests, class files and texts of a task below `out`; at most `most` utterances of a split."""
    folder = corpora / task.corpus
    manifests = {split: read_manifest(folder / f"{split}.tsv") for split in SPLITS}
    root = below(manifests["train"], corpora)
    if task.kind == "asr":
        write_phones(manifests["train"], root, out)
        kept = {split: range(len(manifest))[:most] for split, manifest in manifests.items()}
        write_texts(folder, kept, out)
    else:
        files = corpora / task.corpus.split("/")[0] / "classes"
        rows = class_rows(files / f"{task.classes}.tsv", root)
        write(out / "classes.tsv", lines(rows))
        if task.leave_out is not None:
            write(out / "leave_out.tsv", lines(class_rows(files / f"{task.leave_out}.tsv", root)))
        labelled = {row.split("\t")[0] for row in rows}
        kept = {
            split: [u.index for u in manifest if f"{root}/{u.path}" in labelled][:most]
            for split, manifest in manifests.items()
        }
    for split, manifest in manifests.items():
        chosen = [manifest.utterances[i] for i in kept[split]]
        write(
            out / f"{split}.tsv",
            lines([str(corpora), *(f"{root}/{u.path}\t{u.samples}" for u in chosen)]),
        )


def class_rows(file: Path, root: str) -> list[str]:
    """A class file with its paths below the corpora's folder."""
    header, *rows = file.read_text().splitlines()
    return [header, *(f"{root}/{row}" for row in rows)]


def write_phones(train: Manifest, root: str, out: Path) -> None:
    """The phones of those training prompts which are also bundled: same recording, aligned by pocketsphinx."""
    here = {Path(utterance.path).stem: utterance.path for utterance in train}
    header, *rows = (BUNDLED / "classes" / "phone.tsv").read_text().splitlines()
    kept = [
        f"{root}/{here[name]}\t{times}"
        for path, times in (row.split("\t", 1) for row in rows)
        if (name := path.removeprefix("en/").removesuffix(".ogg")) in here
    ]
    write(out / "classes.tsv", lines([header, *kept]))


def write_texts(folder: Path, kept: Mapping[str, Iterable[int]], out: Path) -> None:
    """Texts in letters and words beside the manifests, and the dictionary of the training part."""
    for split, rows in kept.items():
        for ending in ("ltr", "wrd"):
            texts = (folder / f"{split}.{ending}").read_text().splitlines()
            write(out / f"{split}.{ending}", lines([texts[i] for i in rows]))
    counts = Counter((out / "train.ltr").read_text().split())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    write(out / "dict.ltr.txt", lines([f"{symbol} {count}" for symbol, count in ordered]))


def write_reference(data: Path, out: Path) -> None:
    """The texts of the test split by path, for `ptsel evaluate asr`."""
    manifest = read_manifest(data / "test.tsv")
    texts = (data / "test.wrd").read_text().splitlines()
    write(out, lines([f"{u.path}\t{text}" for u, text in zip(manifest, texts, strict=True)]))
