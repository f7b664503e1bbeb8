"""Every command that writes files, each on a small input."""

from __future__ import annotations

import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import soundfile
from commands import Command, run
from common import ASTERISK, ROOT

from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.base.manifest import read_manifest

CLIPS = 12
LABELS = ("rms_energy", "zcr")


def prepare(base: Path) -> list[Command]:
    """Make the inputs in a folder and the commands that read them; run those that later ones need."""
    audio, data = base / "audio", base / "data"
    manifest = read_manifest(ASTERISK / "train.tsv")
    for number, utterance in enumerate(manifest.utterances[:CLIPS]):
        waveform, rate = soundfile.read(manifest.audio_path(utterance), dtype="float32", frames=16_000)
        file = audio / f"speaker{number % 3}" / f"{number:02d}.flac"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, np.pad(waveform, (0, 16_000 - len(waveform))), rate)
    wav = base / "wav"
    wav.mkdir()
    for file in sorted(audio.rglob("*.flac"))[:6]:
        soundfile.write(wav / f"{file.stem}.wav", soundfile.read(file)[0], 22_050)
    grids = base / "grids"
    for file in audio.rglob("*.flac"):
        grid = (grids / file.relative_to(audio)).with_suffix(".TextGrid")
        grid.parent.mkdir(parents=True, exist_ok=True)
        grid.write_text(
            'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<exists>\n1\n'
            '"IntervalTier"\n"words"\n0\n1\n2\n'
            f'0.1\n0.4\n"one"\n0.4\n0.9\n"{file.stem}"\n'
        )
    classes, scores = base / "classes.tsv", base / "scores"
    export_from = base / "checkpoint.pt"
    _checkpoint(export_from)
    run(["manifest", str(audio), "--out", str(data), "--valid-percent", "0"])
    lines = (data / "train.tsv").read_text().splitlines()[1:]
    rows = [f"{line.split(chr(9))[0]}\tk{i % 2}" for i, line in enumerate(lines)]
    classes.write_text("\n".join(["path\tclass", *rows]) + "\n")
    store = base / "store"
    extract = ["extract", str(data), "--splits", "train", "--labels", *LABELS, "--jobs", "1", "--store"]
    run([*extract, str(store)])
    few = ["--permutations", "20", "--bootstrap", "10", "--estimator", "cka", "--split", "train"]
    score = ["score", str(data), "--store", str(store), "--classes", str(classes), *few]
    run([*score, "--out", str(scores)])
    select = ["select", str(scores), "--method", "direct", "--out"]
    align = ["align", str(data), "--splits", "train", "--textgrids", str(grids), "--out"]
    return [
        *_of_data(base, audio, data, classes, store),
        *_of_results(base, data, classes),
        *_of_texts(base, data),
        _fetched(base / "registry", audio),
        Command("manifest", lambda out: ["manifest", str(audio), "--out", str(out / "m")]),
        Command("convert", lambda out: ["convert", str(wav), str(out / "c"), "--jobs", "1"]),
        Command("extract", lambda out: [*extract, str(out / "store")]),
        Command("score", lambda out: [*score, "--out", str(out / "ci"), "--cache", str(out / "cache")]),
        Command("select", lambda out: [*select, str(out / "w.yaml")]),
        Command("report", lambda out: ["report", str(scores), "--out", str(out / "r.html")]),
        Command("align", lambda out: [*align, str(out / "aligned")]),
        Command("export", lambda out: ["export", str(export_from), "--out", str(out / "stock.pt")]),
    ]


def _of_data(base: Path, audio: Path, data: Path, classes: Path, store: Path) -> list[Command]:
    """The commands that make data, labels and recipes."""
    corpus = _librispeech(base / "librispeech", audio)
    stored, listed, pipeline = base / "with_store", base / "with_data", base / "pipeline.yaml"
    shutil.copytree(store, stored / "store")
    shutil.copytree(data, listed / "data")
    pipeline.write_text(
        f"audio: {audio}\nmanifest: {{valid-percent: 0}}\nclasses: {{from-folders: 1}}\ncheck: false\n"
        "extract: {labels: [rms_energy, zcr], splits: [train]}\n"
        "score: {estimator: cka, permutations: 20, bootstrap: 10}\n"
        "select: {method: direct}\nreport: {}\n"
    )
    clip = next(iter(sorted(audio.rglob("*.flac"))))
    codes = ["codes", str(data), "units", "--kmeans", "rms_energy", "--codes", "4", "--splits", "train"]
    return [
        Command("example-data", lambda out: ["example-data", str(out / "speech")]),
        Command(
            "recipe", lambda out: ["recipe", "pretraining/tiny", "--force", "--out", str(out / "r.yaml")]
        ),
        Command(
            "classes",
            lambda out: ["classes", str(data), "--from-folders", "1", "--out", str(out / "c.tsv")],
        ),
        Command("labels", lambda out: ["labels", "zcr", "--plot", str(clip), "--out", str(out / "p.png")]),
        Command("codes", lambda out: [*codes, "--store", str(out / "store")], stored),
        Command(
            "targets",
            lambda out: ["targets", str(out / "data"), "--classes", str(classes), "--splits", "train"],
            listed,
        ),
        Command(
            "prepare", lambda out: ["prepare", "librispeech", str(corpus), str(out / "p"), "--jobs", "1"]
        ),
        Command(
            "run",
            lambda out: ["run", str(pipeline), "--out", str(out / "run")],
            times=".done.json",
            error_lines=(1, 2),  # that of the step, and how to go on
        ),
    ]


def _librispeech(root: Path, audio: Path) -> Path:
    """A miniature of LibriSpeech, of the same recordings."""
    files = sorted(audio.rglob("*.flac"))
    for number, split in enumerate(("train-clean-100", "dev-clean", "test-clean")):
        chapter = root / split / str(number) / "1"
        chapter.mkdir(parents=True)
        names = [f"{number}-1-{each:04d}" for each in range(2)]
        for name, file in zip(names, files[2 * number :], strict=False):
            shutil.copyfile(file, chapter / f"{name}.flac")
        (chapter / f"{number}-1.trans.txt").write_text("".join(f"{name} A WORD\n" for name in names))
    return root


def _of_results(base: Path, data: Path, classes: Path) -> list[Command]:
    """The commands that judge representations and draw trainings."""
    segments, trials, training = base / "segments.tsv", base / "trials.txt", base / "training"
    utterances = [each.path for each in read_manifest(data / "train.tsv").utterances]
    rows = [
        f"{path}\t{at / 10}\t{at / 10 + 0.1:.1f}\tseveral{at % 2}" for path in utterances for at in range(8)
    ]
    segments.write_text("\n".join(["path\tstart\tend\tclass", *rows]) + "\n")
    pairs = [f"{int(i % 2 == j % 2)} {utterances[i]} {utterances[j]}" for i in range(8) for j in range(i)]
    trials.write_text("\n".join(pairs) + "\n")
    training.mkdir()
    lines = [
        f"[2026-01-31 12:00:{update:02d},123][train_inner][INFO] - "
        f'{{"epoch": 1, "update": 0.5, "loss": "{7 - update / 20}", "num_updates": "{update}"}}'
        for update in range(10, 60, 10)
    ]
    (training / "hydra_train.log").write_text("\n".join(lines) + "\n")
    parted, results = base / "parted", base / "results"
    parted.mkdir()
    root, *files = (data / "train.tsv").read_text().splitlines()
    for number, split in enumerate(("train", "valid", "test")):
        (parted / f"{split}.tsv").write_text("\n".join([root, *files[4 * number :][:4]]) + "\n")
    probe = ["probe", str(parted), "--classes", str(classes), "--seeds", "1", "--jobs", "1"]
    features = ["--features", "zcr", "mfcc"]
    run([*probe, *features, "--out", str(results)])
    found = [str(results / name / "result.json") for name in ("zcr", "mfcc")]
    verify = ["verify", str(data), "--trials", str(trials), "--features", "mfcc", "--split", "train"]
    few = ["--resamples", "100"]
    return [
        Command(
            "frequent",
            lambda out: [
                "frequent",
                str(segments),
                "--letters",
                "5",
                "--instances",
                "2",
                "--out",
                str(out / "f.tsv"),
            ],
        ),
        Command("probe", lambda out: [*probe, *features, "--out", str(out / "probe")]),
        Command("verify", lambda out: [*verify, "--jobs", "1", "--out", str(out / "verify")]),
        Command(
            "evaluate",
            lambda out: [
                "evaluate",
                "classification",
                "--reference",
                str(classes),
                *few,
                "--hypothesis",
                str(classes),
                "--out",
                str(out / "e.json"),
            ],
        ),
        Command("compare", lambda out: ["compare", *found, *few, "--out", str(out / "compare.md")]),
        Command("plot", lambda out: ["plot", str(training), "--out", str(out / "plot.png")]),
    ]


def _of_texts(base: Path, data: Path) -> list[Command]:
    """The commands that recognise speech: by frozen features, and by a model that fairseq has fine-tuned."""
    sys.path.append(str(ROOT / "tests"))
    from ctc_tools import save_ctc

    spoken, model = base / "spoken", base / "ctc" / "checkpoint_best.pt"
    spoken.mkdir()
    model.parent.mkdir()
    save_ctc(model, "| A N O R T W D")
    root, *files = (data / "train.tsv").read_text().splitlines()
    for split in ("train", "valid", "test"):
        (spoken / f"{split}.tsv").write_text("\n".join([root, *files[:3]]) + "\n")
        (spoken / f"{split}.wrd").write_text("A WORD\nTWO\nNOT A WORD\n")
    small = ["--size", "8", "--epochs", "2", "--batch", "2", "--jobs", "1"]
    return [
        Command(
            "probe-asr",
            lambda out: ["probe-asr", str(spoken), "--features", "mfcc", *small, "--out", str(out / "p")],
        ),
        Command(
            "decode",
            lambda out: [
                "decode",
                str(spoken),
                "--model",
                str(model),
                "--jobs",
                "1",
                "--out",
                str(out / "d"),
            ],
        ),
    ]


def _fetched(registry: Path, audio: Path) -> Command:
    """`fetch` of a corpus that a plugin registers, whose package lies in a folder: the client copies it from there."""
    registry.mkdir()
    package, inner = registry / "emotions-1.tar.gz", registry / "emotions.zip"
    names = [f"POLISH/m{s}.{e}_{word}_1.wav" for s in (1, 4, 5) for e in "asn" for word in ("tak", "nie")]
    with zipfile.ZipFile(inner, "w") as zipped:
        for name, file in zip(names, [*audio.rglob("*.flac")] * 2, strict=False):
            soundfile.write(registry / "x.wav", *soundfile.read(file))
            zipped.write(registry / "x.wav", name)
    with tarfile.open(package, "w:gz") as archive:
        archive.add(inner, "package/data/polish/polish_speech_emotions.zip")
    plugin = registry / "emotions.py"
    plugin.write_text(
        "from dataclasses import replace\n"
        "from ptsel_fairseq.downstream import register_corpus\n"
        "from ptsel_fairseq.downstream.corpora import packages\n"
        "from ptsel_fairseq.downstream.corpora.registry import CORPORA\n"
        f"packages.COMMANDS['pip'] = ('cp', {str(package)!r}, '.')\n"
        f"package = packages.Package('pip', 'emotions', '1', {file_checksum(package)!r})\n"
        "known = CORPORA.get('polish-emotions')\n"
        "register_corpus(replace(known, name='few-emotions', packages=(package,)))\n"
    )
    words = ["fetch", "--plugin", str(plugin), "--jobs", "1", "few-emotions"]
    return Command("fetch", lambda out: [*words, str(out / "corpus")])


def _checkpoint(file: Path) -> None:
    import torch

    model = {"_name": "ptsel_wav2vec2", "conv_feature_layers": "[(512, 10, 5)]", "encoder_layers": 1}
    cfg = {"model": model, "task": {"normalize": False}, "criterion": {}, "common": {}}
    weights = {"mask_emb": torch.arange(60_000.0), "pretext_heads.f0": torch.ones(3)}
    torch.save({"cfg": cfg, "model": weights}, file)
