"""`ptsel targets`: a class file as fairseq's classification task reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_lines
from ptsel_fairseq.base.manifest import manifest_file, read_manifest
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.downstream.metrics.answer_files import read_class_table


def targets_command(
    data_dir: Path | str, classes: Path | str, splits: Sequence[str] = ("train", "valid")
) -> None:
    """Write ``<split>.cls``, a class for each line of the manifest, and ``dict.cls.txt``, those of the first split.

    A blank inside a class becomes ``_``, since fairseq would take its words for several classes.

    Args:
        data_dir: manifests, and where the files go.
        classes: class file of utterances.
        splits: the first is the one to train on.

    Raises:
        PtselError: an utterance without a class, a class that the first split does not have, or two that become one.
    """
    table = read_class_table(classes)
    names = sorted(set(table.values.values()))
    forms = Counter(one_word(name) for name in names)
    merged = [repr(name) for name in names if forms[one_word(name)] > 1]
    if merged:
        raise PtselError(
            f"{classes}: {len(merged)} classes differ in blanks and _ alone, which would make them one "
            f"{examples(merged)}; rename them"
        )
    of_split: dict[str, list[str]] = {}
    for split in dict.fromkeys(splits):
        manifest = read_manifest(manifest_file(data_dir, split))
        of_split[split] = [one_word(name) for name in table.of_paths(u.path for u in manifest)]
    counts = Counter(of_split[splits[0]])
    if len(counts) < 2:
        raise PtselError(f"{classes}: expected two classes or more in {splits[0]}, found {', '.join(counts)}")
    for split, names in of_split.items():
        unknown = sorted(set(names) - set(counts))
        if unknown:
            raise PtselError(
                f"{classes}: {len(unknown)} classes of {split} are not in {splits[0]} "
                f"{examples(unknown)}; a model cannot learn them: divide the data otherwise"
            )
    for split, names in of_split.items():
        write_lines(Path(data_dir) / f"{split}.cls", names)
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    write_lines(Path(data_dir) / "dict.cls.txt", [f"{name} {count}" for name, count in rows])
    written = ", ".join(f"{split}.cls" for split in of_split)
    print(f"{data_dir}: {written}, dict.cls.txt; {len(counts)} classes, the most frequent has {rows[0][1]}")


def one_word(name: str) -> str:
    """A class without blanks."""
    return "_".join(name.split())
