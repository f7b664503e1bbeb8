"""`ptsel check`: find in minutes what would stop or spoil a training run after hours."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from ptsel_fairseq.base.data_folder import manifests_of
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import Manifest, read_manifest
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.weights_file import check_weights, read_weights
from ptsel_fairseq.base.workers import available_cores
from ptsel_fairseq.data.check_targets import check_apart, check_classes, check_values
from ptsel_fairseq.data.findings import Finding, report
from ptsel_fairseq.data.inspection import inspect_file
from ptsel_fairseq.data.make_manifest import LONG_SECONDS

if TYPE_CHECKING:
    from ptsel_fairseq.labels.store.reader import LabelStore

LEAST_SAMPLES = 16_000  # task.min_sample_size of the smallest recipe; the BASE recipe's is 32,000

# By fingerprint of an audio content where it was first: split, file, and how messages name the utterance.
Heard = dict[str, tuple[str, Path, str]]


def check_command(
    data_dir: Path | str,
    *,
    classes: Path | str | None = None,
    values: Path | str | None = None,
    apart: Path | str | None = None,
    store: Path | str | None = None,
    weights: Path | str | None = None,
    headers_only: bool = False,
    jobs: int | None = None,
    json: bool = False,
) -> None:
    """Check every manifest of a folder and what goes with it; print a report.

    Args:
        json: print the splits and the findings for a program, and nothing else.

    Raises:
        PtselError: if training would fail.
    """
    with contextlib.redirect_stdout(io.StringIO()) if json else contextlib.nullcontext():
        manifests, findings = find_all(
            Path(data_dir), classes, values, apart, store, weights, headers_only, jobs
        )
    if json:
        print(as_json(manifests, findings))
    else:
        report(findings)
    fatal = sum(finding.fatal for finding in findings)
    if fatal:
        raise PtselError(f"{data_dir}: training would fail: {fatal} faults, listed above")
    if not json:
        print(
            f"{data_dir}: fit for training" + (f", with {len(findings)} warnings above" if findings else "")
        )


def as_json(manifests: Iterable[Manifest], findings: Iterable[Finding]) -> str:
    """What was found, for a program: utterances and hours of each split, and every finding."""
    splits = {m.split: {"utterances": len(m), "hours": round(real_hours(m), 4)} for m in manifests}
    return dumps({"splits": splits, "findings": [asdict(finding) for finding in findings]}, indent=1)


def find_all(
    data_dir: Path,
    classes: Path | str | None,
    values: Path | str | None,
    apart: Path | str | None,
    store: Path | str | None,
    weights: Path | str | None,
    headers_only: bool,
    jobs: int | None,
) -> tuple[list[Manifest], list[Finding]]:
    """The manifests of a folder and all that is wrong with them; says what each split holds."""
    manifests = read_manifests(data_dir)
    heard: Heard = {}
    findings = [
        finding for manifest in manifests for finding in check_audio(manifest, headers_only, jobs, heard)
    ]
    findings += find_shared_paths(manifests)
    for manifest in manifests:
        findings += find_long(manifest) + find_short(manifest) + find_stripped(manifest)
        print(
            f"{manifest.split}: {len(manifest)} utterances, {real_hours(manifest):.2f} h, audio in {manifest.root}"
        )
    if len(manifests) == 1:
        message = "no split to validate on; training stops unless dataset.disable_validation=true is given"
        findings.append(Finding("no validation", False, str(data_dir), message))
    if classes is not None:
        findings += check_classes(Path(classes), manifests)
    if values is not None:
        findings += check_values(Path(values), manifests)
    if apart is not None:
        findings += check_apart(Path(apart), manifests)
    if store is not None:
        findings += check_store(Path(store), manifests, weights, headers_only)
    return manifests, findings


def read_manifests(data_dir: Path) -> list[Manifest]:
    """All manifests of a folder, sorted by split; class files and other tables are passed over."""
    if not data_dir.is_dir():
        raise PtselError(f"{data_dir}: no such folder; expected one that holds <split>.tsv manifests")
    files = manifests_of(data_dir)
    if not files:
        raise PtselError(f"{data_dir}: expected manifests such as train.tsv and valid.tsv, found none")
    return [read_manifest(file) for file in files]


def check_audio(
    manifest: Manifest, headers_only: bool, jobs: int | None, heard: Heard | None = None
) -> list[Finding]:
    """Look at every file of a split; with `headers_only` without decoding it.

    Args:
        heard: the audio of the splits before, which is added to: recordings in two splits under two names are found.
    """
    heard = {} if heard is None else heard
    findings = []
    seen_paths: dict[str, int] = {}
    inspect = partial(inspect_file, headers_only=headers_only)
    arguments = [(manifest.audio_path(utterance), utterance.samples) for utterance in manifest]
    with concurrent.futures.ProcessPoolExecutor(max_workers=jobs or available_cores()) as pool:
        facts = pool.map(inspect, *zip(*arguments, strict=True), chunksize=16)
        progress = progress_bar(facts, total=len(arguments), desc=f"checking {manifest.split}", unit="file")
        for utterance, fact in zip(manifest, progress, strict=True):
            place = manifest.where(utterance)
            findings += [Finding(kind, fatal, place, message) for kind, fatal, message in fact.findings]
            if utterance.path in seen_paths:
                line = seen_paths[utterance.path] + 2
                findings.append(Finding("duplicate", False, place, f"the same path as on line {line}"))
            elif fact.fingerprint in heard:
                split, path, twin = heard[fact.fingerprint]
                if split == manifest.split:
                    findings.append(Finding("duplicate", False, place, f"the same audio as {twin}"))
                elif path != manifest.audio_path(utterance):  # the same path is found by `find_shared_paths`
                    findings.append(Finding("in two splits", False, place, f"the same audio as {twin}"))
            seen_paths.setdefault(utterance.path, utterance.index)
            if fact.fingerprint:
                heard.setdefault(fact.fingerprint, (manifest.split, manifest.audio_path(utterance), place))
    return findings


def real_hours(manifest: Manifest) -> float:
    """Hours of a split, each file counted by its own rate; one that cannot be read is taken to be at 16 kHz."""
    import soundfile

    seconds = 0.0
    for utterance in manifest:
        try:
            seconds += utterance.samples / soundfile.info(manifest.audio_path(utterance)).samplerate
        except soundfile.LibsndfileError:
            seconds += utterance.samples / SAMPLE_RATE
    return seconds / 3600


def find_short(manifest: Manifest) -> list[Finding]:
    """Recordings shorter than what fairseq trains on with the recipes, which leaves them out without a word."""
    short = [utterance for utterance in manifest if utterance.samples < LEAST_SAMPLES]
    if not short:
        return []
    everything = len(short) == len(manifest)
    message = (
        f"{len(short)} of {len(manifest)} utterances are shorter than task.min_sample_size of the recipes, "
        f"{LEAST_SAMPLES} samples, and are left out"
        + ("; training stops; set it lower" if everything else "")
    )
    return [Finding("shorter than min_sample_size", everything, str(manifest.file), message)]


def find_stripped(manifest: Manifest) -> list[Finding]:
    """Paths that fairseq reads without the blanks at their ends, so that it does not find the files."""
    return [
        Finding(
            "blank at an end", True, manifest.where(utterance), "fairseq strips the path; rename the file"
        )
        for utterance in manifest
        if utterance.path != utterance.path.strip()
    ]


def find_long(manifest: Manifest) -> list[Finding]:
    """Recordings far longer than a crop, of which an epoch of training sees a small part."""
    return [
        Finding(
            "long",
            False,
            manifest.where(utterance),
            f"{utterance.samples / SAMPLE_RATE:.0f} s, and an epoch of training takes one crop of it; "
            "`ptsel convert --split-long 30` cuts at silences",
        )
        for utterance in manifest
        if utterance.samples > LONG_SECONDS * SAMPLE_RATE
    ]


def find_shared_paths(manifests: Iterable[Manifest]) -> list[Finding]:
    """Utterances that are in two splits, so that validation would see training data."""
    first_split: dict[Path, str] = {}
    findings = []
    for manifest in manifests:
        for utterance in manifest:
            path = manifest.audio_path(utterance)
            split = first_split.setdefault(path, manifest.split)
            if split != manifest.split:
                where = manifest.where(utterance)
                findings.append(Finding("in two splits", False, where, f"is in {split} as well"))
    return findings


def check_store(
    store: Path, manifests: list[Manifest], weights: Path | str | None, headers_only: bool = False
) -> list[Finding]:
    """Compare each split that the store holds with its manifest and its checksums, and the weights with its labels."""
    from ptsel_fairseq.labels.store.reader import LabelStore

    findings = []

    def attempt(kind: str, action: Callable[[], object]) -> None:
        try:
            action()
        except PtselError as error:
            findings.append(Finding(kind, True, str(store), str(error)))

    for manifest in manifests:
        if (store / manifest.split).is_dir():
            attempt("store", partial(_compare_with_store, store, manifest, not headers_only))
            if not headers_only:
                findings += check_arrays(store, manifest.split)
        else:
            findings.append(
                Finding("not extracted", False, str(store), f"no labels of the split {manifest.split}")
            )
    if weights is not None:
        lambdas, sum_to_one = read_weights(weights)
        labels = LabelStore(store, "train").labels
        attempt("weights", lambda: check_weights(lambdas, labels, sum_to_one))
    return findings


def _compare_with_store(store: Path, manifest: Manifest, thorough: bool) -> None:
    """Whether the store is of this manifest, and the files hold the recordings that its labels are of."""
    from ptsel_fairseq.labels.store.reader import LabelStore

    found = LabelStore(store, manifest.split)
    found.check_manifest(manifest)
    found.check_recordings(manifest, thorough)


def check_packs(store: LabelStore) -> list[Finding]:
    """Packed copies of a split that are damaged, or of another state of the store."""
    from ptsel_fairseq.labels.store.pack import packs_of

    try:
        fitting, old = packs_of(store)
        damaged = [pack for pack, checksum in fitting if pack.crc32() != checksum]
    except PtselError as error:
        return [Finding("store", True, str(store.folder), str(error))]
    again = "make it again with `ptsel extract --pack`"
    outdated = f"is of another state of the store and is not used; {again}"
    spoiled = f"the packed copy is not what was written (CRC-32); {again}"
    return [
        *(Finding("packed copy", False, str(file), outdated) for file in old),
        *(Finding("store", True, str(pack.file), spoiled) for pack in damaged),
    ]


def check_arrays(store: Path, split: str) -> list[Finding]:
    """Arrays of a split that are not those that were written; nothing if the header cannot be read."""
    from ptsel_fairseq.base.files import file_checksum
    from ptsel_fairseq.labels.store.reader import LabelStore

    try:
        opened = LabelStore(store, split)
        checksums = opened.checksums()
    except PtselError:  # said already
        return []
    findings = check_packs(opened)
    advice = f"remove {store / split} and extract it again"
    for file, expected in progress_bar(checksums.items(), desc=f"store of {split}", unit="array"):
        if not file.is_file():
            findings.append(Finding("store", True, str(file), f"no such array; {advice}"))
        elif file_checksum(file) != expected:
            message = f"its content is not what was written (its SHA-256 differs from the header's); {advice}"
            findings.append(Finding("store", True, str(file), message))
    return findings
