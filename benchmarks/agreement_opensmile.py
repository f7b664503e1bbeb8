"""Compare the labels with openSMILE's tracks on real speech: Pearson r, gross errors, voicing decisions.

    python benchmarks/agreement_opensmile.py [MANIFEST.tsv ...] [--minutes M] [--conditions clean noise ...]

Needs `pip install opensmile` (audEERING's research licence); F0 is also compared with Praat's if
`pip install praat-parselmouth` (GPL) is there. Without openSMILE it says so and ends well.

openSMILE's frame k starts at 10 k ms; a 20 ms frame is centred at 10 k + 10 ms, a 60 ms frame at 10 k + 30 ms. Two
columns come out. "same place": the labels on a frame grid whose centres are those of every second openSMILE frame,
which compares the definitions alone. "encoder": the labels on the encoder's grid (centres at 20 i + 12.5 ms),
openSMILE's tracks brought there by linear interpolation in time, as anyone would who aligns them by time stamp.
openSMILE works on 16-bit samples, so the waveforms are rounded to these for both.

Conditions: `clean`, as recorded; `noise` and `babble`, white noise and five other utterances at once, 20 dB below the
utterance; `narrowband`, 300 to 3400 Hz. Both sides hear the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ASTERISK, Figure, finish, parse, parser_of, read_waveforms, seconds_of
from scipy import signal
from tqdm import tqdm

from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.label import Track
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

HOP = 0.010  # seconds between openSMILE's frames
SHORT, LONG = 0.020, 0.060  # seconds of its frames
COMPARED = {
    # label: (feature set, column, length of the frame, how much later openSMILE answers)
    "loudness": ("eGeMAPSv02", "Loudness_sma3", SHORT, 0.0),
    "alpha_ratio": ("eGeMAPSv02", "alphaRatio_sma3", SHORT, 0.0),
    "rms_energy": ("ComParE_2016", "pcm_RMSenergy_sma", SHORT, 0.0),
    "zcr": ("ComParE_2016", "pcm_zcr_sma", LONG, 0.0),
    # Its RASTA filter only looks back: two frames.
    "rasta_l1": ("ComParE_2016", "audspecRasta_lengthL1norm_sma", SHORT, 0.020),
    "voicing": ("ComParE_2016", "voicingFinalUnclipped_sma", LONG, 0.0),
    "f0": ("ComParE_2016", "F0final_sma", LONG, 0.0),
    "log_hnr": ("eGeMAPSv02", "HNRdBACF_sma3nz", LONG, 0.0),
    "jitter": ("ComParE_2016", "jitterLocal_sma", LONG, 0.0),
    "shimmer": ("ComParE_2016", "shimmerLocal_sma", LONG, 0.0),
}
VOICED_ONLY = ("f0", "log_hnr", "jitter", "shimmer")
VOICE_QUALITY = ("jitter", "shimmer")
PRAAT_SPAN = 0.080  # seconds that Praat's values are asked of: a 60 ms window and the half steps beside it
GROSS = 0.2
SNR = 20.0  # dB
VOICES = 5  # of babble
MEANS = ", means of utterances"  # rows of which one r is taken over all utterances
FEWEST = 10  # frames of an utterance for a correlation
Rows = dict[str, list[float]]


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    bundled = [ASTERISK / f"{split}.tsv" for split in ("train", "valid")]
    parser.add_argument("manifests", nargs="*", type=Path, default=bundled, metavar="MANIFEST.tsv")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, metavar="M", help="of each manifest (default: all)"
    )
    parser.add_argument(
        "--conditions", nargs="+", choices=CONDITIONS, default=["clean"], help="default: %(default)s"
    )
    parser.add_argument(
        "--voice-quality", action="store_true", help="also jitter and shimmer, of which Praat's take long"
    )
    options = parse(parser, arguments, {"minutes": 0.1})
    try:
        import opensmile  # noqa: F401
    except ImportError:
        print("openSMILE is not installed (pip install opensmile); nothing compared")
        return []
    waveforms = [
        waveform
        for file in options.manifests
        for waveform in read_waveforms(read_manifest(file), minutes=options.minutes)
    ]
    print(f"{len(waveforms)} utterances, {seconds_of(waveforms) / 60:.1f} minutes\n")
    found = {}
    for condition in options.conditions:
        rng = np.random.default_rng(0)
        heard = [CONDITIONS[condition](waveforms, i, rng) for i in range(len(waveforms))]
        found[condition] = compare(
            [as_16_bit(w) for w in heard], [as_16_bit(w) for w in waveforms], options.voice_quality
        )
    for place in placements():
        print_table(place, {condition: found[condition] for condition in options.conditions})
    first = options.conditions[0]
    return finish(
        options,
        [
            Figure(
                f"r with openSMILE, {label}, {first}",
                float(np.nanmedian(found[first][f"{label}|same place"])),
            )
            for label in ("loudness", "alpha_ratio", "zcr", "rasta_l1", "f0 (log)")
        ],
    )


def as_16_bit(waveform: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(waveform * 2**15), -(2**15), 2**15 - 1).astype(np.float32) / 2**15


def clean(waveforms: Sequence[np.ndarray], index: int, rng: np.random.Generator) -> np.ndarray:
    return waveforms[index]


def white(waveforms: Sequence[np.ndarray], index: int, rng: np.random.Generator) -> np.ndarray:
    return joined(waveforms[index], rng.standard_normal(len(waveforms[index])))


def babble(waveforms: Sequence[np.ndarray], index: int, rng: np.random.Generator) -> np.ndarray:
    others = rng.choice([i for i in range(len(waveforms)) if i != index], VOICES, replace=False)
    return joined(waveforms[index], sum(np.resize(waveforms[i], len(waveforms[index])) for i in others))


def joined(waveform: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The two, the noise SNR decibels below."""
    gain = np.sqrt(np.mean(waveform**2) / np.mean(noise**2)) * 10 ** (-SNR / 20)
    return waveform + gain * noise


def narrowband(waveforms: Sequence[np.ndarray], index: int, rng: np.random.Generator) -> np.ndarray:
    band = signal.butter(4, (300, 3400), "bandpass", fs=SAMPLE_RATE, output="sos")
    return signal.sosfiltfilt(band, waveforms[index])


CONDITIONS = {"clean": clean, "noise": white, "babble": babble, "narrowband": narrowband}


def compare(waveforms: Sequence[np.ndarray], recorded: Sequence[np.ndarray], quality: bool = False) -> Rows:
    """Agreement of each utterance: row name -> one number an utterance. `recorded`, the same as they were recorded."""
    torch.set_num_threads(1)
    sets = opensmile_sets()
    praat = praat_f0()
    rows: Rows = {}
    for waveform, before in zip(tqdm(waveforms, unit="file"), recorded, strict=True):
        theirs = {name: extractor.process_signal(waveform, SAMPLE_RATE) for name, extractor in sets.items()}
        for place, grids in placements().items():
            labels = [label for label in COMPARED if quality or label not in VOICE_QUALITY]
            compare_one(waveform, theirs, labels, grids, place, rows)
        if praat is not None:
            ours, heard = compute_tracks(waveform, resolve(["f0"]), FrameGrid())["f0"], praat(waveform)
            compare_praat(ours, heard, theirs["ComParE_2016"], rows)
            if quality:
                compare_praat_quality(waveform, theirs["ComParE_2016"], rows)
            compare_f0(ours, praat(before), heard, theirs["ComParE_2016"], rows)
    return rows


def opensmile_sets() -> dict[str, Any]:
    """The extractors of frame-wise (low-level) tracks."""
    import opensmile

    level = opensmile.FeatureLevel.LowLevelDescriptors
    return {
        name: opensmile.Smile(opensmile.FeatureSet[name], level) for name in ("ComParE_2016", "eGeMAPSv02")
    }


def placements() -> dict[str, dict[float, FrameGrid]]:
    """For both columns the grid on which to compute labels, by the length of openSMILE's frame."""
    hop = round(2 * HOP * SAMPLE_RATE)
    same = {seconds: FrameGrid(hop, round(seconds * SAMPLE_RATE)) for seconds in (SHORT, LONG)}
    return {"same place": same, "encoder": {SHORT: FrameGrid(), LONG: FrameGrid()}}


def compare_one(
    waveform: np.ndarray,
    theirs: dict[str, Any],
    labels: Sequence[str],
    grids: dict[float, FrameGrid],
    place: str,
    rows: Rows,
) -> None:
    tracks = {grid: compute_tracks(waveform, resolve(labels), grid) for grid in set(grids.values())}
    for label in labels:
        name, column, length, late = COMPARED[label]
        grid = grids[length]
        values, valid = tracks[grid][label]
        centres = np.array([grid.centre(frame) for frame in range(len(values))]) / SAMPLE_RATE
        position = (centres - length / 2 + late) / HOP  # in openSMILE's frames
        track = theirs[name][column].to_numpy(dtype=np.float64)
        inside = (position >= 0) & (position <= len(track) - 1)
        ours, position = values[inside, 0].astype(np.float64), position[inside]
        voiced = interpolate_all(theirs["ComParE_2016"]["F0final_sma"].to_numpy() > 0, position)
        other = np.interp(position, np.arange(len(track)), track)
        if label == "voicing":
            record(rows, f"voicing, all frames|{place}", correlation(ours, other))
            record(rows, f"voicing, voiced frames|{place}", correlation(ours[voiced], other[voiced]))
        elif label not in VOICED_ONLY:
            record(rows, f"{label}|{place}", correlation(ours, other))
        else:
            own = valid[inside]
            if label != "f0":
                voiced &= interpolate_all(track != 0, position)
            both = voiced & own
            if label == "f0":
                unvoiced = ~interpolate_all(
                    theirs["ComParE_2016"]["F0final_sma"].to_numpy() > 0, position, combine=np.logical_or
                )
                decided = voiced | unvoiced
                record(rows, f"voiced or not|{place}", float(np.mean((own == voiced)[decided])))
                gross = np.abs(ours[both] / other[both] - 1) > GROSS
                record(rows, f"f0, gross errors|{place}", (int(gross.sum()), int(both.sum())))
                ours, other = np.log(ours[both][~gross]), np.log(other[both][~gross])
                record(rows, f"f0 (log)|{place}", correlation(ours, other))
            else:
                record(rows, f"{label}|{place}", correlation(ours[both], other[both]))
                record_means(rows, f"{label}{MEANS}|{place}", ours[both], other[both])


def interpolate_all(
    flags: np.ndarray, position: np.ndarray, combine: Callable[..., np.ndarray] = np.logical_and
) -> np.ndarray:
    """Whether both openSMILE frames around each position are flagged (or one, with `logical_or`)."""
    below = np.floor(position + 1e-9).astype(int)
    above = np.ceil(position - 1e-9).astype(int)
    return combine(flags[below], flags[above])


def praat_f0() -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None:
    """Praat's autocorrelation tracker (times in s, Hz with 0 for unvoiced), if it is installed."""
    try:
        import parselmouth
    except ImportError:
        return None

    def track(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sound = parselmouth.Sound(waveform.astype(np.float64), SAMPLE_RATE)
        pitch = sound.to_pitch_ac(time_step=HOP, pitch_floor=60.0, pitch_ceiling=600.0)
        return pitch.xs(), pitch.selected_array["frequency"]

    return track


def compare_praat(f0: Track, praat: tuple[np.ndarray, np.ndarray], compare: Any, rows: Rows) -> None:
    """Our F0 against Praat's (times, Hz); for scale, openSMILE's voicing decision against it."""
    grid = FrameGrid()
    (values, valid), (times, theirs) = f0, praat
    centres = np.array([grid.centre(frame) for frame in range(len(values))]) / SAMPLE_RATE
    position = (centres - times[0]) / HOP
    inside = (position >= 0) & (position <= len(theirs) - 1)
    position, ours, own = position[inside], values[inside, 0], valid[inside]
    voiced = interpolate_all(theirs > 0, position)
    unvoiced = ~interpolate_all(theirs > 0, position, combine=np.logical_or)
    other = np.interp(position, np.arange(len(theirs)), theirs)
    both = voiced & own
    gross = np.abs(ours[both] / other[both] - 1) > GROSS
    record(rows, "Praat: voiced or not|encoder", float(np.mean((own == voiced)[voiced | unvoiced])))
    smile = nearest(compare["F0final_sma"].to_numpy(), (centres[inside] - LONG / 2) / HOP) > 0
    clear = voiced | unvoiced
    record(rows, "Praat and openSMILE: voiced or not|encoder", float(np.mean((smile == voiced)[clear])))
    record(rows, "Praat: f0, gross errors|encoder", (int(gross.sum()), int(both.sum())))
    record(
        rows, "Praat: f0 (log)|encoder", correlation(np.log(ours[both][~gross]), np.log(other[both][~gross]))
    )


def compare_f0(
    f0: Track,
    recorded: tuple[np.ndarray, np.ndarray],
    praat: tuple[np.ndarray, np.ndarray],
    compare: Any,
    rows: Rows,
) -> None:
    """Gross errors of each tool against Praat's F0 of the utterance as it was recorded."""
    grid, (values, valid) = FrameGrid(), f0
    centres = np.array([grid.centre(frame) for frame in range(len(values))]) / SAMPLE_RATE
    truth = nearest(recorded[1], (centres - recorded[0][0]) / HOP)
    for name, found in (
        ("ours", np.where(valid, values[:, 0], 0)),
        ("openSMILE's", nearest(compare["F0final_sma"].to_numpy(), (centres - LONG / 2) / HOP)),
        ("Praat's", nearest(praat[1], (centres - praat[0][0]) / HOP)),
    ):
        both = (truth > 0) & (found > 0)
        wrong = np.abs(found[both] / truth[both] - 1) > GROSS
        record(
            rows,
            f"f0, {name}: gross errors against Praat's of the clean speech|encoder",
            (int(wrong.sum()), int(both.sum())),
        )


def nearest(track: np.ndarray, position: np.ndarray) -> np.ndarray:
    """A track's values at the frames nearest to the positions."""
    return track[np.clip(np.rint(position).astype(int), 0, len(track) - 1)]


def compare_praat_quality(waveform: np.ndarray, compare: Any, rows: Rows) -> None:
    """Jitter and shimmer of Praat's own marks in a span around each frame; for scale, openSMILE's against them."""
    import parselmouth
    from parselmouth.praat import call

    grid = FrameGrid()
    tracks = compute_tracks(waveform, resolve(VOICE_QUALITY), grid)
    sound = parselmouth.Sound(waveform.astype(np.float64), SAMPLE_RATE)
    pitch = sound.to_pitch_ac(time_step=HOP, pitch_floor=60.0, pitch_ceiling=600.0)
    marks = call([sound, pitch], "To PointProcess (cc)")
    for label, source, limits in (
        ("jitter", marks, (1e-4, 0.02, 1.3)),
        ("shimmer", [sound, marks], (1e-4, 0.02, 1.3, 1.6)),
    ):
        values, valid = tracks[label]
        centres = [grid.centre(frame) / SAMPLE_RATE for frame in range(len(values))]
        command = f"Get {label} (local)"
        theirs = np.array(
            [call(source, command, t - PRAAT_SPAN / 2, t + PRAAT_SPAN / 2, *limits) for t in centres]
        )
        both = valid & np.isfinite(theirs)
        record(rows, f"Praat: {label}|encoder", correlation(values[both, 0], theirs[both]))
        record_means(rows, f"Praat: {label}{MEANS}|encoder", values[both, 0], theirs[both])
        track = compare[COMPARED[label][1]].to_numpy()
        other = np.interp((np.array(centres) - LONG / 2) / HOP, np.arange(len(track)), track)
        both &= other > 0
        record(rows, f"Praat and openSMILE: {label}|encoder", correlation(other[both], theirs[both]))
        record_means(rows, f"Praat and openSMILE: {label}{MEANS}|encoder", other[both], theirs[both])


def correlation(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Pearson r; NaN where it says nothing (few frames, a constant)."""
    if len(ours) < FEWEST or ours.std() == 0 or theirs.std() == 0:
        return math.nan
    return float(np.corrcoef(ours, theirs)[0, 1])


def record(rows: Rows, key: str, value: Any) -> None:
    rows.setdefault(key, []).append(value)


def record_means(rows: Rows, key: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    if len(ours) >= FEWEST:
        record(rows, key, (float(ours.mean()), float(theirs.mean())))


def summary(name: str, numbers: list[Any]) -> str:
    if name.endswith(MEANS):
        return f"{correlation(*np.array(numbers).T):.4f}"
    if isinstance(numbers[0], tuple):
        wrong, compared = np.array(numbers).sum(axis=0)
        return f"{100 * wrong / max(compared, 1):.2f} %"
    return f"{np.nanmedian(numbers):.4f} / {np.nanmean(numbers):.4f}"


def print_table(place: str, found: dict[str, Rows]) -> None:
    """Median and mean of the utterances' figures, a column for each condition."""
    print(f"| {place} | {' | '.join(found)} |")
    print("| --- " * (1 + len(found)) + "|")
    first = next(iter(found.values()))
    for key in [key for key in first if key.endswith(f"|{place}")]:
        name = key.split("|")[0]
        print(f"| {name} | {' | '.join(summary(name, rows[key]) for rows in found.values())} |")
    print()


if __name__ == "__main__":
    main()
