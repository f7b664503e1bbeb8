"""FluidSynth: MIDI and a sound font -> a waveform, by the program of that name."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import file_checksum

PROGRAM = "fluidsynth"
RATE = 44100
INSTALL = "apt-get install fluidsynth fluid-soundfont-gm"
FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
FONT_SHA256 = "74594e8f4250680adf590507a306655a299935343583256f3b722c48a1bc1cb0"  # of Debian's 3.1-5.3
VERSION = re.compile(r"FluidSynth (?:runtime version|executable version)?\s*(\d+(?:\.\d+)+)")


@dataclass(frozen=True)
class Synthesizer:
    """What clips are played by.

    Attributes:
        font: the sound font's file; `font_sha256` is its checksum.
        version: of FluidSynth.
    """

    font: Path
    font_sha256: str
    version: str


def find_synthesizer(font: Path | None) -> Synthesizer:
    """FluidSynth and its sound font; `font` takes the place of `FONT`.

    Raises:
        PtselError: one of them is missing, with what to install.
    """
    version, found = check_installed(font)
    return Synthesizer(found, file_checksum(found), version)


def check_installed(font: Path | None) -> tuple[str, Path]:
    """FluidSynth's version and the sound font's file, whose content is not read; raises as `find_synthesizer`."""
    version = program_version()
    found = (font or FONT).resolve()
    if not found.is_file():
        advice = "give another file to --soundfont" if font else f"run `{INSTALL}`, or give --soundfont FILE"
        raise PtselError(f"{found}: no such sound font; {advice}")
    with found.open("rb") as content:
        head = content.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise PtselError(f"{found}: expected a sound font (RIFF sfbk), found {head!r}; give another file")
    return version, found


@lru_cache(maxsize=1)
def program_version() -> str:
    """FluidSynth's version.

    Raises:
        PtselError: it is not installed or does not run.
    """
    if shutil.which(PROGRAM) is None:
        raise PtselError(f"{PROGRAM}: no such command; run `{INSTALL}`")
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = VERSION.search(done.stdout + done.stderr)
    if not found:
        raise PtselError(
            f"{PROGRAM} --version: expected a version, found {done.stdout[:80]!r}; run `{INSTALL}`"
        )
    return found[1]


def render(
    synthesizer: Synthesizer, midi: bytes, reverb: tuple[float, float, float, float], samples: int
) -> np.ndarray:
    """The waveform of a MIDI file, float32 [samples], both channels averaged, at `RATE`.

    Args:
        reverb: room size, damping, width and level.
        samples: to which it is cut or filled with silence.

    Raises:
        PtselError: FluidSynth fails, with its last line.
    """
    import soundfile

    room, damping, width, level = reverb
    settings = {
        "synth.dynamic-sample-loading": 1,  # only the sounds that are played
        "synth.cpu-cores": 1,
        "synth.chorus.active": 0,
        "synth.reverb.active": 1,
        "synth.reverb.room-size": room,
        "synth.reverb.damp": damping,
        "synth.reverb.width": width,
        "synth.reverb.level": level,
        "synth.gain": 0.3,
        "player.timing-source": "sample",
    }
    with tempfile.TemporaryDirectory() as folder:
        music, sound = Path(folder) / "clip.mid", Path(folder) / "clip.wav"
        music.write_bytes(midi)
        command = [PROGRAM, "-n", "-i", "-q", "-r", str(RATE), "-T", "wav", "-O", "float", "-F", str(sound)]
        for name, value in settings.items():
            command += ["-o", f"{name}={value}"]
        command += [str(synthesizer.font), str(music)]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
        )
        if done.returncode or not sound.is_file():
            said = (done.stderr or done.stdout).strip().splitlines()
            raise PtselError(f"{PROGRAM}: {said[-1] if said else 'failed without a word'}")
        played, rate = soundfile.read(sound, dtype="float32", always_2d=True, frames=samples)
    if rate != RATE:
        raise PtselError(f"{PROGRAM}: expected {RATE} Hz, found {rate} Hz")
    waveform = np.zeros(samples, np.float32)
    waveform[: len(played)] = played.mean(axis=1)
    return waveform
