"""The comparison of all methods and the page: files, tables and pictures of a scored task."""

from __future__ import annotations

import base64
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import ASTERISK, run_command

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators import DEFAULT_ESTIMATOR
from ptsel_fairseq.selection.label_score import read_scores
from ptsel_fairseq.selection.run_select import load_points
from ptsel_fairseq.selection.weighting import WAYS
from ptsel_fairseq.selection.weighting.comparison import compare_methods, read_comparison
from ptsel_fairseq.selection.weighting.group import GroupObjective


class Page(HTMLParser):
    """What a browser would load, the tables, and the texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.rows: list[list[str]] = []
        self.sorted_by: list[list[str | None]] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.loaded += [given[key] for key in ("src", "href") if given.get(key)]
        if tag == "tr":
            self.rows.append([])
            self.sorted_by.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.sorted_by[-1].append(given.get("data-value"))

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


@pytest.fixture(scope="module")
def ci_dir(data_dir, store_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("ci")
    done = run_command(
        "ptsel", "score", data_dir, "--store", store_dir, "--classes", ASTERISK / "classes" / "phone.tsv",
        "--out", out, "--permutations", 19, "--bootstrap", 100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = run_command("ptsel", "select", out, "--method", "all-methods")
    assert done.returncode == 0, done.stderr
    (out / "stdout.txt").write_text(done.stdout)
    return out


def test_all_methods_are_compared(ci_dir):
    compared, made = read_comparison(ci_dir / "methods.json")
    scores, _ = read_scores(ci_dir / "scores.json")
    found = {title.partition(",")[0] for title in compared.rows}
    assert found == set(WAYS.names()) - {"manual"}
    assert made["estimator"] == DEFAULT_ESTIMATOR
    assert made["command"].startswith("ptsel select")
    assert (ci_dir / "methods.png").read_bytes().startswith(b"\x89PNG")
    points = load_points(ci_dir, scores)
    J = GroupObjective(points.x, points.labels, points.classes, "cka")
    R = np.array(compared.dependence)
    printed = (ci_dir / "stdout.txt").read_text()
    for title, row in compared.rows.items():
        assert row.reason is None, title
        shares = np.array([row.weights[name] for name in J.labels])
        shares = shares / shares.sum()
        assert row.group_score == pytest.approx(J(shares)[0])
        assert row.redundancy == pytest.approx(shares @ R @ shares)
        assert row.mean_score == pytest.approx(shares @ [scores[name].score for name in J.labels])
        assert row.relevance > 0
        assert row.effective_labels == pytest.approx(1 / np.sum(shares**2))
        assert f"\n{title} " in printed
    group = compared.rows["group, sparsemax"].group_score
    assert group <= min(row.group_score for row in compared.rows.values()) + 1e-9
    most = compared.rows["relevance"].relevance
    assert most >= max(row.relevance for row in compared.rows.values()) - 1e-9
    assert np.allclose(np.sum(compared.relevance_path["weights"], axis=1), 1)
    # The paths: at each τ what `direct` gives, at each step a point of the simplex with a lower group score in the end.
    path = compared.direct_path
    assert np.allclose(np.sum(path["weights"], axis=1), 1)
    assert np.count_nonzero(path["weights"][0]) <= np.count_nonzero(path["weights"][-1]) == len(scores)
    assert compared.group_path["objective"][-1] < compared.group_path["objective"][0]
    assert np.allclose(np.sum(compared.group_path["weights"], axis=1), 1)


def test_the_papers_optimiser_is_compared_for_their_estimator(ci_dir):
    scores, _ = read_scores(ci_dir / "scores.json")
    points = load_points(ci_dir, scores)
    rows = np.flatnonzero(np.isin(points.classes, np.unique(points.classes)[:3]))
    few = type(points)(points.x[rows], {k: z[rows] for k, z in points.labels.items()}, points.classes[rows])
    compared = compare_methods(few, scores, estimator="reference")
    assert [title for title in compared.rows if "papers" in title] == [
        "group, sparsemax, papers' optimizer",
        "group, softmax, papers' optimizer",
    ]


def test_the_page_holds_everything(ci_dir, tmp_path):
    out = tmp_path / "report.html"
    done = run_command("ptsel", "report", ci_dir, "--out", out)
    assert done.returncode == 0, done.stderr
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    assert page.loaded, "no picture"
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.loaded)
    for address in page.loaded:
        assert b"<svg" in base64.b64decode(address.partition(",")[2])
    assert len(page.loaded) == 5
    assert "default-src 'none'" in text
    scores, made = read_scores(ci_dir / "scores.json")
    table = {
        row[0]: (row, keys) for row, keys in zip(page.rows, page.sorted_by, strict=True) if row[0] in scores
    }
    for name in scores:
        assert name in table
    first = next(row for row in page.rows if row[0] in scores)
    best = max(scores, key=lambda name: scores[name].score)
    assert first[0] == best
    (index,) = (i for i, row in enumerate(page.rows) if row is first)
    assert float(page.sorted_by[index][1]) == scores[best].score
    compared, _ = read_comparison(ci_dir / "methods.json")
    assert set(compared.rows) <= {row[0] for row in page.rows}
    assert {row[0] for row in page.rows} >= {f"{name} (control)" for name in made["controls"]}
    for said in (made["manifest_checksum"], made["classes_checksum"], "ptsel score", "ptsel report", "numpy"):
        assert said in text


def test_the_same_data_give_the_same_page(ci_dir, tmp_path):
    for name in ("one.html", "two.html"):
        assert run_command("ptsel", "report", ci_dir, "--out", tmp_path / name).returncode == 0
    one, two = ((tmp_path / name).read_text().replace(name, "") for name in ("one.html", "two.html"))
    assert one == two


def test_a_page_without_weights_says_how_to_get_them(ci_dir, tmp_path):
    for name in ("scores.json", "points.npz"):
        shutil.copy(ci_dir / name, tmp_path / name)
    done = run_command("ptsel", "report", tmp_path, "--out", tmp_path / "deep" / "report.html")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "deep" / "report.html").read_text()
    assert re.search(r"ptsel select \S+ --method all-methods", text)
    assert len(Page(text).loaded) == 3


def test_names_are_escaped(ci_dir, tmp_path):
    content = json.loads((ci_dir / "scores.json").read_text())
    record = content["scores"].pop("zcr")
    content["scores"]["<script>alert(1)</script>"] = record
    content["labels"]["<script>alert(1)</script>"] = content["labels"].pop("zcr")
    (tmp_path / "scores.json").write_text(json.dumps(content))
    shutil.copy(ci_dir / "methods.json", tmp_path / "methods.json")
    done = run_command("ptsel", "report", tmp_path, "--out", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    assert Page((tmp_path / "report.html").read_text()).tags.count("script") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["select", "CI", "--method", "all-methods", "--tau", "1"], "--tau belongs to one method"),
        (["select", "CI", "--method", "all-methods", "--out", "x.yaml"], "ending in .json"),
        (["select", "CI", "--method", "all-methods", "--config", "x.yaml"], "--config: expected one method"),
        (["select", "CI", "--method", "direct"], "--out: expected a file for the weights"),
        (
            ["select", "CI", "--method", "manual", "--weights", "f0", "--out", "w.yaml"],
            "LABEL=WEIGHT such as",
        ),
        (["report", "absent", "--out", "r.html"], "scores.json: no such file"),
    ],
)
def test_the_commands_refuse_in_one_line(ci_dir, tmp_path, arguments, message):
    done = run_command("ptsel", *[ci_dir if word == "CI" else word for word in arguments], cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 0}', '{"format": 1}'])
def test_a_damaged_comparison_is_named(tmp_path, content):
    (tmp_path / "methods.json").write_text(content)
    with pytest.raises(PtselError, match=r"methods\.json"):
        read_comparison(tmp_path / "methods.json")


def test_p_at_its_floor_is_a_bound():
    from ptsel_fairseq.selection.output.report import _p

    assert _p(1 / 1001, 1000).text == "≤ 0.001"
    assert _p(2 / 1001, 1000).text == "0.002"
    assert _p(0.5, 0).text == "0.5"
    assert _p(None, 1000).text == "–"


def test_numbers_of_a_column_have_the_same_decimals():
    from ptsel_fairseq.selection.output.report import _number

    assert [_number(value).text for value in (0.262, 0.2617, -1.5, 0.0)] == [
        "0.2620",
        "0.2617",
        "-1.5000",
        "0.0000",
    ]
    assert _number(1e-7).text == "1e-07"


def test_the_chosen_weights_and_their_trainings_are_shown(tmp_path):
    from ptsel_fairseq.base.errors import PtselError
    from ptsel_fairseq.base.weights_file import write_weights
    from ptsel_fairseq.runs import read_run
    from ptsel_fairseq.selection.output.report_choice import run_html, weights_html

    write_weights(
        tmp_path / "w.yaml",
        {"f0": 0.75, "zcr": 0.25, "loudness": 0.0},
        {"method": "direct", "command": "ptsel select ci --support 2"},
    )
    shown = weights_html(tmp_path / "w.yaml", {"f0": 1, "zcr": 1, "loudness": 1})
    assert shown.index("f0") < shown.index("zcr")
    assert "0.7500" in shown
    assert "λ = 0: loudness." in shown
    assert "ptsel select ci --support 2" in shown
    with pytest.raises(PtselError, match="gives weight to zcr, which these scores do not hold"):
        weights_html(tmp_path / "w.yaml", {"f0": 1})
    log = (
        "[2026-01-31 12:00:0{i},500][train_inner][INFO] - "
        '{{"loss": "{loss}", "num_updates": "{i}", "train_wall": "2"}}'
    )
    (tmp_path / "hydra_train.log").write_text("\n".join(log.format(i=i, loss=7 - i) for i in (1, 2)) + "\n")
    text, figure = run_html(read_run(tmp_path))
    assert "2 updates in 4 s" in text
    assert "<dt>loss</dt><dd>5</dd>" in text
    assert figure.axes
