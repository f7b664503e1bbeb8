"""A label of your own: the Hammarberg index, a measure of vocal effort.

    ptsel labels hammarberg_index --user-labels examples/own_label.py --plot FILE.wav --out picture.png
    ptsel extract DATA_DIR --labels hammarberg_index --user-labels examples/own_label.py --store STORE

The function gets one analysed waveform: `analysis.waveform` (float32, 16 kHz), `analysis.num_frames`, and
`analysis.frames(seconds)`, pieces of the waveform that are centred on the encoder's frames. It returns a value for
each frame, and a mask where there may be none. Raise `version` whenever the values change.
"""

import numpy as np

from ptsel_fairseq.labels.user import register

SECONDS = 0.025
POINTS = 512
SILENCE = 1e-10  # power of the strongest bin, -100 dB


@register(
    "hammarberg_index",
    unit="dB",
    description="strongest peak of the spectrum in 0-2 kHz over that in 2-5 kHz",
    source="Hammarberg et al. 1980; GeMAPS",
    window=SECONDS,
    undefined="digital silence",
    parameters={"edges_hz": [0, 2000, 5000]},
)
def hammarberg_index(analysis):
    frames = analysis.frames(SECONDS)
    spectrum = np.fft.rfft(frames * np.hanning(frames.shape[1]), POINTS)
    power = np.abs(spectrum) ** 2
    frequency = np.fft.rfftfreq(POINTS, 1 / analysis.grid.sample_rate)
    low = power[:, frequency < 2000].max(axis=1)
    high = power[:, (frequency >= 2000) & (frequency < 5000)].max(axis=1)
    heard = low > SILENCE
    return 10 * np.log10(np.maximum(low, SILENCE) / np.maximum(high, SILENCE)), heard
