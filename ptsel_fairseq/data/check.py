"""`ptsel check`: find in minutes what would stop or spoil a training run after hours."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.data_folder import manifests_of
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import Manifest, read_manifest
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.weights_file import check_weights, read_weights
from ptsel_fairseq.data.check_audio import Heard, check_audio, find_shared_paths
from ptsel_fairseq.data.check_targets import check_apart, check_classes, check_values
from ptsel_fairseq.data.findings import Finding, report
from ptsel_fairseq.data.make_manifest import LONG_SECONDS

if TYPE_CHECKING:
    from ptsel_fairseq.labels.store.reader import LabelStore

LEAST_SAMPLES = 16_000  # task.min_sample_size of the smallest recipe; the BASE recipe's is 32,000

Hours = dict[str, float]  # of each split, every file counted by its own rate


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
        manifests, hours, findings = find_all(
            Path(data_dir), classes, values, apart, store, weights, headers_only, jobs
        )
    if json:
        print(as_json(manifests, hours, findings))
    else:
        report(findings)
    fatal = sum(finding.fatal for finding in findings)
    if fatal:
        raise PtselError(f"{data_dir}: training would fail: {fatal} faults, listed above")
    if not json:
        print(
            f"{data_dir}: fit for training" + (f", with {len(findings)} warnings above" if findings else "")
        )


def as_json(manifests: Iterable[Manifest], hours: Hours, findings: Iterable[Finding]) -> str:
    """What was found, for a program: utterances and hours of each split, and every finding."""
    splits = {m.split: {"utterances": len(m), "hours": round(hours[m.split], 4)} for m in manifests}
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
) -> tuple[list[Manifest], Hours, list[Finding]]:
    """The manifests of a folder, their hours, and all that is wrong with them; says what each split holds."""
    manifests = read_manifests(data_dir)
    heard: Heard = {}
    hours: Hours = {}
    findings = []
    for manifest in manifests:
        hours[manifest.split], found = check_audio(manifest, headers_only, jobs, heard)
        findings += found
    findings += find_shared_paths(manifests)
    for manifest in manifests:
        findings += find_long(manifest) + find_short(manifest) + find_stripped(manifest)
        print(
            f"{manifest.split}: {len(manifest)} utterances, {hours[manifest.split]:.2f} h, audio in {manifest.root}"
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
    return manifests, hours, findings


def read_manifests(data_dir: Path) -> list[Manifest]:
    """All manifests of a folder, sorted by split; class files and other tables are passed over."""
    if not data_dir.is_dir():
        raise PtselError(f"{data_dir}: no such folder; expected one that holds <split>.tsv manifests")
    files = manifests_of(data_dir)
    if not files:
        raise PtselError(f"{data_dir}: expected manifests such as train.tsv and valid.tsv, found none")
    return [read_manifest(file) for file in files]


def find_short(manifest: Manifest) -> list[Finding]:
    """Recordings shorter than what fairseq trains on with the recipes, which leaves them out without a word."""
    short = int(np.count_nonzero(manifest.samples < LEAST_SAMPLES))
    if not short:
        return []
    everything = short == len(manifest)
    message = (
        f"{short} of {len(manifest)} utterances are shorter than task.min_sample_size of the recipes, "
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
        for line in np.flatnonzero(manifest.samples > LONG_SECONDS * SAMPLE_RATE).tolist()
        for utterance in [manifest.utterances[line]]
    ]


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
