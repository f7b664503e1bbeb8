"""`ptsel evaluate` and `ptsel compare` on real transcripts and on every fault a file can have."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import ASTERISK, run_command

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.metrics.compare import compare_command
from ptsel_fairseq.downstream.metrics.evaluate import evaluate_command
from ptsel_fairseq.downstream.metrics.evaluations import EVALUATIONS, help_lines
from ptsel_fairseq.downstream.metrics.measures import MEASURES
from ptsel_fairseq.downstream.metrics.results import read_result

TRIALS = "1 a/1.wav a/2.wav\n0 a/1.wav b/1.wav\n1 b/1.wav b/2.wav\n0 b/2.wav a/2.wav\n"
TRIAL_SCORES = "a/1.wav a/2.wav 0.9\na/1.wav b/1.wav 0.2\nb/1.wav b/2.wav 0.4\nb/2.wav a/2.wav 0.3\n"
CLASSES = "path\tclass\na\tx\nb\ty\nc\tx\n"
LABELS = "path\tclass\trelevance\na\tdrums\t0.9\na\tflute\t0\nb\tdrums\t0.1\nb\tflute\t1\n"


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.fixture(scope="module")
def texts():
    """Path and text of the bundled English validation clips."""
    folder = ASTERISK / "english"
    paths = [utterance.path for utterance in read_manifest(folder / "valid.tsv")]
    return dict(zip(paths, (folder / "valid.wrd").read_text().splitlines(), strict=True))


def lines(texts):
    return "".join(f"{item}\t{text}\n" for item, text in texts.items())


@pytest.mark.parametrize(
    ("task", "ids", "reference", "answers"),
    [
        ("asr", ["a", "b"], ["X Y", "Z"], ["X", "Z"]),
        ("verification", ["a b", "a c"], [1, 0], [0.5, 0.1]),
        ("classification", ["a", "b"], ["x", "y"], ["x", "x"]),
        ("multilabel", ["a\tx", "b\tx"], [1.0, 0.0], [0.9, 0.2]),
    ],
)
def test_every_metric_has_a_title(task, ids, reference, answers):
    metrics = EVALUATIONS[task].scorer(ids, reference, answers, "word")(np.ones(2))
    assert set(metrics) <= set(MEASURES)
    assert help_lines().count(f"  {task} ") == 1


def test_a_result_of_a_task_that_nobody_knows(tmp_path):
    (tmp_path / "result.json").write_text(
        '{"format": 1, "task": "chess", "unit": "", "answers": {"ids": []}}'
    )
    with pytest.raises(
        PtselError, match=r"result.json: a result of the task 'chess', which this version does not"
    ):
        read_result(tmp_path / "result.json")


def test_asr_from_the_command_line(texts, write, tmp_path):
    reference = write("reference.txt", lines(texts))
    heard = {item: text.replace("PLEASE", "PEAS") for item, text in texts.items()}
    trn = write("system.trn", "".join(f"{text} ({item})\n" for item, text in reversed(heard.items())))
    words = ("--reference", reference, "--hypothesis", trn, "--out", tmp_path / "asr.json")
    done = run_command("ptsel", "evaluate", "asr", *words)
    assert done.returncode == 0, done.stderr
    total = sum(len(text.split()) for text in texts.values())
    wrong = sum(text.split().count("PLEASE") for text in texts.values())
    assert wrong > 0
    assert f"WER %: {100 * wrong / total:.2f} (95 %: " in done.stdout
    assert f"WER: {wrong} substitutions, 0 deletions, 0 insertions in {total}" in done.stdout
    content = json.loads((tmp_path / "asr.json").read_text())
    assert content["metrics"]["wer"]["value"] == pytest.approx(wrong / total)
    low, high = content["metrics"]["wer"]["interval"]
    assert low <= wrong / total <= high
    assert content["command"].startswith("ptsel evaluate asr")
    assert set(content["files"]) == {str(reference), str(trn)}


def test_a_result_is_read_as_it_was_written_and_is_the_same_each_time(texts, write, tmp_path):
    reference = write("reference.txt", lines(texts))
    for name in ("a.json", "b.json"):
        evaluate_command("asr", reference, [reference], tmp_path / name, name="perfect", command_line="typed")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    result = read_result(tmp_path / "a.json")
    assert result.name == "perfect"
    assert result.answers.ids == tuple(texts)
    assert result.metrics["wer"].value == 0
    assert result.provenance["command"] == "typed"


def test_errors_of_case_are_pointed_out(texts, write, tmp_path, capsys):
    reference = write("reference.txt", lines(texts))
    lower = write("lower.txt", lines({item: text.lower() for item, text in texts.items()}))
    evaluate_command("asr", reference, [lower], tmp_path / "result.json")
    words = sum(len(text.split()) for text in texts.values())
    assert (
        f"note: {words} of the {words} errors in words are of upper and lower case" in capsys.readouterr().out
    )


def test_verification_classes_and_labels(write, tmp_path, capsys):
    out = tmp_path / "result.json"
    evaluate_command("verification", write("t", TRIALS), [write("s", TRIAL_SCORES)], out)
    assert read_result(out).metrics["eer"].value == 0
    two = [write("one", CLASSES), write("two", CLASSES.replace("c\tx", "c\ty"))]
    evaluate_command("classification", two[0], two, out)
    assert read_result(out).metrics["accuracy"].runs == (1.0, pytest.approx(2 / 3))
    evaluate_command("multilabel", write("l", LABELS), [write("m", LABELS)], out)
    assert read_result(out).metrics["map"].value == 1
    assert read_result(out).answers.groups == ("a", "a", "b", "b")
    assert "mean F1 %: 100.00" in capsys.readouterr().out


def test_scores_of_unlabelled_pairs_do_not_count(write, tmp_path, capsys):
    masked = "".join(line for line in LABELS.splitlines(True) if not line.startswith("a\tflute"))
    reference, every = write("reference", masked), LABELS.replace("b\tdrums\t0.1", "b\tdrums\t0.95")
    evaluate_command(
        "multilabel", reference, [write("labelled", every.replace("a\tflute\t0\n", ""))], tmp_path / "1"
    )
    assert "note" not in capsys.readouterr().out
    evaluate_command("multilabel", reference, [write("all", every)], tmp_path / "2")
    assert "note: 1 scores are of pairs that the reference does not label" in capsys.readouterr().out
    first, second = (read_result(tmp_path / name) for name in "12")
    assert first.answers == second.answers
    assert first.metrics == second.metrics
    for odd in ("c\tdrums\t1\n", "a\tviolin\t1\n"):  # of an item, of a class that nobody asked about
        with pytest.raises(PtselError, match=r"1 are not in .*reference"):
            evaluate_command("multilabel", reference, [write("odd", every + odd)], tmp_path / "3")


@pytest.mark.parametrize(("speakers", "least"), [(1, "1"), (3, "0.25"), (16, "0.002")])
def test_few_speakers_prove_little(speakers, least, write, tmp_path, capsys):
    items = range(48)
    table = {
        name: write(name, "path\tclass\n" + "".join(f"{i}\t{of(i)}\n" for i in items))
        for name, of in (
            *(("right", lambda i: "x"), ("wrong", lambda i: "y")),
            ("groups", lambda i: f"s{i % speakers}"),
        )
    }
    files = [tmp_path / f"{name}.json" for name in ("right", "wrong")]
    for file in files:
        evaluate_command("classification", table["right"], [table[file.stem]], file, groups=table["groups"])
    compare_command(files, tmp_path / "table.md")
    text = (tmp_path / "table.md").read_text()
    assert f"+100.00, {least} " in text
    assert f"the least that can come out is {least}." in text
    capsys.readouterr()
    compare_command(files, tmp_path / "table.md", json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["systems"]["right"]["accuracy"]["value"] == 1
    assert found["systems"]["wrong"]["accuracy"]["value"] == 0
    (accuracy,) = (each for each in found["differences"] if each["metric"] == "accuracy")
    assert (accuracy["systems"], accuracy["value"]) == (["right", "wrong"], 1)
    assert f"{accuracy['p']:.2g}" == least


def test_groups_are_speakers(write, tmp_path):
    out, classes = tmp_path / "result.json", write("classes", CLASSES)
    groups = write("speakers", "path\tclass\na\tanna\nb\tbert\nc\tanna\nother\tx\n")
    evaluate_command("classification", classes, [classes], out, groups=groups)
    assert read_result(out).answers.groups == ("anna", "bert", "anna")
    few = write("few", "path\tclass\na\tanna\nb\tbert\n")
    with pytest.raises(PtselError, match=r"1 have none \(first: c\)"):
        evaluate_command("classification", classes, [classes], out, groups=few)


@pytest.mark.parametrize(
    ("task", "reference", "hypothesis", "message"),
    [
        ("asr", "a\tHELLO\n", "HELLO\n", "hypothesis, line 1: expected 'clips"),
        ("asr", "a\tHELLO\n", "b\tHELLO\n", "1 are missing .first: a.; a system must answer"),
        ("asr", "a\tHELLO\n", "a\tHELLO\nb\tX\n", "1 are not in .*reference .first: b."),
        ("asr", "a\tHELLO\na\tHELLO\n", "a\tX\n", "reference, line 2: a is on line 1 already"),
        ("asr", "", "a\tX\n", "reference: expected lines such as"),
        ("asr", "a\t\n", "a\tX\n", "wer, cer cannot be computed"),
        ("verification", TRIALS.replace("1 a", "yes a"), TRIAL_SCORES, "reference, line 1: expected '1 id10270"),
        ("verification", TRIALS, TRIAL_SCORES.replace("0.4", "nan"), "expected a number, found 'nan' for b/1.wav b/2"),
        ("verification", TRIALS, TRIAL_SCORES.replace(" 0.4", ""), "hypothesis, line 3: expected 'id10270"),
        ("verification", "1 a b\n", "a b 1\n", "eer, min_dcf_0.01, min_dcf_0.05 cannot be computed"),
        ("classification", CLASSES, "path\tname\n", "hypothesis, line 1: expected the header 'path<TAB>class' or"),
        ("classification", CLASSES, CLASSES.replace("\ty", ""), "hypothesis, line 3: expected 2 fields"),
        ("multilabel", LABELS, LABELS.replace("0.9", "9"), "from 0 to 1, found '9' for a drums"),
        ("multilabel", CLASSES, LABELS, "reference, line 1: expected the header 'path<TAB>class<TAB>relevance'"),
    ],
)  # fmt: skip
def test_a_fault_is_named(task, reference, hypothesis, message, write, tmp_path):
    files = write("reference", reference), [write("hypothesis", hypothesis)]
    with pytest.raises(PtselError, match=message):
        evaluate_command(task, *files, tmp_path / "result.json")
    assert not (tmp_path / "result.json").exists()


def test_systems_are_compared(texts, write, tmp_path):
    reference = write("reference.txt", lines(texts))
    for name, change in (("good", {}), ("fair", {"PLEASE": "PEAS"}), ("bad", {"E": "X"})):
        heard = dict(texts)
        for old, new in change.items():
            heard = {item: text.replace(old, new) for item, text in heard.items()}
        reverse = dict(reversed(heard.items()))  # the order of the lines does not matter
        system = write(f"{name}.txt", lines(reverse if name == "fair" else heard))
        evaluate_command("asr", reference, [system], tmp_path / f"{name}.json")
    words = [tmp_path / f"{name}.json" for name in ("good", "fair", "bad")]
    done = run_command("ptsel", "compare", *words, "--out", tmp_path / "table.md", "--resamples", 200)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "table.md").read_text()
    assert text in done.stdout
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row.startswith("|")
    ]
    assert [row[0] for row in rows if " − " in row[0]] == ["good − fair", "good − bad", "fair − bad"]
    p = {row[0]: float(row[1].split(", ")[1]) for row in rows if " − " in row[0]}
    assert p["good − bad"] < 0.05
    assert rows[0][1] == "WER % ↓"
    # With 200 resamples and three pairs nothing can be clearer.
    assert p["good − bad"] == pytest.approx(6 / 201, abs=5e-4)
    assert "the least that can come out is 0.03." in text


def test_many_systems_get_resamples_enough_for_a_clear_p(write, tmp_path, capsys):
    items = [f"i{i:02d}" for i in range(30)]
    reference = write("classes", "path\tclass\n" + "".join(f"{item}\tx\n" for item in items))
    for wrong in range(6):  # the last is wrong everywhere
        classes = {item: "y" if wrong == 5 or i < wrong else "x" for i, item in enumerate(items)}
        answers = write(
            f"answers{wrong}", "path\tclass\n" + "".join(f"{i}\t{c}\n" for i, c in classes.items())
        )
        runs = [answers, reference] if wrong == 3 else [answers]
        evaluate_command("classification", reference, runs, tmp_path / f"s{wrong}.json", name=f"s{wrong}")
    compare_command([tmp_path / f"s{i}.json" for i in range(6)], tmp_path / "table.md")
    text = (tmp_path / "table.md").read_text()
    assert "on the same 3000 resamples" in text  # 15 pairs
    assert "s0 − s5 | +100.00, 0.01 " in text
    row = next(line for line in text.splitlines() if line.startswith("| s3 "))
    assert row.split("|")[-2].strip() == "90.00, 100.00"
    assert text.splitlines()[0].split("|")[-2].strip() == "runs: accuracy %"


def test_pairs_with_one_system_only(write, tmp_path):
    reference = write("classes", CLASSES)
    for name in ("a", "b", "c"):
        answers = write(name, CLASSES.replace(f"{name}\tx", f"{name}\ty"))
        evaluate_command("classification", reference, [answers], tmp_path / f"{name}.json", name=name)
    files = [tmp_path / f"{name}.json" for name in ("a", "b", "c")]
    done = run_command("ptsel", "compare", *files, "--out", tmp_path / "table.md", "--against", "b")
    assert done.returncode == 0, done.stderr
    rows = [
        line.split("|")[1].strip()
        for line in (tmp_path / "table.md").read_text().splitlines()
        if " − " in line
    ]
    assert rows == ["a − b", "b − c"]
    with pytest.raises(PtselError, match="--against: expected one of a, b, c, found 'd'"):
        compare_command(files, tmp_path / "other.md", against="d")
    assert not (tmp_path / "other.md").exists()


def test_the_order_of_the_reference_does_not_matter(texts, write, tmp_path):
    heard = write("heard.txt", lines({item: text.replace("PLEASE", "PEAS") for item, text in texts.items()}))
    other = write("other.txt", lines({item: text.replace("THE", "A") for item, text in texts.items()}))
    tables = []
    for name, reference in (("same", texts), ("reversed", dict(reversed(texts.items())))):
        evaluate_command("asr", write("one", lines(texts)), [heard], tmp_path / "heard.json")
        evaluate_command("asr", write("two", lines(reference)), [other], tmp_path / "other.json")
        compare_command([tmp_path / "heard.json", tmp_path / "other.json"], tmp_path / f"{name}.md")
        pairs = [line for line in (tmp_path / f"{name}.md").read_text().splitlines() if " − " in line]
        tables.append(pairs)
    assert tables[0] == tables[1]


def test_one_system_and_two_of_one_name(write, tmp_path, capsys):
    classes = write("classes", CLASSES)
    for name in ("a.json", "b.json"):
        evaluate_command("classification", classes, [classes], tmp_path / name)
    compare_command([tmp_path / "a.json"], tmp_path / "one.svg")
    assert (tmp_path / "one.svg").is_file()
    assert "pair" not in capsys.readouterr().out
    compare_command([tmp_path / "a.json", tmp_path / "b.json"], tmp_path / "two.png")
    assert f"{tmp_path / 'a.json'} − {tmp_path / 'b.json'}" in capsys.readouterr().out
    with pytest.raises(PtselError, match="expected different results"):
        compare_command([tmp_path / "a.json"] * 2, tmp_path / "two.png")


def test_only_the_same_test_set_can_be_compared(write, tmp_path):
    out = tmp_path / "table.md"
    for name, text in (
        ("a", CLASSES),
        ("b", CLASSES.replace("c\tx", "d\tx")),
        ("c", CLASSES.replace("b\ty", "b\tz")),
    ):
        file = write(name, text)
        evaluate_command("classification", file, [file], tmp_path / f"{name}.json")
    labels = write("labels", LABELS)
    evaluate_command("multilabel", labels, [labels], tmp_path / "d.json")
    for name, message in (("b", "the items"), ("c", "the references"), ("d", "the task 'classification'")):
        with pytest.raises(PtselError, match=message):
            compare_command([tmp_path / "a.json", tmp_path / f"{name}.json"], out)
    with pytest.raises(PtselError, match="no such file; expected what `ptsel evaluate`"):
        compare_command([tmp_path / "none.json"], out)
    with pytest.raises(PtselError, match="cannot be read"):
        compare_command([write("broken.json", '{"format": 1}')], out)
    with pytest.raises(PtselError, match="--resamples: expected at least 100, found 5"):
        compare_command([tmp_path / "a.json"], out, resamples=5)
