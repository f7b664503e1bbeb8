"""The labels that come with the package, as data; what each computes is in the module that it names."""

from __future__ import annotations

from ptsel_fairseq.labels.label import Label, late

SILENCE = "digital silence"
IRREGULAR = "unvoiced frames and those with fewer than three regular periods"
PERIODS = {"search_periods": [0.8, 1.25], "least_correlation": 0.3, "largest_period_factor": 1.3}
CQT = {"bins": 84, "bins_per_octave": 12, "lowest_hz": 32.70}
MEDIANS = {"frames": 31, "bins": 31, "floor_db": -100}

PROSODY = (
    Label(
        "loudness", 1, "arbitrary", "sum of compressed, equal-loudness weighted auditory bands",
        "Hermansky 1990", 0.020, late("spectral.loudness", "spectra", "grid"),
        parameters={"bands": 26, "range_hz": [20, 8000], "compression": 0.33},
    ),
    Label(
        "rms_energy", 1, "full scale", "root mean square", "definition", 0.020,
        late("pitch.rms_energy", "waveform", "grid"),
    ),
    Label(
        "f0", 1, "Hz", "fundamental frequency by sub-harmonic summation and a smooth path", "Hermes 1988", 0.060,
        late("pitch.f0", "pitch"), whole=("pitch",), undefined="unvoiced frames", unvoiced_value=0.0,
        parameters={"range_hz": [52, 620], "harmonics": 15, "compression": 0.85, "voicing_threshold": 0.68},
    ),
    Label(
        "voicing", 1, "0 to 1", "strength of the best pitch candidate", "Hermes 1988", 0.060,
        late("pitch.voicing", "pitch"), whole=("pitch",), parameters={"silence_rms": 1e-3},
    ),
    Label(
        "alpha_ratio", 1, "dB", "power in 1-5 kHz over power in 50 Hz-1 kHz", "Sundberg and Nordenberg 2006; GeMAPS",
        0.020, late("spectral.alpha_ratio", "spectra", "grid"), version=2,  # 2: the low band from 31 Hz
    ),
    Label(
        "zcr", 1, "crossings/sample", "zero-crossing rate", "definition", 0.060,
        late("pitch.zcr", "waveform", "grid"),
    ),
    Label(
        "rasta_l1", 1, "arbitrary", "L1 norm of the RASTA-filtered auditory spectrum", "Hermansky and Morgan 1994",
        0.020, late("spectral.rasta_l1", "spectra", "grid", "rasta"),
        parameters={"lower_edge_hz": 1.0, "warm_up_half_steps": 4},
    ),
    Label(
        "log_hnr", 1, "dB", "harmonics-to-noise ratio from the autocorrelation at the pitch period", "Boersma 1993",
        0.060, late("pitch.log_hnr", "waveform", "pitch", "grid"), whole=("pitch",), undefined="unvoiced frames",
        unvoiced_value=-100.0,
    ),
    Label(
        "audspec_l1", 1, "arbitrary", "L1 norm of the auditory spectrum; the same values as `loudness`",
        "Hermansky 1990", 0.020, late("spectral.loudness", "spectra", "grid"),
        parameters={"bands": 26, "range_hz": [20, 8000], "compression": 0.33},
    ),
    Label(
        "jitter", 1, "relative", "mean difference of neighbouring periods over the mean period",
        "Boersma 1993; openSMILE's jitterLocal", 0.060,
        late("voice_quality.jitter", "periods", "pitch", "num_samples", "grid"), whole=("pitch",), undefined=IRREGULAR,
        unvoiced_value=0.0, parameters=PERIODS,
    ),
    Label(
        "shimmer", 1, "relative", "mean difference of neighbouring periods' amplitudes over the mean amplitude",
        "Boersma 1993; openSMILE's shimmerLocal", 0.060,
        late("voice_quality.shimmer", "periods", "pitch", "num_samples", "grid"), whole=("pitch",), undefined=IRREGULAR,
        unvoiced_value=0.0, parameters=PERIODS,
    ),
)  # fmt: skip

SPECTRAL = (
    Label(
        "log_mel", 80, "dB", "80 mel bands of the power spectrum", "Slaney's mel scale, as librosa", 0.025,
        lambda analysis: analysis.log_mel, parameters={"range_hz": [0, 8000], "floor_db": -100},
    ),
    Label(
        "log_mel_long", 80, "dB", "80 mel bands of long spectra", "Slaney's mel scale; PASE+'s long windows", 0.128,
        late("spectral.log_mel", "long_power", "grid"), parameters={"range_hz": [0, 8000], "floor_db": -100},
    ),
    Label(
        "lps", 257, "dB", "power spectrum in 257 bins", "PASE", 0.025, late("spectral.lps", "power"),
        parameters={"floor_db": -100},
    ),
    Label(
        "gammatone", 64, "dB", "64 gammatone bands", "Patterson et al. 1992; Glasberg and Moore 1990", 0.025,
        late("spectral.gammatone", "power", "grid"), parameters={"range_hz": [50, 8000], "order": 4, "floor_db": -100},
    ),
    Label(
        "mfcc", 39, "dB", "13 mel-frequency cepstral coefficients, first and second derivatives",
        "Davis and Mermelstein 1980", 0.025, late("cepstral.mfcc", "log_mel"),
        parameters={"coefficients": 13, "delta_width": 9},
    ),
    Label(
        "mfcc_deltas", 60, "dB", "20 mel-frequency cepstral coefficients, first and second derivatives",
        "Davis and Mermelstein 1980; PASE+", 0.025, late("cepstral.mfcc_deltas", "log_mel"),
        parameters={"coefficients": 20, "delta_width": 9},
    ),
    Label(
        "plp", 13, "log", "cepstra of perceptual linear prediction, 0 to 12", "Hermansky 1990, as HTK", 0.020,
        late("cepstral.plp", "spectra"), parameters={"order": 12, "bands": 26, "compression": 0.33},
    ),
    Label(
        "spectral_centroid", 1, "Hz", "mean frequency of the magnitude spectrum", "as librosa", 0.025,
        late("spectral_shape.centroid", "power", "grid"), undefined=SILENCE,
    ),
    Label(
        "spectral_bandwidth", 1, "Hz", "standard deviation of frequency in the magnitude spectrum", "as librosa",
        0.025, late("spectral_shape.bandwidth", "power", "grid"), undefined=SILENCE,
    ),
    Label(
        "spectral_rolloff", 1, "Hz", "frequency below which 85 % of the magnitude spectrum lies", "as librosa", 0.025,
        late("spectral_shape.rolloff", "power", "grid"), undefined=SILENCE, parameters={"share": 0.85},
    ),
    Label(
        "spectral_flatness", 1, "0 to 1", "geometric over arithmetic mean of the power spectrum", "as librosa", 0.025,
        late("spectral_shape.flatness", "power"), undefined=SILENCE,
    ),
    Label(
        "spectral_entropy", 1, "0 to 1", "entropy of the power spectrum over its largest", "Misra et al. 2004", 0.025,
        late("spectral_shape.entropy", "power"), undefined=SILENCE,
    ),
    Label(
        "spectral_flux", 1, "0 to 1.4", "change of the scaled magnitude spectrum over one hop",
        "Tzanetakis and Cook 2002", 0.025, late("spectral_shape.flux", "between_power"),
    ),
    Label(
        "spectral_contrast", 7, "dB", "peaks over valleys in seven octave bands", "Jiang et al. 2002; bands as librosa",
        0.128, late("spectral_shape.contrast", "long_power", "grid"), parameters={"lowest_hz": 200, "quantile": 0.02},
    ),
)  # fmt: skip

MUSIC = (
    Label(
        "chroma", 12, "0 to 1", "energy by pitch class, C to B, over the strongest", "as librosa's chroma_stft", 0.128,
        late("music.chroma", "long_power", "grid"), parameters={"a4_hz": 440},
    ),
    Label(
        "chroma_cqt", 12, "0 to 1", "constant-Q magnitude by pitch class, over the strongest", "as librosa", 1.0,
        late("music.chroma_cqt", "cqt_magnitude"), parameters=CQT,
    ),
    Label(
        "chroma_cens", 12, "0 to 1", "pitch classes quantised and smoothed over 41 frames", "Müller and Ewert 2011",
        1.8, late("music.chroma_cens", "cqt_magnitude"), parameters=CQT,
    ),
    Label(
        "cqt", 84, "dB", "constant-Q spectrum in semitones from C1", "Schörkhuber and Klapuri 2010, as librosa", 1.0,
        late("music.cqt", "cqt_magnitude"), parameters={**CQT, "floor_db": -100},
    ),
    Label(
        "tonnetz", 6, "-1 to 1", "tonal centroids: circles of fifths, minor and major thirds", "Harte et al. 2006",
        1.0, late("music.tonnetz", "cqt_magnitude"), parameters=CQT,
    ),
    Label(
        "onset_strength", 1, "dB", "mean rise of the mel bands since the frame before",
        "Böck and Widmer 2013, as librosa", 0.045,
        lambda analysis: analysis.onset_strength, whole=("loudest",), parameters={"bands": 80, "range_db": 80},
    ),
    Label(
        "tempogram", 88, "0 to 1", "autocorrelation of the onset strength, 240 to 30 beats a minute",
        "Grosche et al. 2010, as librosa", 7.68, late("music.tempogram", "tempogram_lags", "grid"), whole=("loudest",),
        parameters={"frames": 384, "range_bpm": [30, 240]},
    ),
    Label(
        "tempo_ratio", 13, "0 to 1", "tempogram at metrical multiples of the tempo", "Prockup et al. 2015, as librosa",
        7.68, late("music.tempo_ratio", "tempogram_lags", "grid"), whole=("loudest",), parameters={"frames": 384},
    ),
    Label(
        "harmonic_energy", 1, "dB", "energy of what is steady in time", "FitzGerald 2010, as librosa", 0.728,
        lambda analysis: analysis.harmonic_percussive[0], parameters=MEDIANS,
    ),
    Label(
        "percussive_energy", 1, "dB", "energy of what is spread in frequency", "FitzGerald 2010, as librosa", 0.728,
        lambda analysis: analysis.harmonic_percussive[1], parameters=MEDIANS,
    ),
)  # fmt: skip

LABELS = PROSODY + SPECTRAL + MUSIC
