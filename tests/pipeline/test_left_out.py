"""`false` leaves a step out, as if it were not named; `check`, which is there by itself, too."""

import pytest
import yaml

from ptsel_fairseq.pipeline.road import steps_of
from ptsel_fairseq.pipeline.settings import read_settings

WHOLE = {
    "audio": "recordings",
    "convert": {"skip-bad": True},
    "classes": {"from-folders": 1},
    "check": True,
    "extract": {"labels": ["zcr"]},
    "score": {"permutations": 20},
    "select": {"method": "direct"},
    "report": True,
}


def steps(folder, values):
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump(values))
    return [step.name for step in steps_of(read_settings(file))]


@pytest.mark.parametrize("key", ["convert", "check", "report"])
def test_a_step_that_is_false_is_left_out(key, tmp_path):
    (tmp_path / "recordings").mkdir()
    others = [name for name in steps(tmp_path, WHOLE) if name != key]
    if key == "convert":  # manifests are made of the recordings as they are
        others = ["manifest", *others]
    assert steps(tmp_path, {**WHOLE, key: False}) == others


def test_check_is_there_by_itself(tmp_path):
    (tmp_path / "recordings").mkdir()
    unnamed = {key: value for key, value in WHOLE.items() if key != "check"}
    assert steps(tmp_path, unnamed) == steps(tmp_path, WHOLE)
    assert "check" in steps(tmp_path, unnamed)
