"""Pools: names for sets of labels, accepted wherever labels are named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ALL = "all"

# The seven labels of arXiv 2107.00594 and the ten of 2104.07388, by the columns that their code reads.
ZAIEM_SPEECH = ("alpha_ratio", "f0", "log_hnr", "rasta_l1", "rms_energy", "voicing", "zcr")
ZAIEM_INTERSPEECH = (*ZAIEM_SPEECH, "jitter", "loudness", "shimmer")


# The regression workers of PASE and PASE+ as far as they are labels: not their waveform decoder, nor the workers that
# tell pairs apart. PASE+'s long windows are there as `log_mel_long`.
PROSODY = ("f0", "rms_energy", "voicing", "zcr")
PASE = ("lps", "mfcc", *PROSODY)
PASE_PLUS = ("gammatone", "log_mel", "log_mel_long", "lps", "mfcc_deltas", *PROSODY)
# Harmony, rhythm and timbre; no published pool.
MUSIC = (
    "chroma", "chroma_cens", "chroma_cqt", "cqt", "harmonic_energy", "log_mel_long", "mfcc", "onset_strength",
    "percussive_energy", "rms_energy", "spectral_contrast", "tempo_ratio", "tempogram", "tonnetz",
)  # fmt: skip

POOLS: dict[str, tuple[str, ...]] = {
    "zaiem_speech": ZAIEM_SPEECH,
    "zaiem_interspeech": ZAIEM_INTERSPEECH,
    "pase": PASE,
    "pase_plus": PASE_PLUS,
    "music": MUSIC,
}


def expand(words: Iterable[str], everything: Sequence[str]) -> list[str]:
    """Label names for words that name labels or pools, sorted; ``all`` stands for `everything`."""
    found: set[str] = set()
    for word in words:
        found.update(everything if word == ALL else POOLS.get(word, (word,)))
    return sorted(found)
