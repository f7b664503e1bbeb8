"""The music labels with their shared spectra against one call of librosa for each, as a ratio from one run.

    python benchmarks/bench_music_labels.py [--seconds N] [--rounds N]

Both compute the pool `music` of the same synthetic piece on one core (librosa on its own frames); they take turns in
every round, medians are printed. librosa's median filters (harmonic and percussive parts) cost more than all the rest
together, so that a second pair leaves them out; a third one leaves out the constant-Q transform too, which both sides
leave to librosa: what remains comes from two short-time spectra. xRT is seconds of audio a second of one core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import librosa
import numpy as np
import torch
from common import Figure, finish, in_turns, medians, parse, parser_of, ratio

from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

GRID = FrameGrid()
POOL, APART = "the pool music", ", one librosa call each"
GOALS = {POOL: 10.0}
MEDIANS = ("harmonic_energy", "percussive_energy")
FROM_SPECTRA = ("chroma", "log_mel_long", "mfcc_deltas", "onset_strength", "spectral_centroid", "tempogram")


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="of music (default 60)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    options = parse(parser, arguments, {"seconds": 3, "rounds": 1})
    torch.set_num_threads(1)
    waveform = piece(options.seconds)
    names = [label.name for label in resolve(["music"])]
    without = [name for name in names if name not in MEDIANS]
    sets = {POOL: names, "music without the median filters": without, "music from spectra": FROM_SPECTRA}
    candidates: dict[str, Callable[[], object]] = {}
    for title, chosen in sets.items():
        candidates[title] = partial(compute_tracks, waveform, resolve(chosen), GRID)
        candidates[title + APART] = partial(separate_calls, waveform, chosen)
    times = in_turns(candidates, options.rounds)
    print(f"{options.seconds} s of music, one thread, {options.rounds} rounds")
    print("| what | xRT |\n| --- | --- |")
    for name, spent in medians(times).items():
        print(f"| {name} | {options.seconds / spent:.0f} |")
    return finish(
        options,
        [
            Figure(
                f"separate librosa calls, over {title}", ratio(times, title + APART, title), GOALS.get(title)
            )
            for title in sets
        ],
    )


def separate_calls(waveform: np.ndarray, names: Sequence[str]) -> None:
    """What a script does that asks librosa for each: every call begins with the waveform."""
    rate: dict[str, int] = {"sr": SAMPLE_RATE, "hop_length": GRID.hop}
    tuned = {**rate, "tuning": 0.0}  # it is estimated otherwise, which takes longer than the rest
    cqt = {"bins_per_octave": 12, "n_octaves": 7}
    calls: dict[str, Callable[[], object]] = {
        "chroma": lambda: librosa.feature.chroma_stft(y=waveform, n_fft=2048, **tuned),
        "chroma_cens": lambda: librosa.feature.chroma_cens(y=waveform, **tuned, **cqt),
        "chroma_cqt": lambda: librosa.feature.chroma_cqt(y=waveform, **tuned, **cqt),
        "cqt": lambda: np.abs(librosa.cqt(waveform, n_bins=84, **tuned)),
        "harmonic_energy": lambda: librosa.decompose.hpss(
            np.abs(librosa.stft(waveform, hop_length=GRID.hop))
        ),
        "log_mel_long": lambda: librosa.feature.melspectrogram(y=waveform, n_fft=2048, n_mels=80, **rate),
        "mfcc": lambda: librosa.feature.mfcc(y=waveform, n_mfcc=13, n_fft=512, n_mels=80, **rate),
        "mfcc_deltas": lambda: mfcc_with_deltas(waveform),
        "onset_strength": lambda: librosa.onset.onset_strength(y=waveform, **rate),
        "percussive_energy": lambda: None,  # with the harmonic one
        "rms_energy": lambda: librosa.feature.rms(y=waveform, hop_length=GRID.hop),
        "spectral_centroid": lambda: librosa.feature.spectral_centroid(y=waveform, n_fft=512, **rate),
        "spectral_contrast": lambda: librosa.feature.spectral_contrast(y=waveform, n_fft=2048, **rate),
        "tempo_ratio": lambda: librosa.feature.tempogram_ratio(y=waveform, **rate),
        "tempogram": lambda: librosa.feature.tempogram(y=waveform, **rate),
        "tonnetz": lambda: librosa.feature.tonnetz(y=waveform, **tuned, **cqt),
    }
    for name in names:
        calls[name]()


def mfcc_with_deltas(waveform: np.ndarray) -> list[np.ndarray]:
    found = librosa.feature.mfcc(
        y=waveform, sr=SAMPLE_RATE, hop_length=GRID.hop, n_mfcc=20, n_fft=512, n_mels=80
    )
    return [found, *(librosa.feature.delta(found, order=order) for order in (1, 2))]


def piece(seconds: int) -> np.ndarray:
    """Chords of four notes at 120 beats a minute, with a noise on every beat."""
    draw = np.random.default_rng(0)
    time_of_beat = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    beats = []
    for _ in range(2 * seconds):
        notes = librosa.midi_to_hz(draw.choice(np.arange(40, 80), 4, replace=False))
        wave = sum(np.sin(2 * np.pi * k * hertz * time_of_beat) / k for hertz in notes for k in (1, 2, 3))
        wave *= np.exp(-3 * time_of_beat)
        wave[:320] += draw.standard_normal(320)
        beats.append(wave)
    return (0.05 * np.concatenate(beats)).astype(np.float32)


if __name__ == "__main__":
    main()
