"""How much codes of frames say of phones: the measures by which HuBERT's clusters are judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.class_file import ClassFile, NoClassesError, read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import Manifest, manifest_file, read_manifest
from ptsel_fairseq.labels.store.reader import LabelStore


@dataclass(frozen=True)
class CodeQuality:
    """Of codes z and phones y of the same frames, with p their joint distribution (Hsu et al. 2021, section V-A).

    Attributes:
        pnmi: I(y; z) / H(y), the share of the phone's uncertainty that the code removes.
        phone_purity: share of frames whose phone is the most frequent one of their code.
        cluster_purity: share of frames whose code is the most frequent one of their phone.
        frames: with a code and a phone.
        codes, phones: how many occur. Phone purity and PNMI rise with the number of codes by themselves.
    """

    pnmi: float
    phone_purity: float
    cluster_purity: float
    frames: int
    codes: int
    phones: int

    def __str__(self) -> str:
        return (
            f"PNMI {self.pnmi:.3f}, phone purity {self.phone_purity:.3f}, cluster purity {self.cluster_purity:.3f} "
            f"({self.frames} frames, {self.codes} codes, {self.phones} phones)"
        )


def code_quality(codes: np.ndarray, phones: np.ndarray) -> CodeQuality:
    """PNMI and purities of codes [frames] against phones [frames], of any type that can be told apart.

    Raises:
        PtselError: arrays of other shapes, no frame, or one phone only, whose uncertainty is 0.
    """
    codes, phones = np.asarray(codes), np.asarray(phones)
    if codes.ndim != 1 or codes.shape != phones.shape:
        raise PtselError(f"expected as many codes as phones [frames], found {codes.shape} and {phones.shape}")
    code_names, z = np.unique(codes, return_inverse=True)
    phone_names, y = np.unique(phones, return_inverse=True)
    if len(phone_names) < 2:
        raise PtselError(f"phones: expected two or more in the frames, found {len(phone_names)}")
    counts = np.zeros((len(phone_names), len(code_names)))
    np.add.at(counts, (y, z), 1)
    joint = counts / len(codes)
    of_phone, of_code = joint.sum(axis=1), joint.sum(axis=0)
    there = joint > 0
    independent = np.outer(of_phone, of_code)
    information = float((joint[there] * np.log(joint[there] / independent[there])).sum())
    entropy = float(-(of_phone * np.log(of_phone)).sum())
    return CodeQuality(
        information / entropy,
        float(joint.max(axis=0).sum()),
        float(joint.max(axis=1).sum()),
        len(codes),
        len(code_names),
        len(phone_names),
    )


def quality_of_label(manifest: Manifest, store: LabelStore, label: str, class_file: ClassFile) -> CodeQuality:
    """`code_quality` of a stored label against the classes of segments, such as phones.

    A frame belongs to a segment if its centre does, to the later one where two overlap; frames of no segment, or where
    the label is undefined, do not count.

    Raises:
        PtselError: a label of values, a store of another manifest, or fewer than two phones.
    """
    store.check_manifest(manifest)
    if store.info(label).codes is None:
        raise PtselError(f"{store.folder}: {label} is no label of codes; `ptsel codes` makes one of it")
    number = {name: i for i, name in enumerate(sorted({segment.name for segment in class_file.segments}))}
    of_utterance: dict[int, np.ndarray] = {}
    for segment in sorted(class_file.segments, key=lambda segment: (segment.utterance, segment.start)):
        if segment.utterance not in of_utterance:
            of_utterance[segment.utterance] = np.full(store.num_frames(segment.utterance), -1)
        phones = of_utterance[segment.utterance]
        centres = (np.arange(len(phones)) * store.grid.hop + store.grid.window / 2) / store.grid.sample_rate
        phones[(centres >= segment.start) & (centres < segment.end)] = number[segment.name]
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for line, phones in of_utterance.items():
        known = (phones >= 0) & store.valid(label, line)
        found.append((store.track(label, line)[known, 0], phones[known]))
    if not sum(len(codes) for codes, _ in found):
        raise PtselError(f"{class_file.file}: no segment of it holds a frame of {label}")
    codes, phones = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return code_quality(codes, phones)


def print_quality(
    data_dir: Path | str, splits: list[str], store: Path | str, label: str, classes: Path | str
) -> None:
    """Print the quality of a label of codes in each split of which the file has classes.

    Raises:
        PtselError: as `quality_of_label`, or a file that has none of any split.
    """
    printed = False
    for split in splits:
        manifest, opened = read_manifest(manifest_file(data_dir, split)), LabelStore(store, split)
        try:
            class_file = read_classes(classes, manifest, opened.grid.sample_rate)
        except NoClassesError:
            if split == splits[-1] and not printed:
                raise
            continue
        print(
            f"{split}: {label} against {Path(classes).name}: {quality_of_label(manifest, opened, label, class_file)}"
        )
        printed = True
