"""Every kind of file that the project reads: what is whole, and what reads it."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from common import ASTERISK, RECIPES
from mutations import BINARY, JSON_TEXT, TEXT, YAML_TEXT, Mutation, changed_at, places


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        whole: contents to begin with.
        name: of the file.
        read: what the project does with it; the file's folder holds nothing else.
        mutations: ways to damage it.
        weight: how often it is taken, against the others.
    """

    whole: Sequence[bytes]
    name: str
    read: Callable[[Path], object]
    mutations: Sequence[Mutation]
    weight: float = 1.0


def kinds(folder: Path, with_fairseq: bool) -> dict[str, Kind]:
    """Every kind of file that the project reads."""
    found = {
        **tables(folder),
        **settings(folder),
        **arrays(folder),
        **recordings(),
        **checkpoints(with_fairseq),
    }
    return dict(sorted(found.items()))


def tables(folder: Path) -> dict[str, Kind]:
    from ptsel_fairseq.base.class_file import read_classes
    from ptsel_fairseq.base.manifest import read_manifest
    from ptsel_fairseq.data.check_targets import look_alike
    from ptsel_fairseq.downstream.alignment.textgrid import read_textgrid
    from ptsel_fairseq.downstream.corpora.catalogue.audioset import instruments
    from ptsel_fairseq.downstream.corpora.catalogue.timit import read_phones, text_of
    from ptsel_fairseq.downstream.corpora.corpus import read_csv
    from ptsel_fairseq.downstream.metrics import answer_files
    from ptsel_fairseq.downstream.speech.transcripts import read_transcripts
    from ptsel_fairseq.runs import read_run

    manifest = read_manifest(ASTERISK / "valid.tsv")
    rows = manifest.utterances[:20]
    tsv = "\n".join([str(manifest.root), *(f"{u.path}\t{u.samples}" for u in rows)]).encode() + b"\n"
    utterances = b"path\tclass\n" + b"".join(f"{u.path}\tspeaker {u.index % 3}\n".encode() for u in rows)
    segments = b"path\tstart\tend\tclass\n" + b"".join(f"{u.path}\t0.1\t0.2\tAH\n".encode() for u in rows)
    grid = (
        b'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1.5\n<exists>\n2\n"IntervalTier"\n"words"\n0\n1.5\n'
        b'2\n0\n0.5\n"one"\n0.5\n1.5\n"two ""three"""\n"TextTier"\n"clicks"\n0\n1.5\n1\n0.7\n"x"\n'
    )
    log = (
        b"[2026-11-28 10:00:00,1][fairseq.trainer][INFO] - begin training epoch 1\n"
        b'[2026-11-28 10:00:01,1][train_inner][INFO] - {"epoch": 1, "update": 0.5, "loss": "6.5", '
        b'"num_updates": "10"}\n'
        b'[2026-11-28 10:00:02,1][valid][INFO] - {"epoch": 1, "valid_loss": "6.1", "valid_num_updates": "20"}\n'
    )
    ontology = json.dumps(
        [
            {"id": "/m/04szw", "name": "Musical instrument", "child_ids": ["/m/a"]},
            {"id": "/m/a", "name": "Reed", "child_ids": []},
        ]
    ).encode()

    def classes(file: Path) -> object:
        found = read_classes(file, manifest, 16_000)
        return look_alike(found.names())

    def texts(file: Path) -> object:
        shutil.copy(ASTERISK / "valid.tsv", file.parent / "valid.tsv")
        return read_transcripts(read_manifest(file.parent / "valid.tsv"))

    def rows_of(file: Path) -> object:
        return list(read_csv(file, ("path", "speaker")))

    wrd = (
        (ASTERISK / "valid.wrd").read_bytes()
        if (ASTERISK / "valid.wrd").exists()
        else b"A B\n" * len(manifest)
    )
    return {
        "manifest": Kind([tsv], "train.tsv", read_manifest, TEXT),
        "classes of utterances": Kind([utterances], "c.tsv", classes, TEXT),
        "classes of segments": Kind([segments], "c.tsv", classes, TEXT),
        "texts": Kind([wrd], "valid.wrd", texts, TEXT),
        "TextGrid": Kind([grid, grid.decode().encode("utf-16")], "a.TextGrid", read_textgrid, TEXT),
        "answers: texts": Kind([b"a\tONE TWO\nb\tTHREE\n"], "h.tsv", answer_files.read_texts, TEXT),
        "answers: trials": Kind([b"1 a b\n0 a c\n"], "t.txt", answer_files.read_trials, TEXT),
        "answers: scores": Kind([b"0.5 a b\n-1.5 a c\n"], "s.txt", answer_files.read_trial_scores, TEXT),
        "answers: labels": Kind([b"item\tlabel\tscore\na\tx\t0.5\n"], "l.tsv", answer_files.read_labels, TEXT),
        "corpus table": Kind([b"path,speaker\na.wav,s1\n\"b,c.wav\",s2\n"], "t.csv", rows_of, TEXT),
        "TIMIT boundaries": Kind([b"0 4000 h#\n4000 9000 sh\n"], "a.PHN", read_phones, TEXT),
        "TIMIT sentence": Kind([b"0 46797 She had your dark suit.\n"], "a.TXT", text_of, TEXT),
        "AudioSet ontology": Kind([ontology], "ontology.json", instruments, JSON_TEXT),
        "training log": Kind([log], "train.log", lambda file: read_run(file.parent), TEXT),
    }  # fmt: skip


def settings(folder: Path) -> dict[str, Kind]:
    from ptsel_fairseq.base.weights_file import read_weights, write_into_recipe, write_weights
    from ptsel_fairseq.downstream.metrics.results import read_result, write_result
    from ptsel_fairseq.pipeline.settings import EXAMPLE, read_settings
    from ptsel_fairseq.selection.label_score import LabelScore, read_scores, write_scores
    from ptsel_fairseq.selection.weighting.comparison import read_comparison, write_comparison

    write_weights(folder / "w.yaml", {"f0": 0.4, "zcr": 0.6}, {"method": "direct"})
    record = LabelScore(
        0.1, (0.0, 0.2), 0.05, 0.5, 0.1, (-0.1, 0.1), 20, 0, 2, 0, 0, 2.0, None, None, {"a": 0.1}, {"a": 20}
    )
    made = {"estimator": "cka", "labels": {}, "classes": "c.tsv", "points": 20, "class_sizes": {"a": 20}}
    write_scores(folder / "scores.json", {"f0": record, "zcr": record}, made)
    write_comparison(folder / "methods.json", some_comparison(), made)
    write_result(folder / "result.json", some_result())
    recipe = (RECIPES / "tiny.yaml").read_bytes()

    def into(file: Path) -> None:
        write_into_recipe(file, {"f0": 1.0}, {})

    def comparison(file: Path) -> object:
        return read_comparison(file)[0].label_order()

    def result(file: Path) -> object:
        return [run(np.ones(2)) for run in read_result(file).answers.scorers()]

    return {
        "weights": Kind([(folder / "w.yaml").read_bytes()], "w.yaml", read_weights, YAML_TEXT),
        "recipe, λ written into it": Kind([recipe], "r.yaml", into, YAML_TEXT),
        "pipeline": Kind([EXAMPLE.encode()], "p.yaml", read_settings, YAML_TEXT),
        "scores": Kind([(folder / "scores.json").read_bytes()], "scores.json", read_scores, JSON_TEXT),
        "comparison": Kind([(folder / "methods.json").read_bytes()], "methods.json", comparison, JSON_TEXT),
        "result": Kind([(folder / "result.json").read_bytes()], "result.json", result, JSON_TEXT),
    }  # fmt: skip


def some_comparison() -> Any:
    from ptsel_fairseq.selection.weighting.comparison import Comparison, Row

    row = Row({"f0": 0.4, "zcr": 0.6}, True, 2, 1.9, 0.1, 0.2, 0.3, {"finding": "none"})
    return Comparison({"direct": row}, ["f0", "zcr"], [[1.0, 0.2], [0.2, 1.0]], {}, {})


def some_result() -> Any:
    from ptsel_fairseq.downstream.metrics.results import Answers, score

    answers = Answers("asr", ("a", "b"), ("ONE TWO", "THREE"), (("ONE", "THREE"),), ("a", "b"))
    return score("system", answers, {}, resamples=100)


def arrays(folder: Path) -> dict[str, Kind]:
    from ptsel_fairseq.base.kept import ARRAYS, JSON, _read
    from ptsel_fairseq.base.manifest import read_manifest
    from ptsel_fairseq.base.partial_array import PartialArray
    from ptsel_fairseq.labels.extraction.extract import extract
    from ptsel_fairseq.labels.store.reader import LabelStore
    from ptsel_fairseq.selection.points import Points

    points = Points(np.ones((4, 3), np.float32), {"f0": np.ones((4, 1))}, np.array(["a", "b", "a", "b"]))
    points.save(folder / "points.npz")
    partial = PartialArray(folder, "f0", (10, 2), np.dtype(np.float32))
    partial.make()
    store = folder / "store"
    lines = (ASTERISK / "valid.tsv").read_text().splitlines()
    root = read_manifest(ASTERISK / "valid.tsv").root
    (folder / "valid.tsv").write_text("\n".join([str(root), *lines[1:4]]) + "\n")
    manifest = read_manifest(folder / "valid.tsv")
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        extract(manifest, ["f0", "zcr"], store, jobs=1)

    def in_store(file: Path) -> object:
        for other in (store / "valid").iterdir():
            if other.name != file.name:
                shutil.copy(other, file.parent / other.name)
        folder = file.parent.rename(file.parent.with_name("valid"))
        try:
            opened = LabelStore(folder.parent, "valid")
            opened.check_manifest(manifest)
            return [
                (opened.track(label, i).sum(), opened.valid(label, i).sum(), opened.statistics(label))
                for label in opened.labels
                for i in range(opened.num_utterances)
            ]
        finally:
            folder.rename(file.parent)

    def continued(file: Path) -> object:
        array = PartialArray(file.parent, "f0", (10, 2), np.dtype(np.float32))
        whole = array.is_whole()
        array.make()
        array.read(0, 10)
        array.close()
        return whole

    block, vectors = b'["a", {"word": [[0.1, 0.2, "x", 0.5]]}]', io.BytesIO()
    np.save(vectors, np.ones((2, 3, 4), np.float32))
    found = {
        "points": Kind([(folder / "points.npz").read_bytes()], "points.npz", Points.load, BINARY),
        "array being filled": Kind([partial.partial.read_bytes()], "f0.npy.partial", continued, BINARY),
        "kept values": Kind([block], "000000.json", lambda file: _read(JSON, file, 2), JSON_TEXT),
        "kept vectors": Kind([vectors.getvalue()], "000000.npy", lambda file: _read(ARRAYS, file, 2), BINARY),
    }
    for file in sorted((store / "valid").iterdir()):
        mutations = JSON_TEXT if file.suffix == ".json" else BINARY if file.suffix == ".npy" else TEXT
        found[f"store: {file.name}"] = Kind([file.read_bytes()], file.name, in_store, mutations, 0.6)
    return found


def recordings() -> dict[str, Kind]:
    from ptsel_fairseq.base.audio import AudioFile
    from ptsel_fairseq.base.audio_length import audio_length
    from ptsel_fairseq.data.decoding import UndecodableError, open_sound
    from ptsel_fairseq.data.inspection import inspect_file

    draw = np.random.default_rng(0)
    t = np.arange(12_000) / 16_000
    voice = (0.4 * np.sin(2 * np.pi * 150 * t) + 0.01 * draw.standard_normal(len(t))).astype(np.float32)

    def coded(channels: int = 1, **how: Any) -> bytes:
        out = io.BytesIO()
        soundfile.write(out, np.stack([voice] * channels, 1), 16_000, **how)
        return out.getvalue()

    def read(file: Path) -> object:
        length = audio_length(file)
        inspect_file(file, length.samples or 1, False)
        with contextlib.suppress(UndecodableError), open_sound(file) as sound:
            for _ in sound.blocks:
                pass
        with AudioFile(file, 16_000) as audio:
            return len(audio.read(length.samples or 1))

    return {
        "recording: WAV": Kind(
            [coded(format="WAV"), coded(2, format="WAV", subtype="FLOAT")], "a.wav", read, BINARY, 2
        ),
        "recording: FLAC": Kind([coded(format="FLAC"), coded(2, format="FLAC")], "a.flac", read, BINARY, 2),
        "recording: Ogg": Kind(
            [coded(format="OGG"), coded(format="OGG", subtype="OPUS")], "a.ogg", read, BINARY, 2
        ),
        "recording: MP3": Kind([coded(format="MP3")], "a.mp3", read, BINARY, 2),
        "recording: AIFF": Kind([coded(format="AIFF")], "a.aiff", read, BINARY),
    }


def checkpoints(with_fairseq: bool) -> dict[str, Kind]:
    """Checkpoints as they are loaded; with fairseq also built into a model, and recipes."""
    import torch

    from ptsel_fairseq.base.checkpoint import load_checkpoint
    from ptsel_fairseq.base.stock import to_stock

    small = {
        **{
            "_name": "ptsel_wav2vec2",
            "extractor_mode": "layer_norm",
            "encoder_layers": 1,
            "encoder_embed_dim": 16,
        },
        **{"encoder_ffn_embed_dim": 16, "encoder_attention_heads": 2, "conv_pos": 4, "conv_pos_groups": 2},
        "conv_feature_layers": "[(8, 10, 5)] + [(8, 3, 2)] * 4 + [(8, 2, 2)] * 2",
    }
    cfg = {
        "model": small,
        "task": {"normalize": False},
        "criterion": {"pretext_weights": {"f0": 1.0}},
        "common": {},
    }
    weights = {"mask_emb": torch.ones(16)}
    if with_fairseq:
        from fairseq.models.wav2vec import Wav2Vec2Config, Wav2Vec2Model

        given = {key: value for key, value in small.items() if key != "_name"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            weights = Wav2Vec2Model.build_model(Wav2Vec2Config(**given)).state_dict()

    def saved(**how: Any) -> bytes:
        out = io.BytesIO()
        torch.save({"cfg": cfg, "model": weights}, out, **how)
        return out.getvalue()

    def read(file: Path) -> object:
        return to_stock(load_checkpoint(file), file)

    def other_configuration(content: bytes, draw: random.Random) -> bytes:
        state = {"cfg": cfg, "model": dict(weights)}
        if draw.random() < 0.7:
            state["cfg"] = changed_at(cfg, draw.choice(list(places(cfg))), draw)
        else:
            name = draw.choice(sorted(weights))
            state["model"][name] = draw.choice(
                (torch.ones(1), torch.ones(0), torch.zeros(1).expand(10**9), "x", None)
            )
        out = io.BytesIO()
        torch.save(state, out)
        return out.getvalue()

    whole = [saved(), saved(_use_new_zipfile_serialization=False)]
    ways = (*BINARY, *(other_configuration,) * 3)
    found = {"checkpoint": Kind(whole, "c.pt", read, ways, 1.5)}
    if with_fairseq:
        from ptsel_fairseq.downstream.features.wav2vec import load_encoder
        from ptsel_fairseq.plugin.estimate.cost import read_recipe

        def build(file: Path) -> object:
            load_encoder.cache_clear()
            return load_encoder(file)

        found["checkpoint, its model"] = Kind([saved()], "c.pt", build, (other_configuration,), 0.3)
        found["recipe of an estimate"] = Kind(
            [(RECIPES / "tiny.yaml").read_bytes()], "r.yaml", read_recipe, YAML_TEXT, 0.5
        )
    return found
