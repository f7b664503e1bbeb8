"""`ptsel codes`: a label whose track is a code of each frame, into a label store that has the label it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import file_checksum, output_folder, readable_size
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest, manifest_file, read_manifest
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.labels import registry
from ptsel_fairseq.labels.backends import extra_labels
from ptsel_fairseq.labels.codes.codebook import FOLDER, Codebook, codebook_file, load_codebook, save_codebook
from ptsel_fairseq.labels.codes.kinds import KMEANS, RANDOM, definition, draw_random, fit_kmeans
from ptsel_fairseq.labels.codes.km_file import LARGEST, read_km
from ptsel_fairseq.labels.label import Label, Track
from ptsel_fairseq.labels.pools import ALL, POOLS
from ptsel_fairseq.labels.store.header import HEADER, read_header
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.store.writer import StoreWriter

UNIT = "code"
HUBERT = "hubert"  # a name that says how its codes are made
HUBERT_OF = "mfcc"
CODES = {KMEANS: 100, RANDOM: 8192}
FIT_SPLIT = "train"
SAMPLE = 1_000_000  # frames; 5.6 hours
SOURCES = {
    KMEANS: "Lloyd 1982; HuBERT, Hsu et al. 2021",
    RANDOM: "BEST-RQ, Chiu et al. 2022",
}
Coded = Callable[[int], Track]  # manifest line -> its codes


def make_codes(
    data_dir: Path | str,
    name: str,
    store: Path | str,
    *,
    splits: Sequence[str] = ("train", "valid"),
    kmeans: str | None = None,
    random: str | None = None,
    file: Path | str | None = None,
    codes: int | None = None,
    seed: int = 1,
    fit_split: str = FIT_SPLIT,
    sample: int = SAMPLE,
    rate: int = 50,
    command_line: str = "",
) -> None:
    """Add a label of codes to a label store; what is finished is not done again.

    Args:
        data_dir: folder of the manifests ``<split>.tsv``.
        name: of the new label. ``hubert`` alone means k-means of mfcc with 100 codes, as in HuBERT's first iteration.
        store: folder of the label store.
        splits: of which codes are made.
        kmeans: label of the store whose frames are clustered, see `kinds.fit_kmeans`.
        random: label whose frames get random codes, see `kinds.draw_random`.
        file: folder of ``<split>.km``, fairseq's k-means labels, see `km_file.read_km`.
        codes: how many; default 100 clusters, 8192 random codes, of files one more than the largest code in them.
        seed: of clusters and random codes.
        fit_split: split that clusters are fitted on, and whose mean and standard deviation random codes use.
        sample: frames of it that are clustered, at most.
        rate: frames a second of the files, 50 or 100.

    Raises:
        PtselError: a name that is taken, not one kind, a store without that label, files that do not fit the audio, a
            codebook of this name that was made in another way.
    """
    store = Path(store)
    kmeans, random, file = _kind(name, kmeans, random, file)
    _check_name(name)
    _check_numbers(codes, sample)
    manifests = [read_manifest(manifest_file(data_dir, split)) for split in dict.fromkeys(splits)]
    if file is not None:
        folder, grid = Path(file), FrameGrid()
        found = [read_km(folder / f"{manifest.split}.km", manifest, grid, rate) for manifest in manifests]
        largest = max((int(line.max()) for lines in found for line in lines if len(line)), default=0)
        if codes is None:
            codes = largest + 1
        if largest >= codes:
            raise PtselError(
                f"--codes: expected more than {largest}, the largest code in {folder}, found {codes}"
            )
        for manifest, lines in zip(manifests, found, strict=True):
            label = _label_of_file(name, folder / f"{manifest.split}.km", codes, rate)
            _fill(store, manifest, label, _of_file(lines), command_line)
        return
    kind, of = (KMEANS, kmeans) if kmeans is not None else (RANDOM, str(random))
    stores = [_checked_store(store, manifest, of) for manifest in manifests]
    with output_folder(store / FOLDER):
        codebook = load_codebook(store, name)
        if codebook is None:
            fitted = _checked_store(store, read_manifest(manifest_file(data_dir, fit_split)), of)
            number = CODES[kind] if codes is None else codes
            print(f"{store}: {name}: {number} codes of {of}, by {fit_split}")
            if kind == KMEANS:
                codebook = fit_kmeans(fitted, of, number, seed, sample)
            else:
                codebook = draw_random(fitted, of, number, seed)
            save_codebook(store, name, codebook, command_line)
        else:
            wanted = {
                "kind": kind,
                "label": of,
                "codes": codes or CODES[kind],
                "seed": seed,
                "split": fit_split,
            }
            if kind == KMEANS:
                wanted["sample"] = sample
            _check_same(codebook, codebook_file(store, name), wanted)
    for manifest, reader in zip(manifests, stores, strict=True):
        if definition(reader, of) != codebook.of:
            raise PtselError(
                f"{reader.folder}, split {reader.split}: {of} is not defined as it was when the codebook {name} was "
                "made; give another name"
            )
        label = _label_of_codebook(name, codebook, reader)
        _fill(store, manifest, label, _of_codebook(codebook, reader), command_line)


def _kind(
    name: str, kmeans: str | None, random: str | None, file: Path | str | None
) -> tuple[str | None, str | None, Path | str | None]:
    given = [kind for kind in (kmeans, random, file) if kind is not None]
    if not given and name == HUBERT:
        return HUBERT_OF, None, None
    if len(given) != 1:
        raise PtselError(
            f"{name}: expected one of --kmeans LABEL, --random LABEL and --file FOLDER, found {len(given) or 'none'}"
        )
    return kmeans, random, file


def _check_name(name: str) -> None:
    registry.check_name(name)
    if name == ALL or name in POOLS or name in registry.names() or name in extra_labels():
        raise PtselError(
            f"{name}: this is the name of a label or pool that `ptsel extract` makes; choose another one"
        )


def _check_numbers(codes: int | None, sample: int) -> None:
    if codes is not None and not 2 <= codes <= LARGEST:
        raise PtselError(f"--codes: expected a number from 2 to {LARGEST}, found {codes}")
    if sample < 1:
        raise PtselError(f"--sample: expected a number of frames, found {sample}")


def _checked_store(store: Path, manifest: Manifest, of: str) -> LabelStore:
    """The store of a split; PtselError if it is of another manifest or other recordings, or lacks a label of values."""
    reader = LabelStore(store, manifest.split)
    reader.check_manifest(manifest)
    reader.check_recordings(manifest)
    if reader.info(of).codes is not None:
        raise PtselError(
            f"{reader.folder}, split {reader.split}: {of} is a label of codes already; take one of values"
        )
    return reader


def _check_same(codebook: Codebook, file: Path, wanted: Mapping[str, Any]) -> None:
    """Raise PtselError unless a codebook is what is asked for."""
    found = {"kind": codebook.kind, "label": codebook.label, **codebook.settings}
    for setting, value in wanted.items():
        if found.get(setting) != value:
            raise PtselError(
                f"{file}: this codebook was made with {setting} {found.get(setting)}, asked for is {value}; codes mean "
                "the same in all splits, so give another name"
            )


def _label_of_codebook(name: str, codebook: Codebook, store: LabelStore) -> Label:
    of, info = codebook.label, store.info(codebook.label)
    what = f"cluster of {of}" if codebook.kind == KMEANS else f"random code of {of}"
    parameters = {"kind": codebook.kind, "of": of, "codebook": codebook.checksum()}
    window = float(info.parameters.get("window_seconds", 0.0))
    return _label(name, codebook.codes, what, SOURCES[codebook.kind], window, parameters, info.undefined)


def _label_of_file(name: str, file: Path, codes: int, rate: int) -> Label:
    parameters = {"kind": "file", "file": file.name, "sha256": file_checksum(file), "rate": rate}
    return _label(name, codes, f"code of the file {file.name}", "a file", 0.0, parameters, None)


def _label(
    name: str,
    codes: int,
    what: str,
    source: str,
    window: float,
    parameters: dict[str, Any],
    undefined: str | None,
) -> Label:
    return Label(
        name, 1, UNIT, what, source, window, _not_of_a_waveform, undefined, parameters=parameters, codes=codes
    )


def _not_of_a_waveform(analysis: object) -> NoReturn:
    raise PtselError("codes are made by `ptsel codes`, not from a waveform")


def _of_codebook(codebook: Codebook, store: LabelStore) -> Coded:
    def coded(line: int) -> Track:
        valid = store.valid(codebook.label, line)
        found = np.where(valid, codebook.code(store.track(codebook.label, line)), 0)
        return Track(found[:, None], np.asarray(valid))

    return coded


def _of_file(lines: Sequence[np.ndarray]) -> Coded:
    return lambda line: Track(lines[line][:, None], np.ones(len(lines[line]), bool))


def _fill(store: Path, manifest: Manifest, label: Label, coded: Coded, command_line: str) -> None:
    """Write the codes of one split, going on where it was interrupted."""
    _check_not_another(store, manifest, label)
    dtype = "int16" if (label.codes or 0) <= np.iinfo(np.int16).max + 1 else "int32"
    writer = StoreWriter(store, manifest, [label], FrameGrid(), command_line, dtype)
    try:
        size = readable_size(writer.bytes_missing())
        todo = writer.open()
        if not writer.missing:
            print(f"{writer.folder}: {label.name} is there already")
            return
        with progress_bar(todo, desc=f"{label.name} of {manifest.split}", unit="file") as utterances:
            for utterance in utterances:
                writer.write(
                    utterance.index, {label.name: coded(utterance.index)}, writer.identity(utterance.index)
                )
        writer.finish()
    finally:
        writer.close()
    counts = LabelStore(store, manifest.split).statistics(label.name).counts
    used = 0 if counts is None else np.count_nonzero(counts)
    print(f"{writer.folder}: {label.name}, {used} of {label.codes} codes are used, {size}")


def _check_not_another(store: Path, manifest: Manifest, label: Label) -> None:
    """Raise PtselError if any split has codes of this name that are not the same, or this one was made otherwise."""
    for file in sorted(store.glob(f"*/{HEADER}")):
        header = read_header(file.parent)
        if label.name not in header["labels"]:
            continue
        info, where = header["labels"][label.name]["info"], f"{file.parent}: {label.name}"
        if info.get("codes") != label.codes:
            raise PtselError(
                f"{where} is there with {info.get('codes')} codes, this would have {label.codes}; give --codes "
                f"{info.get('codes')}, or another name"
            )
        own = file.parent.name == manifest.split and header["manifest_checksum"] == manifest.checksum
        decisive = (
            label.parameters.keys() if own else label.parameters.keys() & {"kind", "of", "codebook", "rate"}
        )
        if any(info["parameters"].get(key) != label.parameters[key] for key in decisive):
            raise PtselError(f"{where} is there and was made otherwise; give another name")
