"""Reading fairseq's JSON log."""

from __future__ import annotations

import pytest

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.runs import draw_run, parse_line, plot_command, read_run

INNER = (
    '[2026-01-31 12:00:01,500][train_inner][INFO] - {"epoch": 2, "update": 1.5, "loss": "6.5", "accuracy": "0.1", '
    '"pretext_f0": "0.8", "num_updates": "20", "lr": "0.001", "train_wall": "3", "note": "none"}'
)
VALID = (
    '[2026-01-31 12:00:02,500][valid][INFO] - {"epoch": 2, "valid_loss": "6.4", "valid_pretext_f0": "0.7", '
    '"valid_num_updates": "20", "valid_best_loss": "6.3"}'
)


def test_a_report_becomes_numbers_under_fairseqs_names():
    record = parse_line(INNER)
    assert (record.kind, record.update) == ("train_inner", 20)
    assert record.values["pretext_f0"] == 0.8
    assert "note" not in record.values
    valid = parse_line(VALID)
    assert (valid.kind, valid.update, valid.values["loss"], valid.values["pretext_f0"]) == (
        "valid",
        20,
        6.4,
        0.7,
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[2026-01-31 12:00:01,500][fairseq_cli.train][INFO] - begin training epoch 1",
        "[2026-01-31 12:00:01,500][train_inner][INFO] - {broken",
        '[2026-01-31 12:00:01,500][train][INFO] - {"epoch": 2}',
    ],
)
def test_other_lines_are_passed_over(line):
    assert parse_line(line) is None


def test_a_resumed_run_has_each_update_once(tmp_path):
    (tmp_path / "hydra_train.log").write_text(
        "\n".join([INNER, VALID, INNER.replace("6.5", "6.6"), "other"]) + "\n"
    )
    run = read_run(tmp_path)
    assert run.series("train_inner", "loss") == ([20], [6.6])
    assert run.series("valid", "pretext_f0") == ([20], [0.7])
    assert run.series("valid", "absent") == ([], [])
    assert run.updates_and_seconds() == (20, 3.0)
    draw_run(run, tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_a_loss_without_contrastive_part_is_not_said_to_be_in_bits(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("ptsel_fairseq.runs.save", lambda figure, out: shown.append(figure.axes))
    for name, line in (("with", INNER), ("without", INNER.replace('"accuracy": "0.1", ', ""))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hydra_train.log").write_text(line + "\n")
        draw_run(read_run(tmp_path / name), tmp_path / "run.png")
    contrastive, alone = shown
    assert [axes.get_ylabel() for axes in contrastive] == ["bits", "loss (standard deviations)", "accuracy"]
    assert [axes.get_ylabel() for axes in alone] == ["standard deviations", "loss (standard deviations)"]


def test_several_runs_are_compared_by_folder(tmp_path, capsys):
    for name, loss in (("one", "6.5"), ("two", "5.5")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hydra_train.log").write_text(INNER.replace("6.5", loss) + "\n" + VALID + "\n")
    plot_command([tmp_path / "one", tmp_path / "two"], tmp_path / "both.png")
    assert (tmp_path / "both.png").stat().st_size > 10_000
    assert "two: 20 updates, 3 s; last validation: loss 6.4  pretext_f0 0.7" in capsys.readouterr().out
    with pytest.raises(PtselError, match="different names"):
        plot_command([tmp_path / "one", tmp_path / "one"], tmp_path / "both.png")


def test_a_folder_without_a_log_is_refused(tmp_path):
    with pytest.raises(PtselError, match="expected fairseq's log"):
        read_run(tmp_path)
