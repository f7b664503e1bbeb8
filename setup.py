"""Packaging of ptsel_fairseq; everything else about the tools is in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"', (HERE / "ptsel_fairseq/__init__.py").read_text(), re.M).group(1)

setup(
    name="ptsel_fairseq",
    version=VERSION,
    description="Choose pretext labels by conditional independence and pretrain wav2vec 2.0 with them (fairseq plugin)",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["ptsel_fairseq", "ptsel_fairseq.*"]),
    package_data={"ptsel_fairseq": ["py.typed"], "ptsel_fairseq.selection.output": ["report.html"]},
    # Lower bounds only: these live beside whatever else a researcher has installed.
    install_requires=[
        "numpy>=1.24",
        "scipy>=1.10",
        "torch>=2.6",
        "torchaudio>=2.6",
        "soundfile>=0.12.1",
        "librosa>=0.10.1",
        "omegaconf>=2.3",
        "entmax>=1.3",
        "tqdm>=4.60",
        "loky>=3.4",
        "threadpoolctl>=3.1",
        "scikit-learn>=1.3",
        "matplotlib>=3.7",
    ],
    extras_require={
        "align": ["pocketsphinx>=5.1"],
        "dask": ["dask[distributed]>=2024.1"],
        "distortion": ["audiomentations>=0.43"],
        "hf": ["safetensors>=0.4"],
        "lm": ["flashlight-text>=0.0.7", "kenlm>=0.3"],
        # Programs with licences of their own, for comparison; none is imported unless it is asked for.
        "opensmile": ["opensmile>=2.5"],
        "praat": ["praat-parselmouth>=0.4.3"],
        "world": ["pyworld>=0.3.4", "setuptools<81"],
        "docs": ["sphinx>=8", "myst-parser>=4", "furo>=2024.8.6"],
        "ray": ["ray[client]>=2.9"],
        "downstream": ["jiwer>=4", "av>=12"],
        # Several distributions share fairseq's import name, so users may bring their own build instead.
        "fairseq": ["ve-fairseq>=0.12.3", "editdistance>=0.6", "tensorboardX>=2.5"],
        "dev": [
            "pytest>=7",
            "pytest-xdist>=3.2",
            "hypothesis>=6",
            "ruff>=0.6",
            "mypy>=1.10",
            "types-tqdm",
            "audiomentations>=0.43",
            "dask[distributed]>=2024.1",
            "dcor>=0.6",
            "safetensors>=0.4",
            "transformers>=4.40",
            "jiwer>=4",
            "av>=12",
            "pocketsphinx>=5.1",
            "praat-parselmouth>=0.4.3",
            "flashlight-text>=0.0.7",
            "sphinx>=8",
            "myst-parser>=4",
            "furo>=2024.8.6",
        ],
    },
    entry_points={"console_scripts": ["ptsel = ptsel_fairseq.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: MIT License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
)
