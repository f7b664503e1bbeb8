"""Probes on frozen features: vectors against literal formulas and fairseq, folds that do not leak, real speech."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
from conftest import ASTERISK, run_command
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.asr.probe import probe_asr_command
from ptsel_fairseq.downstream.features import front_end as features_module
from ptsel_fairseq.downstream.features.front_end import FrontEnd, cache_key, extract, front_ends
from ptsel_fairseq.downstream.metrics.answer_files import read_class_table
from ptsel_fairseq.downstream.metrics.results import read_result
from ptsel_fairseq.downstream.probing.classifiers import Part, fit_and_answer
from ptsel_fairseq.downstream.probing.probe import Items, make_folds, probe, probe_command
from ptsel_fairseq.labels.pools import ZAIEM_SPEECH
from ptsel_fairseq.labels.signal.analysis import Analysis
from ptsel_fairseq.labels.signal.cepstral import mfcc
from ptsel_fairseq.labels.signal.pitch import f0
from ptsel_fairseq.labels.user import read_user_files

PHONES, VOICES = (ASTERISK / "classes" / f"{name}.tsv" for name in ("phone", "voice"))


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """Manifests train, valid and test of two thirds of the bundled clips in five voices."""
    folder = tmp_path_factory.mktemp("voices")
    lines = (ASTERISK / "train.tsv").read_text().splitlines()[1:]
    parts = {
        "train": lines[0::3],
        "valid": lines[1::9],
        "test": (ASTERISK / "valid.tsv").read_text().splitlines()[1:],
    }
    for split, chosen in parts.items():
        (folder / f"{split}.tsv").write_text("\n".join([str(ASTERISK / "audio"), *chosen]) + "\n")
    return folder


@pytest.fixture
def split(voices):
    manifest = read_manifest(voices / "valid.tsv")
    return manifest, read_classes(PHONES, manifest, 16000)


def test_vectors_are_mean_and_deviation_of_the_segments_frames(split, tmp_path):
    manifest, class_file = split
    segments = class_file.in_order()
    found = {
        name: extract(FrontEnd(name, name), manifest, class_file, tmp_path) for name in ("mfcc", "log_mel")
    }
    assert found["mfcc"].shape == (len(segments), 1, 2 * 39)
    assert found["log_mel"].shape == (len(segments), 1, 2 * 80)
    for i in (0, len(segments) // 2, len(segments) - 1):
        utterance = manifest.utterances[segments[i].utterance]
        mels = Analysis(read_audio(manifest.audio_path(utterance), 16000), FrameGrid()).log_mel
        centres = (320 * np.arange(len(mels)) + 200) / 16000
        inside = (centres >= segments[i].start) & (centres < segments[i].end)
        assert inside.any()
        for name, frames in (("log_mel", mels), ("mfcc", mfcc(mels))):
            expected = [*frames[inside].mean(axis=0), *frames[inside].std(axis=0)]
            np.testing.assert_allclose(found[name][i, 0], expected, rtol=1e-4, atol=1e-4)


def test_a_label_that_can_be_undefined_is_pooled_where_it_is_defined(split, tmp_path):
    manifest, class_file = split
    segments = class_file.in_order()
    found = extract(FrontEnd("pitch", "f0"), manifest, class_file, tmp_path)[:, 0]
    assert found.shape == (len(segments), 3)
    shares = set()
    for vector, segment in zip(found, segments, strict=True):
        utterance = manifest.utterances[segment.utterance]
        grid = FrameGrid()
        pitch = Analysis(read_audio(manifest.audio_path(utterance), 16000), grid).pitch
        first, last = grid.frames_between(segment.start, segment.end, utterance.samples)
        values, mask = (column[first:last] for column in f0(pitch))
        voiced = values[mask].ravel()
        expected = (voiced.mean(), voiced.std(), mask.mean()) if len(voiced) else (0, 0, 0)
        np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-4)
        shares.add(round(float(mask.mean()), 3))
    assert {0.0, 1.0} < shares  # phones without voice, wholly voiced ones, and some of both


def test_a_pool_is_its_labels_side_by_side_and_a_users_label_is_a_feature(split, tmp_path):
    manifest, class_file = split
    own = tmp_path / "own.py"
    own.write_text(OWN_LABEL.format(value=1))
    users = read_user_files([own])
    (pool, peak) = front_ends(["zaiem_speech", "own_peak"], users)
    vectors = extract(pool, manifest, class_file, tmp_path)[:, 0]
    singly = [extract(end, manifest, class_file, tmp_path)[:, 0] for end in front_ends(sorted(ZAIEM_SPEECH))]
    np.testing.assert_array_equal(vectors, np.concatenate(singly, axis=1))
    assert extract(peak, manifest, class_file, tmp_path).shape[2] == 2
    own.write_text(OWN_LABEL.format(value=2))
    assert front_ends(["own_peak"], read_user_files([own]))[0].checksum != peak.checksum


OWN_LABEL = """
import numpy as np
from ptsel_fairseq.labels.user import register

@register("own_peak", unit="full scale", description="peak times {value}")
def own_peak(analysis):
    return {value} * np.abs(analysis.frames(0.025)).max(axis=1)
"""


def test_features_are_computed_once_and_an_interruption_loses_little(split, tmp_path, monkeypatch):
    manifest, class_file = split
    monkeypatch.setattr(features_module, "BLOCK", 2)
    read, seen = features_module.read_whole_audio, []

    def counting(file, *arguments):
        seen.append(file.name)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return read(file, *arguments)

    monkeypatch.setattr(features_module, "read_whole_audio", counting)
    front_end = FrontEnd("mfcc", "mfcc")
    with pytest.raises(KeyboardInterrupt):
        extract(front_end, manifest, class_file, tmp_path)
    whole = extract(front_end, manifest, class_file, tmp_path)
    labelled = len({segment.utterance for segment in class_file.segments})
    assert len(seen) == 5 + labelled - 4  # two blocks of two were kept
    np.testing.assert_array_equal(extract(front_end, manifest, class_file, tmp_path), whole)
    assert len(seen) == labelled + 1
    sorted(tmp_path.rglob("*.npy"))[1].write_bytes(b"cut off")
    np.testing.assert_array_equal(extract(front_end, manifest, class_file, tmp_path), whole)
    assert len(seen) == labelled + 3


def test_the_cache_key_is_of_checkpoint_manifest_and_segments(voices, split):
    manifest, _ = split
    work = [(0, [(0.0, 1.0)])]
    front_end = FrontEnd("w", "wav2vec2", ASTERISK / "x.pt", "abc")
    keys = {
        cache_key(front_end, manifest, work),
        cache_key(FrontEnd("w", "wav2vec2", ASTERISK / "x.pt", "abd"), manifest, work),
        cache_key(front_end, read_manifest(voices / "train.tsv"), work),
        cache_key(front_end, manifest, [(0, [(0.0, 1.5)])]),
        cache_key(FrontEnd("mfcc", "mfcc"), manifest, work),
    }
    assert len(keys) == 5
    moved = FrontEnd("other", "wav2vec2", ASTERISK / "y.pt", "abc")
    assert cache_key(moved, manifest, work) in keys


def save_stock(file, normalize=False, name="wav2vec2"):
    torch = pytest.importorskip("torch")
    pytest.importorskip("fairseq")
    from ctc_tools import SMALL
    from fairseq.models.wav2vec import Wav2Vec2Config, Wav2Vec2Model
    from omegaconf import OmegaConf

    settings = {**SMALL, "layer_norm_first": True}
    torch.manual_seed(0)
    model = Wav2Vec2Model(OmegaConf.merge(OmegaConf.structured(Wav2Vec2Config), settings))
    cfg = {
        "common": {"user_dir": None},
        "criterion": {"_name": "wav2vec"},
        "model": {"_name": name, **settings},
        "task": {"_name": "audio_pretraining", "normalize": normalize},
    }
    heads = {"pretext_heads.f0.weight": torch.zeros(1, 32)} if name == "ptsel_wav2vec2" else {}
    torch.save({"cfg": cfg, "model": {**model.state_dict(), **heads}}, file)
    return model.eval()


def test_a_checkpoint_of_the_plugin_is_as_good_as_its_export(tmp_path):
    from ptsel_fairseq.downstream.features.wav2vec import load_encoder

    waveform = read_audio(ASTERISK / "audio" / "en" / "agent-pass.ogg", 16000)
    states = []
    for name in ("wav2vec2", "ptsel_wav2vec2"):
        save_stock(tmp_path / f"{name}.pt", name=name)
        states.append(load_encoder(tmp_path / f"{name}.pt").hidden_states(waveform))
    np.testing.assert_array_equal(*states)


def test_a_checkpoint_of_2020_is_read_from_its_command_line(tmp_path):
    torch = pytest.importorskip("torch")
    from ptsel_fairseq.downstream.features.wav2vec import load_encoder

    save_stock(tmp_path / "new.pt", normalize=True)
    state = torch.load(tmp_path / "new.pt")
    settings = {key: value for key, value in state["cfg"]["model"].items() if key != "_name"}
    args = argparse.Namespace(
        arch="wav2vec2", normalize=True, latent_temp="(2, 0.5, 0.999995)", lr=[0.1], data="/gone", **settings
    )
    torch.save({"args": args, "cfg": None, "model": state["model"]}, tmp_path / "old.pt")
    waveform = read_audio(ASTERISK / "audio" / "en" / "agent-pass.ogg", 16000)
    states = [load_encoder(tmp_path / name).hidden_states(waveform) for name in ("new.pt", "old.pt")]
    np.testing.assert_array_equal(*states)
    torch.save({"model": state["model"]}, tmp_path / "bare.pt")
    with pytest.raises(PtselError, match="with 'cfg' or 'args', found neither"):
        load_encoder(tmp_path / "bare.pt")


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("samples", [16000, 16320])  # odd and even numbers of frames: the blocks see pairs
def test_hidden_states_are_fairseqs(tmp_path, normalize, samples):
    torch = pytest.importorskip("torch")
    from ptsel_fairseq.downstream.features.wav2vec import load_encoder

    model = save_stock(tmp_path / "stock.pt", normalize)
    waveform = read_audio(ASTERISK / "audio" / "en" / "agent-pass.ogg", 16000)[:samples]
    encoder = load_encoder(tmp_path / "stock.pt")
    states = encoder.hidden_states(waveform)
    assert states.shape == (3, encoder.grid.num_frames(samples), 32)
    scaled = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-5) if normalize else waveform
    with torch.no_grad():
        found = model.extract_features(torch.from_numpy(scaled)[None].float(), None)
    first_block_output = found["layer_results"][0][0][:, 0]
    np.testing.assert_allclose(states[1], first_block_output.numpy(), atol=1e-4)
    np.testing.assert_allclose(states[2], found["x"][0].numpy(), atol=1e-4)
    assert not np.allclose(states[0], states[1], atol=1e-2)


def test_checkpoints_that_cannot_be_used(tmp_path):
    from ptsel_fairseq.downstream.features.wav2vec import load_encoder

    save_stock(tmp_path / "ctc.pt", name="wav2vec_ctc")
    with pytest.raises(PtselError, match="'wav2vec_ctc'; give the checkpoint that it was fine-tuned from"):
        load_encoder(tmp_path / "ctc.pt")
    with pytest.raises(
        PtselError, match=r"expected a label or a pool .* or the file of a checkpoint, found 'none.pt'"
    ):
        front_ends(["mfcc", "none.pt"])
    with pytest.raises(PtselError, match="expected each once"):
        front_ends(["mfcc", "mfcc"])
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "last.pt").write_text(folder)
    names = [end.name for end in front_ends([str(tmp_path / folder / "last.pt") for folder in ("a", "b")])]
    assert names == ["a-last", "b-last"]


def parts(layers=1, informative=0, items=240, seed=0):
    """Three splits of normal noise in `layers` layers; one of them tells three classes apart."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 3, items)
    x = draw.normal(size=(items, layers, 8)).astype(np.float32)
    x[np.arange(items), informative, y] += 2.5
    names = np.array(["a", "b", "c"])[y]
    return [
        Part(x[rows], names[rows])
        for rows in (slice(0, items // 2), slice(items // 2, -60), slice(-60, None))
    ]


def test_logistic_regression_is_scikit_learns_with_the_strength_that_is_best_on_valid():
    train, valid, test = parts()
    fitted = fit_and_answer("linear", train, valid, test, 0)
    both = np.concatenate([train.x, valid.x])[:, 0]
    scaler = StandardScaler().fit(both)
    peer = LogisticRegression(C=fitted.chosen["C"]).fit(
        scaler.transform(both), np.concatenate([train.y, valid.y])
    )
    np.testing.assert_array_equal(fitted.answers, peer.predict(scaler.transform(test.x[:, 0])))
    assert np.mean(fitted.answers == test.y) > 0.8


@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_the_mix_finds_the_layer_that_knows(model):
    train, valid, test = parts(layers=3, informative=1)
    fitted = fit_and_answer(model, train, valid, test, 0)
    assert np.mean(fitted.answers == test.y) > 0.75
    weights = fitted.chosen["layer_weights"]
    assert sum(weights) == pytest.approx(1)
    assert np.argmax(weights) == 1
    again = fit_and_answer(model, train, valid, test, 0)
    np.testing.assert_array_equal(again.answers, fitted.answers)
    assert again.chosen == fitted.chosen
    assert fit_and_answer(model, train, valid, test, 1).chosen != fitted.chosen


def items_of(parts, speakers=None):
    x, y = (np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y"))
    split = np.repeat(["train", "valid", "test"], [len(part.y) for part in parts])
    paths = np.array([f"{i}.wav" for i in range(len(y))])
    return Items(x, paths, paths, y, split)


def test_classes_without_a_relation_to_the_features_are_guessed():
    found = parts(items=900)
    shuffled = [Part(part.x, np.random.default_rng(1).permutation(part.y)) for part in found]
    items = items_of(shuffled)
    result = probe(items, make_folds(items, ["train", "valid", "test"], None), "linear", 3, "noise")
    low, high = result.metrics["uar"].interval
    assert low < 1 / 3 < high
    assert len(result.answers.runs) == 1  # a logistic regression is the same for every seed


def test_parts_that_share_no_class_are_refused():
    train, valid, test = parts()
    alone, other = Part(train.x, np.full(len(train.y), "a")), Part(valid.x, np.full(len(valid.y), "z"))
    for divided, message in (
        ([alone, valid, test], "two classes or more to train on, found a"),
        ([train, other, test], r"\(a, b, c\.\.\.\), found only z"),
    ):
        items = items_of(divided)
        folds = make_folds(items, ["train", "valid", "test"], None)
        with pytest.raises(PtselError, match=message):
            probe(items, folds, "mlp", 1, "parts")


def test_folds_leave_a_group_out_and_test_every_item_once(tmp_path):
    items = items_of(parts(items=200))
    speakers = [f"s{i % 4}" for i in range(200)]
    lines = [f"{path}\t{speaker}" for path, speaker in zip(items.paths, speakers, strict=True)]
    (tmp_path / "speakers.tsv").write_text("\n".join(["path\tclass", *lines]) + "\n")
    folds = make_folds(items, ["train"], read_class_table(tmp_path / "speakers.tsv"))
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(200))
    for fold in folds:
        groups = [{speakers[i] for i in rows} for rows in (fold.train, fold.valid, fold.test)]
        assert [len(group) for group in groups] == [2, 1, 1]
        assert len(set.union(*groups)) == 4
    result = probe(items, folds, "linear", 1, "speakers")
    assert result.metrics["accuracy"].value > 0.8
    assert len(result.answers.ids) == 200


def test_utterances_without_a_class_are_counted(voices, tmp_path, capsys):
    lines = (voices / "train.tsv").read_text().splitlines()
    for i, split in enumerate(("train", "valid", "test")):
        (tmp_path / f"{split}.tsv").write_text("\n".join([lines[0], *lines[1 + 4 * i :][:4]]) + "\n")
    rows = [f"{line.split(chr(9))[0]}\t{'xy'[i % 2]}" for i, line in enumerate(lines[1:13])]
    for labelled, said in (
        (rows, "the most frequent class is 50.0 %"),
        (rows[:2] + rows[5:-1], "; 4 utterances without a class are left out"),
    ):
        (tmp_path / "classes.tsv").write_text("\n".join(["path\tclass", *labelled]) + "\n")
        probe_command(tmp_path, tmp_path / "classes.tsv", ["zcr"], tmp_path / "out")
        assert capsys.readouterr().out.splitlines()[0].endswith(said)


def test_features_that_are_no_numbers_are_refused_and_not_kept(voices, tmp_path, monkeypatch):
    monkeypatch.setattr(
        FrontEnd, "vectors", lambda self, waveform, spans: [np.full((1, 2), np.nan)] * len(spans)
    )
    with pytest.raises(
        PtselError, match=r"train.tsv, line 2 .* features of zcr are not finite numbers; take another"
    ):
        probe_command(voices, VOICES, ["zcr"], tmp_path / "out", jobs=1)
    monkeypatch.setattr(FrontEnd, "frames", lambda self, waveform: np.full((1, 9, 2), np.inf))
    (tmp_path / "train.tsv").write_text((voices / "train.tsv").read_text())
    (tmp_path / "train.wrd").write_text("A B\n" * (len(read_manifest(tmp_path / "train.tsv"))))
    with pytest.raises(PtselError, match=r"train.tsv, line 2 .* features of zcr are not finite numbers"):
        probe_asr_command(tmp_path, ["zcr"], tmp_path / "out", ["train"] * 3, jobs=1)
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]


@pytest.mark.slow
def test_voices_from_the_command_line(voices, tmp_path):
    words = ("--classes", VOICES, "--features", "mfcc", "log_mel", "--out", tmp_path / "out")
    done = run_command("ptsel", "probe", voices, *words)
    assert done.returncode == 0, done.stderr
    result = read_result(tmp_path / "out" / "mfcc" / "result.json")
    assert result.metrics["accuracy"].value >= 30 / 32
    assert len(result.answers.ids) == 32
    assert result.provenance["command"].startswith("ptsel probe")
    assert list(result.provenance["files"]) == [
        *(str(voices / f"{split}.tsv") for split in ("train", "valid", "test")),
        str(VOICES),
    ]
    assert {"scikit-learn", "torch", "numpy"} <= result.provenance["versions"].keys()
    assert "the most frequent class is 43.8 %" in done.stdout
    table = (tmp_path / "out" / "comparison.md").read_text()
    assert "mfcc linear − log_mel linear" in table
    assert (tmp_path / "out" / "comparison.png").is_file()


@pytest.mark.slow
def test_a_checkpoint_with_several_seeds(voices, tmp_path):
    save_stock(tmp_path / "stock.pt")
    words = (
        "--classes",
        VOICES,
        "--features",
        tmp_path / "stock.pt",
        "mfcc",
        "--out",
        tmp_path / "out",
        "--seeds",
        2,
    )
    done = run_command("ptsel", "probe", voices, *words)
    assert done.returncode == 0, done.stderr
    for noise in ("DEBUG", "Warning"):  # of fairseq
        assert noise not in done.stderr
    content = json.loads((tmp_path / "out" / "stock" / "result.json").read_text())
    assert len(content["answers"]["runs"]) == 2
    assert len(content["chosen"][0][0]["layer_weights"]) == 3
    assert content["features"]["shape"] == [3, 32]
    assert len(content["features"]["checksum"]) == 64
    assert content["metrics"]["uar"]["value"] > 0.3  # of five voices; untrained layers know something


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": ["train", "test"]}, "--splits: expected three"),
        ({"seeds": 0}, "--seeds: expected at least 1, found 0"),
        ({"splits": ["train", "train", "test"], "classes": PHONES, "groups": "few"}, "have none"),
        ({"splits": ["train", "other", "test"]}, "other.tsv: no such file"),
        ({"leave_out": "few"}, "have none .first: en/"),
    ],
)  # fmt: skip
def test_what_cannot_be_probed(voices, tmp_path, options, message):
    (tmp_path / "few").write_text("path\tclass\nx.ogg\tx\n")
    options = {key: tmp_path / value if value == "few" else value for key, value in options.items()}
    with pytest.raises(PtselError, match=message):
        probe_command(voices, **{"classes": VOICES, "features": ["mfcc"], "out": tmp_path / "out", **options})
