"""From an empty folder to the two pools of recordings, their label stores and the English alignment."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from settings import (
    CLIPS_A_CHARACTER,
    CLIPS_A_LANGUAGE,
    CLIPS_A_SENTENCE,
    POOLS,
    TEST_SHARE,
    Settings,
)

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.manifest import Manifest, read_manifest

CORPORA = ("asterisk", "amazon-queen", "fish-fillets", "polish-emotions", "tonejs", "fluidr3mono")
LANGUAGES = ("en", "es", "fr", "it", "ru")
SPLITS = ("train", "valid", "test")
POOL_SPLIT = "pool"
TINY = 8  # recordings of each part


def prepare(settings: Settings) -> None:
    """Fetch, choose the recordings, align the English prompts, compute every label; what is there stays."""
    for name in CORPORA:
        if not (settings.corpora / name / "report.md").is_file():  # which `ptsel fetch` writes last
            ptsel(settings, f"fetch-{name}", "fetch", "--jobs", 1, name, settings.corpora / name)
    english = settings.corpora / "asterisk" / "en"
    if not (aligned(settings) / "phone.tsv").is_file():
        ptsel(
            settings, "align", "align", english, "--splits", *SPLITS, "--jobs", 1, "--out", aligned(settings)
        )
    for pool in POOLS:
        data = settings.out / "data" / pool
        paths = chosen_paths(settings, pool)
        rows = [f"{path}\t{samples}" for path, samples in sorted(paths.items())]
        text = "\n".join([str(settings.corpora), *rows]) + "\n"
        file = data / f"{POOL_SPLIT}.tsv"
        if not file.is_file() or file.read_text() != text:
            write_text(file, text)
        ptsel(
            settings, f"extract-{pool}", "extract", data, "--splits", POOL_SPLIT, "--labels", *settings.labels,
            "--store", settings.out / "store" / pool, "--dtype", "float16", "--jobs", 1,
        )  # fmt: skip


def aligned(settings: Settings) -> Path:
    return settings.out / "aligned"


def ptsel(settings: Settings, log: str, *words: object) -> None:
    """Run a command of the package; SystemExit with the end of its output if it fails."""
    command = [str(Path(sys.executable).parent / "ptsel"), *map(str, words)]
    file = settings.out / "logs" / f"{log}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    print("$ ptsel", *map(str, words), flush=True)
    with file.open("w") as output:
        code = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, env={"OMP_NUM_THREADS": "1", **os.environ}
        ).returncode
    if code:
        sys.exit(f"{file.read_text(errors='replace')[-3000:]}\nptsel {words[0]} failed; whole output: {file}")


def draw(key: str) -> float:
    """A number in [0, 1) from a checksum: the same on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def is_test(path: str) -> bool:
    """Whether a recording belongs to the test part, of every task; the takes 4 and 5 of the Polish words do."""
    if path.startswith("polish-emotions/"):
        return Path(path).stem[-1] in "45"
    return draw(f"label study {path}") < TEST_SHARE


def first_by_checksum(paths: Iterable[str], most: int) -> list[str]:
    return sorted(paths, key=draw)[:most]


def recordings(settings: Settings, corpus: str, splits: Iterable[str] = SPLITS) -> dict[str, int]:
    """Path below the corpora's folder -> samples, of the splits of a corpus (``asterisk/en``)."""
    found: dict[str, int] = {}
    for split in splits:
        file = settings.corpora / corpus / f"{split}.tsv"
        if file.is_file():
            manifest = read_manifest(file)
            found |= {f"{below(manifest, settings)}/{u.path}": u.samples for u in manifest}
    if not found:
        raise PtselError(f"{settings.corpora / corpus}: expected manifests of `ptsel fetch`, found none")
    return found


def below(manifest: Manifest, settings: Settings) -> str:
    return manifest.root.resolve().relative_to(settings.corpora.resolve()).as_posix()


def classes_of(settings: Settings, corpus: str, kind: str) -> dict[str, str]:
    """Path below the corpora's folder -> class of the whole recording."""
    folder = settings.corpora / corpus
    manifests = sorted(folder.rglob("train.tsv"))
    root = below(read_manifest(manifests[0]), settings)
    lines = (folder / "classes" / f"{kind}.tsv").read_text().splitlines()[1:]
    return {f"{root}/{path}": name for path, name in (line.split("\t") for line in lines)}


def by_class(classes: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, name in classes.items():
        found.setdefault(name, []).append(path)
    return dict(sorted(found.items()))


def chosen_paths(settings: Settings, pool: str) -> dict[str, int]:
    """The recordings of a pool and their samples, by path below the corpora's folder."""
    parts = speech_parts(settings) if pool == "speech" else music_parts(settings)
    lengths: dict[str, int] = {}
    for part, most in parts:
        for path in first_by_checksum(part, TINY if settings.tiny else most):
            lengths[path] = part[path]
    return lengths


def speech_parts(settings: Settings) -> list[tuple[dict[str, int], int]]:
    """Recordings to choose from, and how many."""
    everything = 10**9
    parts = [(recordings(settings, "asterisk/en"), everything)]
    parts += [(recordings(settings, f"asterisk/{name}"), CLIPS_A_LANGUAGE) for name in LANGUAGES[1:]]
    queen = recordings(settings, "amazon-queen")
    for kind, most in (("character_sure", CLIPS_A_CHARACTER), ("sentence", CLIPS_A_SENTENCE)):
        for paths in by_class(classes_of(settings, "amazon-queen", kind)).values():
            parts.append(({path: queen[path] for path in paths if path in queen}, most))
    czech = recordings(settings, "fish-fillets/cs", (*SPLITS, "other"))
    for kind, most in (("role_cs", CLIPS_A_CHARACTER), ("sentence_cs", CLIPS_A_SENTENCE)):
        for paths in by_class(classes_of(settings, "fish-fillets", kind)).values():
            parts.append(({path: czech[path] for path in paths if path in czech}, most))
    parts.append((recordings(settings, "fish-fillets/nl"), CLIPS_A_LANGUAGE))
    parts.append((recordings(settings, "polish-emotions"), everything))
    return parts


def music_parts(settings: Settings) -> list[tuple[dict[str, int], int]]:
    everything = 10**9
    return [
        (recordings(settings, "tonejs"), everything),
        (recordings(settings, "fluidr3mono", (*SPLITS, "other")), everything),
    ]
