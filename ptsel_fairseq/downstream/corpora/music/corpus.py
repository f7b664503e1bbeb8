"""The corpus `rendered-scores`: sheet music, planned, played, and described as every corpus is."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import (
    WholeFile,
    file_checksum,
    output_folder,
    readable_size,
    readable_time,
    write_lines,
    write_text,
)
from ptsel_fairseq.base.provenance import versions
from ptsel_fairseq.base.workers import available_cores
from ptsel_fairseq.downstream.corpora.corpus import Clip, Reading, Rendering
from ptsel_fairseq.downstream.corpora.music.fluidsynth import (
    FONT_SHA256,
    Synthesizer,
    check_installed,
    find_synthesizer,
)
from ptsel_fairseq.downstream.corpora.music.instruments import INSTRUMENTS
from ptsel_fairseq.downstream.corpora.music.library import Library, read_library
from ptsel_fairseq.downstream.corpora.music.plan import plan_clips
from ptsel_fairseq.downstream.corpora.music.playing import play
from ptsel_fairseq.downstream.corpora.music.render import Sheet, render_all

AUDIO, MIDI, PLAN, RECIPE = "audio", "midi", "plan.jsonl", "recipe.json"
CLIP_RATE = 50.0  # seconds of audio that one core plays in a second
READING = 90.0  # core-seconds that reading the sheet music takes
BYTES = 20_000  # of FLAC for a second of music at 16 kHz


def check(rendering: Rendering) -> None:
    """Raise PtselError for settings that make no corpus."""
    hours, seconds = rendering.hours, rendering.clip_seconds
    if not 0 < hours <= 1000:
        raise PtselError(f"--hours: expected more than 0 and at most 1000, found {hours:g}")
    if not 2 <= seconds <= 600:
        raise PtselError(f"--clip-seconds: expected 2 to 600, found {seconds:g}")
    if rendering.seed < 0:
        raise PtselError(f"--seed: expected a whole number from 0, found {rendering.seed}")
    if clips_of(rendering) < 1:
        raise PtselError(f"--hours: expected a clip of {seconds:g} s or more, found {hours:g} h")


def clips_of(rendering: Rendering) -> int:
    """How many clips the corpus has."""
    return round(rendering.hours * 3600 / rendering.clip_seconds)


def cost(rendering: Rendering, jobs: int | None) -> str:
    """What the corpus will take, before anything is done.

    Raises:
        PtselError: settings out of range, or FluidSynth or its sound font missing.
    """
    check(rendering)
    check_installed(rendering.soundfont)
    seconds = clips_of(rendering) * rendering.clip_seconds
    time = (seconds / CLIP_RATE + READING) / (jobs or available_cores())
    return (
        f"{clips_of(rendering):,} clips of {rendering.clip_seconds:g} s, {seconds / 3600:.2f} h: about "
        f"{readable_size(seconds * BYTES)} and {readable_time(time)}; an interrupted run goes on"
    )


def make_corpus(source: Path, out: Path, rendering: Rendering, jobs: int | None) -> Reading:
    """Plan the clips, play those that are not there, and write `PLAN` and `RECIPE` into `out`.

    Raises:
        PtselError: settings out of range, FluidSynth or its sound font missing, or sheet music that is not the
            corpus's.
    """
    check(rendering)
    synthesizer = find_synthesizer(rendering.soundfont)
    library = read_library(source / "music21" / "music21" / "corpus", jobs)
    with output_folder(out):
        return make_from(library, out, rendering, synthesizer, jobs)


def make_from(
    library: Library, out: Path, rendering: Rendering, synthesizer: Synthesizer, jobs: int | None
) -> Reading:
    """As `make_corpus`, of sheet music that was read."""
    works = {work.name: work for work in library.works}
    recipes = plan_clips(library, clips_of(rendering), rendering.clip_seconds, rendering.seed)
    sheets, clips = [], []
    labels: dict[str, list[tuple[str, str, float]]] = {}
    for recipe in recipes:
        played = play(works[recipe.work], recipe, rendering.clip_seconds)
        write_midi(out / MIDI, recipe.path, played.midi)
        sheets.append(Sheet(recipe.path, played.midi, recipe.reverb, recipe.peak))
        clips.append(
            Clip(recipe.path, (recipe.split,), classes=played.classes, segments={"bass": played.bass})
        )
        labels.setdefault(recipe.split, []).extend(
            (recipe.path, instrument.name, float(instrument.name in played.instruments))
            for instrument in INSTRUMENTS
        )
    write_lines(out / PLAN, [recipe.line() for recipe in recipes])
    made_by = recipe_of(out, rendering, synthesizer)
    write_text(out / RECIPE, json.dumps(made_by, indent=2, ensure_ascii=False) + "\n")
    render_all(sheets, out / AUDIO, rendering.clip_seconds, synthesizer, jobs)
    remarks = [*library.remarks(), counts_of(labels), font_remark(synthesizer)]
    return Reading(out / AUDIO, clips, labels=labels, remarks=remarks)


def write_midi(folder: Path, path: str, content: bytes) -> None:
    """Keep what a clip is played from, under its name and ``.mid``; a file that is there already is left as it is."""
    file = folder / Path(path).with_suffix(".mid")
    if not file.is_file() or file.read_bytes() != content:
        with WholeFile(file, sync=False) as out:  # it is compared before it is left as it is
            out.write(content)


def recipe_of(out: Path, rendering: Rendering, synthesizer: Synthesizer) -> dict:
    """What the corpus is made by: with these, another run makes the same plan and the same sound."""
    return {
        "hours": rendering.hours,
        "clip_seconds": rendering.clip_seconds,
        "seed": rendering.seed,
        "soundfont": {"file": synthesizer.font.name, "sha256": synthesizer.font_sha256},
        "fluidsynth": synthesizer.version,
        "packages": {file.name: file_checksum(file) for file in sorted((out / "packages").glob("*.*"))},
        "plan_sha256": file_checksum(out / PLAN),
        "versions": versions("numpy", "soundfile", "soxr"),
    }


def counts_of(labels: dict[str, list[tuple[str, str, float]]]) -> str:
    """In how many clips of each split each instrument is heard."""
    lines = []
    for split, rows in labels.items():
        counts = Counter(name for _, name, relevance in rows if relevance)
        lines.append(f"* {split}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    return (
        "Clips in which an instrument is heard; every clip is labelled for every instrument:\n\n"
        + "\n".join(lines)
    )


def font_remark(synthesizer: Synthesizer) -> str:
    """Which sound font played, and whether it is the one that figures of this package are measured with."""
    same = (
        ""
        if synthesizer.font_sha256 == FONT_SHA256
        else " (NOT the FluidR3 of Debian's 3.1-5.3: sounds differ)"
    )
    return (
        f"Played by FluidSynth {synthesizer.version} with {synthesizer.font.name}, "
        f"SHA-256 {synthesizer.font_sha256}{same}."
    )
