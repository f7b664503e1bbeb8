"""Packaging of ptsel_fairseq; everything else about the tools is in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"', (HERE / "ptsel_fairseq/base/version.py").read_text(), re.M
).group(1)

# What a clone has beside the package and a wheel must have in it: ptsel_fairseq.base.bundled finds either.
BUNDLED = {"configs": "configs", "examples/asterisk": "asterisk"}


# The one place of the project's address; what it is good for is in CONTRIBUTING.md. None if it has none.
CITATION = HERE / "CITATION.cff"
ADDRESS = re.search(r'^repository-code: *"?(https?://[^"\s]+?)/?"?$', CITATION.read_text("utf-8"), re.M)
REPOSITORY = ADDRESS and ADDRESS.group(1)


def for_a_package_index(readme: str) -> str:
    """The README as a package index can show it: it has no files to link to, and installs by name.

    Links and pictures lead to the files of this version in REPOSITORY; without one they are left out.
    """
    readme = re.sub(r"<!--.*?-->\n?", "", readme, flags=re.S)
    picture, link = r"!\[([^\]]*)\]\((?!https?:)([^)]*)\)", r"\[([^\]]*)\]\((?!https?:|#)([^)]*)\)"
    if REPOSITORY:
        readme = re.sub(picture, rf"![\1]({REPOSITORY}/raw/v{VERSION}/\2)", readme)
        readme = re.sub(link, rf"[\1]({REPOSITORY}/blob/v{VERSION}/\2)", readme)
    else:
        readme = re.sub(rf"{picture}\n*", "", readme)
        readme = re.sub(link, r"\1", readme)
    return re.sub(r"pip install (['\"]?)\.(?=[\s\['\"])", r"pip install \1ptsel_fairseq", readme)


def project_urls() -> dict[str, str]:
    papers = {
        "Conditional independence for pretext task selection": "https://arxiv.org/abs/2104.07388",
        "Pretext tasks selection for multitask learning": "https://arxiv.org/abs/2107.00594",
    }
    if not REPOSITORY:
        return papers
    of_this_version = f"{REPOSITORY}/blob/v{VERSION}"
    return {
        "Homepage": REPOSITORY,
        "Documentation": f"{REPOSITORY}/tree/v{VERSION}/docs",
        "Changelog": f"{of_this_version}/CHANGELOG.md",
        **papers,
    }


class BuildWithBundled(build_py):
    """Copies recipes and example speech into the package that is built; an editable install reads them in place."""

    def bundled_files(self):
        for source, name in BUNDLED.items():
            for file in sorted((HERE / source).rglob("*")):
                if file.is_file() and file.suffix not in (".py", ".pyc"):
                    relative = Path("ptsel_fairseq/bundled", name, file.relative_to(HERE / source))
                    yield file, Path(self.build_lib) / relative

    def run(self):
        super().run()
        if not getattr(self, "editable_mode", False):
            for file, copy in self.bundled_files():
                copy.parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(str(file), str(copy))

    def get_outputs(self, include_bytecode=1):
        outputs = super().get_outputs(include_bytecode)
        if getattr(self, "editable_mode", False):
            return outputs
        return [*outputs, *(str(copy) for _, copy in self.bundled_files())]


setup(
    cmdclass={"build_py": BuildWithBundled},
    name="ptsel_fairseq",
    version=VERSION,
    description="Choose pretext labels by conditional independence and pretrain wav2vec 2.0 with them (fairseq plugin)",
    long_description=for_a_package_index((HERE / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
    license="MIT",
    author="The ptsel_fairseq developers",
    keywords=[
        *("self-supervised learning", "speech", "music", "wav2vec 2.0", "fairseq", "pretext tasks"),
        *("conditional independence", "HSIC", "multitask learning"),
    ],
    project_urls=project_urls(),
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
        "av>=12",
        "jiwer>=4",
        "shtab>=1.7",
        "soxr>=0.3.2",
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
        "downstream": [],  # its packages are requirements now; the name stays for those who wrote it down
        # Several distributions share fairseq's import name, so users may bring their own build instead.
        "fairseq": ["ve-fairseq>=0.12.3", "editdistance>=0.6", "tensorboardX>=2.5"],
        "dev": [
            "pytest>=7",
            "pytest-xdist>=3.2",
            "hypothesis>=6",
            "ruff>=0.6",
            "mypy>=1.10",
            "nbclient>=0.8",
            "nbformat>=5.7",
            "ipykernel>=6",
            "types-tqdm",
            "audiomentations>=0.43",
            "dask[distributed]>=2024.1",
            "dcor>=0.6",
            "mido>=1.3",
            "safetensors>=0.4",
            "transformers>=4.40",
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
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Intended Audience :: Science/Research",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
