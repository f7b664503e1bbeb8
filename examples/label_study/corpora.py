"""From an empty folder to the two pools of recordings, their label stores and the English alignment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from settings import (
    CLIPS_A_CHARACTER,
    CLIPS_A_LANGUAGE,
    CLIPS_A_SENTENCE,
    POOLS,
    TEST_SHARE,
    Settings,
)
from study_tools.fetched import SPLITS, classes_of, draw, fetch, first_by_checksum, ptsel, recordings

from ptsel_fairseq.base.files import write_text

CORPORA = ("asterisk", "amazon-queen", "fish-fillets", "polish-emotions", "tonejs", "fluidr3mono")
LANGUAGES = ("en", "es", "fr", "it", "ru")
POOL_SPLIT = "pool"
TINY = 8  # recordings of each part


def prepare(settings: Settings) -> None:
    """Fetch, choose the recordings, align the English prompts, compute every label; what is there stays."""
    fetch(settings, CORPORA)
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


def is_test(path: str) -> bool:
    """Whether a recording belongs to the test part, of every task; the takes 4 and 5 of the Polish words do."""
    if path.startswith("polish-emotions/"):
        return Path(path).stem[-1] in "45"
    return draw(f"label study {path}") < TEST_SHARE


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
