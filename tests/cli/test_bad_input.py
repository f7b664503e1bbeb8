"""Input that cannot be used ends every command with one line that names the place, and exit code 2."""

from __future__ import annotations

import pytest
from conftest import ASTERISK, LABELS, run_command

PHONES = ASTERISK / "classes" / "phone.tsv"


def refused(*command: object) -> str:
    done = run_command(*command)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    message = [line for line in done.stderr.splitlines() if line.startswith("ptsel: error: ")]
    assert len(message) == 1, done.stderr
    return message[0]


@pytest.fixture(scope="module")
def score(data_dir, store_dir, tmp_path_factory):
    """Score with few permutations; arguments replace the defaults."""
    out = tmp_path_factory.mktemp("ci")

    def arguments(data=data_dir, store=store_dir, classes=PHONES, **more):
        words = ["ptsel", "score", data, "--store", store, "--classes", classes, "--out", out]
        words += ["--permutations", "20", "--bootstrap", "20"]
        for key, value in more.items():
            words += [f"--{key}", value]
        return words

    return arguments


def test_a_store_of_another_manifest(score, data_dir, tmp_path):
    lines = (data_dir / "train.tsv").read_text().splitlines()
    (tmp_path / "train.tsv").write_text("\n".join(lines[:20]) + "\n")
    assert "was made from a manifest of" in refused(*score(data=tmp_path))


def test_a_label_that_the_store_lacks(score):
    message = refused(*score(labels="loudness"))
    assert "no label 'loudness' in this store, which holds alpha_ratio" in message


def test_a_store_that_is_not_there(score, tmp_path):
    assert "expected a label store" in refused(*score(store=tmp_path / "none"))


def test_an_empty_class_file(score, tmp_path):
    (tmp_path / "empty.tsv").write_text("")
    assert "empty.tsv, line 1" in refused(*score(classes=tmp_path / "empty.tsv"))


def test_only_classes_with_one_member(score, tmp_path):
    header, *lines = PHONES.read_text().splitlines()
    single = {line.rsplit("\t", 1)[1]: line for line in lines}
    (tmp_path / "single.tsv").write_text("\n".join([header, *single.values()]) + "\n")
    assert "class" in refused(*score(classes=tmp_path / "single.tsv"))


def test_one_class_with_one_member_is_left_out_aloud(score, data_dir, tmp_path):
    lines = PHONES.read_text().splitlines()
    in_split = (data_dir / "train.tsv").read_text()
    path = next(line.split("\t")[0] for line in lines[1:] if line.split("\t")[0] in in_split)
    (tmp_path / "phone.tsv").write_text("\n".join([*lines, f"{path}\t0.0\t0.1\tLONELY"]) + "\n")
    done = run_command(*score(classes=tmp_path / "phone.tsv"))
    assert done.returncode == 0, done.stderr
    assert "LONELY" in done.stdout


@pytest.mark.parametrize("method", ["group", "direct", "naive", "all"])
def test_selecting_from_a_folder_without_scores(method, tmp_path):
    assert "scores.json" in refused(
        "ptsel", "select", tmp_path, "--method", method, "--out", tmp_path / "w.yaml"
    )


def test_a_recipe_without_a_criterion(score, tmp_path):
    scored = score()
    assert run_command(*scored).returncode == 0
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model:\n  _name: ptsel_wav2vec2\n")
    ci = scored[scored.index("--out") + 1]
    message = refused(
        "ptsel", "select", ci, "--method", "naive", "--out", tmp_path / "w.yaml", "--config", recipe
    )
    assert "recipe.yaml" in message
    assert recipe.read_text() == "model:\n  _name: ptsel_wav2vec2\n"


@pytest.mark.parametrize("label", ["pitch", ""])
def test_a_label_that_does_not_exist(data_dir, tmp_path, label):
    message = refused("ptsel", "extract", data_dir, "--labels", label, "--store", tmp_path / "store")
    assert f"no label {label!r}" in message
    assert not (tmp_path / "store").exists()


def test_a_split_that_does_not_exist(data_dir, tmp_path):
    words = (
        "ptsel",
        "extract",
        data_dir,
        "--splits",
        "test",
        "--labels",
        LABELS[0],
        "--store",
        tmp_path / "store",
    )
    assert "test.tsv: no such file" in refused(*words)


def test_damaged_files_of_a_folder_are_counted_with_three_examples(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.flac").write_bytes(b"no audio")
    message = refused("ptsel", "manifest", tmp_path, "--out", tmp_path / "out")
    assert "the audio of 5 of 5 files cannot be read (first: 0.flac: " in message
    assert "2.flac" in message
    assert "3.flac" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("align", "DATA", "--out", "OUT"), "train.wrd: no such file; expected the text of each utterance"),
        (("align", "DATA", "--out", "OUT", "--textgrids", "DATA"), "expected a folder of .TextGrid files, found none"),
        (("align", "none", "--out", "OUT"), "none/train.tsv: no such file"),
        (("decode", "DATA", "--out", "OUT", "--model", "none.pt"), "none.pt: no such checkpoint"),
        (("probe-asr", "DATA", "--out", "OUT", "--features", "mfcc"), "no such file"),
        (("verify", "DATA", "--out", "OUT", "--features", "mfcc", "--trials", "none.txt"), "none.txt: no such file"),
        (("targets", "DATA", "--classes", "none.tsv"), "none.tsv: no such file"),
        (("frequent", "none.tsv", "--out", "OUT"), "none.tsv: no such file"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_by_every_command(command, expected, data_dir, tmp_path):
    words = [{"DATA": data_dir, "OUT": tmp_path / "out"}.get(word, word) for word in command]
    assert expected in refused("ptsel", *words)
    assert not (tmp_path / "out").exists()


def test_trials_of_utterances_that_are_not_there(data_dir, tmp_path):
    path = (data_dir / "valid.tsv").read_text().splitlines()[1].split("\t")[0]
    (tmp_path / "trials.txt").write_text("".join(f"1 {path} gone/{i}.wav\n" for i in range(5)))
    words = (
        "--split",
        "valid",
        "--trials",
        tmp_path / "trials.txt",
        "--features",
        "mfcc",
        "--out",
        tmp_path / "out",
    )
    message = refused("ptsel", "verify", data_dir, *words)
    assert "5 of its 6 utterances are not in" in message
    assert "(first: gone/0.wav; gone/1.wav; gone/2.wav); expected paths as written there, such as" in message
