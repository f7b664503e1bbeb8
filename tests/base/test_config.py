"""λ on disk: what is written is read back, recipes keep their other lines, and bad weights are refused."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.weights_file import check_weights, read_weights, write_into_recipe, write_weights

WEIGHTS = {"zcr": 0.0, "alpha_ratio": 0.25, "f0": 0.75}
PROVENANCE = {"method": "group", "objective": 0.0312, "versions": "numpy 2.4, scipy 1.17"}
RECIPE = """\
# @package _global_

# what it is for
common:
  fp16: false   # no GPU here

criterion:
  _name: ptsel_wav2vec   # ours
  infonce: true
  # why these two
  loss_weights: [0.1, 10]

optimization:
  max_update: 100
  lr: [0.0005]
"""


def test_an_overlay_is_read_back(tmp_path):
    file = tmp_path / "weights" / "w.yaml"
    write_weights(file, WEIGHTS, PROVENANCE)
    assert read_weights(file) == (WEIGHTS, True)
    text = file.read_text()
    assert text.splitlines()[0] == "# @package _global_"
    assert yaml.safe_load(text) == {
        "criterion": {"pretext_weights": WEIGHTS, "pretext_sum_to_one": True},
    }
    for key, value in PROVENANCE.items():
        assert f"{key}: {value}" in text
    assert [line.split(":")[0].strip() for line in text.splitlines()[-3:]] == sorted(WEIGHTS)
    assert [entry.name for entry in file.parent.iterdir()] == ["w.yaml"]  # nothing half-written


def test_an_overlay_composes_with_a_recipe_as_hydra_would_merge_it(tmp_path):
    omegaconf = pytest.importorskip("omegaconf")
    file = tmp_path / "w.yaml"
    write_weights(file, WEIGHTS, PROVENANCE)
    merged = omegaconf.OmegaConf.merge(omegaconf.OmegaConf.create(RECIPE), omegaconf.OmegaConf.load(file))
    assert merged.criterion.pretext_weights == WEIGHTS
    assert merged.criterion.infonce is True


def test_weights_that_do_not_sum_to_one_say_so(tmp_path):
    write_weights(tmp_path / "w.yaml", {"f0": 1.0, "zcr": 1.0}, {}, sum_to_one=False)
    assert read_weights(tmp_path / "w.yaml") == ({"f0": 1.0, "zcr": 1.0}, False)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True), st.floats(0, 1), min_size=1))
def test_any_weights_survive_both_forms(weights):
    # Names such as `on`, `no` or `null` are YAML's words for other things.
    from tempfile import TemporaryDirectory

    if set(weights) & {"on", "off", "yes", "no", "y", "n", "true", "false", "null"}:
        return
    with TemporaryDirectory() as folder:
        write_weights(f"{folder}/w.yaml", weights, {})
        found, _ = read_weights(f"{folder}/w.yaml")
    assert found.keys() == weights.keys()
    assert all(abs(found[name] - weights[name]) <= 1e-5 for name in weights)


def test_a_recipe_keeps_every_other_line(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    write_into_recipe(file, WEIGHTS, PROVENANCE)
    assert read_weights(file) == (WEIGHTS, True)
    after = file.read_text().split("\n")
    assert [line for line in after if line in RECIPE.split("\n")] == RECIPE.split("\n")
    added = [line for line in after if line not in RECIPE.split("\n")]
    assert all(line.startswith("  ") for line in added)  # all in the criterion's block
    loaded, before = yaml.safe_load(file.read_text()), yaml.safe_load(RECIPE)
    for setting in ("pretext_weights", "pretext_sum_to_one"):
        del loaded["criterion"][setting]
    assert loaded == before


def test_a_later_selection_replaces_the_earlier_one(tmp_path):
    once, twice = tmp_path / "once.yaml", tmp_path / "twice.yaml"
    for file in (once, twice):
        file.write_text(RECIPE)
    write_into_recipe(twice, {"a": 1.0, "b": 1.0, "c": 1.0}, {"method": "all", "seed": 3}, sum_to_one=False)
    write_into_recipe(twice, WEIGHTS, PROVENANCE)
    write_into_recipe(once, WEIGHTS, PROVENANCE)
    assert twice.read_text() == once.read_text()


@pytest.mark.parametrize(
    "old",
    [
        "  pretext_weights: {f0: 1.0}\n",
        "  pretext_weights:\n    f0: 0.5\n\n    zcr: 0.5   # half\n",
        "  pretext_weights: {}\n",
    ],
)
def test_weights_already_in_a_recipe_are_replaced_where_they_stand(tmp_path, old):
    file = tmp_path / "recipe.yaml"
    before, after = RECIPE.split("  infonce: true\n")
    file.write_text(before + old + "  infonce: true\n" + after)
    write_into_recipe(file, WEIGHTS, PROVENANCE)
    assert read_weights(file) == (WEIGHTS, True)
    text = file.read_text()
    assert text.startswith(before)
    assert text.endswith("  infonce: true\n" + after)


def test_a_recipe_with_other_indentation(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("criterion:\n    _name: ptsel_wav2vec\n    infonce: true\ntask:\n    _name: x")
    write_into_recipe(file, WEIGHTS, {})
    assert read_weights(file) == (WEIGHTS, True)
    assert yaml.safe_load(file.read_text())["task"] == {"_name": "x"}
    assert not file.read_text().endswith("\n")


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("task:\n  _name: x\n", "expected one block 'criterion:'"),
        ("criterion:\n  a: 1\ncriterion:\n  b: 1\n", "found 2"),
        ("criterion:\n\ntask:\n  _name: x\n", "is empty"),
        ("criterion: {_name: ptsel_wav2vec}\n", "expected one block 'criterion:'"),
    ],
)
def test_a_recipe_without_a_place_for_weights_is_left_alone(tmp_path, recipe, message):
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe)
    with pytest.raises(PtselError, match=message) as caught:
        write_into_recipe(file, WEIGHTS, {})
    assert str(file) in str(caught.value)
    assert file.read_text() == recipe
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("criterion: [", "not a YAML file"),
        ("criterion: {infonce: true}", "found no such weights"),
        ("", "found no such weights"),
        ("criterion: {pretext_weights: {f0: many}}", "found no such weights"),
        ("criterion: {pretext_weights: [0.1, 0.2]}", "found no such weights"),
    ],
)
def test_a_file_without_weights_is_named(tmp_path, text, message):
    file = tmp_path / "w.yaml"
    file.write_text(text)
    with pytest.raises(PtselError, match=message) as caught:
        read_weights(file)
    assert str(file) in str(caught.value)
    with pytest.raises(PtselError, match="no such file"):
        read_weights(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"f0": 0.5, "pitch": 0.5}, "no label pitch in the store, which holds f0, zcr"),
        ({"f0": 1.5, "zcr": -0.5}, "at least 0 for zcr, found -0.5"),
        ({"f0": math.nan}, "at least 0 for f0, found nan"),
        ({"f0": math.inf}, "at least 0 for f0, found inf"),
        ({"f0": 0.5, "zcr": 0.4}, "sum 0.9"),
        ({"f0": 1.0, "zcr": 1.0}, "sum 2"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused(weights, message):
    with pytest.raises(PtselError, match=message):
        check_weights(weights, ["zcr", "f0"], sum_to_one=True)


def test_weights_that_may_be_meant_pass():
    known = ["f0", "zcr"]
    check_weights({"f0": 0.3333, "zcr": 0.6665}, known, sum_to_one=True)  # rounded
    check_weights({"f0": 0.0, "zcr": 0.0}, known, sum_to_one=True)  # plain wav2vec 2.0
    check_weights({}, known, sum_to_one=True)
    check_weights({"f0": 1.0, "zcr": 1.0}, known, sum_to_one=False)


def test_a_persons_comments_in_the_block_survive(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "criterion:\n"
        "  _name: ptsel_wav2vec\n"
        "  # why these\n"
        "  pretext_weights:  # chosen by hand\n"
        "    # the pitch\n"
        "    f0: 0.4   # Hz\n"
        "    loudness: 0.6\n"
        "\n"
        "  # about the scale\n"
        "  pretext_scale: 0.5\n"
    )
    write_into_recipe(file, WEIGHTS, {"method": "direct"})
    assert file.read_text() == (
        "criterion:\n"
        "  _name: ptsel_wav2vec\n"
        "  # why these\n"
        "  # λ method: direct\n"
        "  pretext_sum_to_one: true\n"
        "  pretext_weights:  # chosen by hand\n"
        "    alpha_ratio: 0.25\n"
        "    f0: 0.75   # Hz\n"
        "    zcr: 0.0\n"
        "    # the pitch\n"
        "\n"
        "  # about the scale\n"
        "  pretext_scale: 0.5\n"
    )


def test_line_endings_links_and_modes_stay(tmp_path):
    file, link = tmp_path / "recipe.yaml", tmp_path / "link.yaml"
    file.write_bytes(RECIPE.replace("\n", "\r\n").encode())
    file.chmod(0o640)
    link.symlink_to(file)
    write_into_recipe(link, WEIGHTS, PROVENANCE)
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert file.read_bytes().count(b"\n") == file.read_bytes().count(b"\r\n") > RECIPE.count("\n")
    assert read_weights(file) == (WEIGHTS, True)


def test_provenance_cannot_break_out_of_its_comment(tmp_path):
    write_weights(tmp_path / "w.yaml", WEIGHTS, {"command": "ptsel select\ncriterion: {pretext_weights: {}}"})
    assert read_weights(tmp_path / "w.yaml") == (WEIGHTS, True)


def test_flow_style_over_several_lines_is_refused_not_mangled(tmp_path):
    file = tmp_path / "recipe.yaml"
    text = "criterion:\n  _name: ptsel_wav2vec\n  pretext_weights: {\n    f0: 1.0,\n  }\n"
    file.write_text(text)
    with pytest.raises(PtselError, match=r"recipe\.yaml"):
        write_into_recipe(file, WEIGHTS, PROVENANCE)
    assert file.read_text() == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["recipe.yaml"]


def test_very_small_weights_are_numbers_for_every_reader(tmp_path):
    write_weights(tmp_path / "w.yaml", {"f0": 0.99998, "zcr": 2e-5}, {})
    assert yaml.safe_load((tmp_path / "w.yaml").read_text())["criterion"]["pretext_weights"]["zcr"] == 2e-5
