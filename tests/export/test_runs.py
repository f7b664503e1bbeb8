"""Reading fairseq's JSON log."""

from __future__ import annotations

import pytest

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.run_figures import comparison_figure, plot_command, run_figure
from ptsel_fairseq.runs import parse_line, read_run

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
    plot_command([tmp_path], tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_a_loss_without_contrastive_part_is_not_said_to_be_in_bits(tmp_path):
    shown = []
    for name, line in (("with", INNER), ("without", INNER.replace('"accuracy": "0.1", ', ""))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hydra_train.log").write_text(line + "\n")
        shown.append(run_figure(read_run(tmp_path / name)).axes)
    contrastive, alone = shown
    assert [axes.get_ylabel() for axes in contrastive] == ["bits", "loss (standard deviations)", "accuracy"]
    assert [axes.get_ylabel() for axes in alone] == ["standard deviations", "loss (standard deviations)"]


def test_several_runs_are_compared_by_folder(tmp_path, capsys):
    for name, loss in (("one", "6.5"), ("two", "5.5")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hydra_train.log").write_text(INNER.replace("6.5", loss) + "\n" + VALID + "\n")
    plot_command([tmp_path / "one", tmp_path / "two"], tmp_path / "both.png")
    assert (tmp_path / "both.png").stat().st_size > 10_000
    assert (
        "two: pretraining, 20 updates, 3 s; last validation: loss 6.4  pretext_f0 0.7"
        in capsys.readouterr().out
    )
    with pytest.raises(PtselError, match="different names"):
        plot_command([tmp_path / "one", tmp_path / "one"], tmp_path / "both.png")


def test_a_run_without_reports_is_named_and_a_single_report_is_seen(tmp_path):
    """An untrained encoder is a training of one update, which logs nothing."""
    for name, line in (("trained", INNER), ("untrained", INNER.replace("train_inner", "train"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hydra_train.log").write_text(line + "\n")
    figure = comparison_figure({name: read_run(tmp_path / name) for name in ("trained", "untrained")})
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["trained", "untrained (no reports)"]
    assert [line.get_marker() for line in figure.axes[0].get_lines()] == ["s"]
    assert figure.get_supxlabel() == "solid: training"


FINETUNED = (
    '[2026-01-31 12:00:0{i},500][valid][INFO] - {{"epoch": 2, "valid_loss": "{loss}", "valid_uer": "{uer}", '
    '"valid_wer": "{wer}", "valid_num_updates": "{update}"}}'
)
TRAINED = (
    "[2026-01-31 12:00:01,500][train_inner][INFO] - "
    '{"epoch": 1, "loss": "9", "num_updates": "5", "train_wall": "1"}'
)


def write_finetuning(folder, wer=(90, 40, 50)):
    folder.mkdir()
    lines = [
        FINETUNED.format(i=i, loss=5 - i, uer=w / 2, wer=w, update=10 * (i + 1)) for i, w in enumerate(wer)
    ]
    (folder / "hydra_train.log").write_text("\n".join([TRAINED, *lines]) + "\n")
    return folder


def test_a_fine_tuning_shows_its_error_rates_and_the_best(tmp_path, capsys):
    run = read_run(write_finetuning(tmp_path / "asr"))
    assert run.kind == "recognition"
    loss, reached = run_figure(run).axes
    assert [list(line.get_ydata()) for line in reached.lines] == [[45, 20, 25], [90, 40, 50]]
    assert {text.get_text() for text in reached.texts} == {"20", "40"}
    assert "letter error rate" in reached.get_legend_handles_labels()[1][0]
    assert len(loss.lines) == 2
    plot_command([tmp_path / "asr"], tmp_path / "asr.png")
    assert (
        "asr: recognition, 5 updates, 1 s; last validation: loss 3  wer 50  uer 25" in capsys.readouterr().out
    )


def test_a_classification_shows_its_accuracy(tmp_path):
    (tmp_path / "hydra_train.log").write_text(
        VALID.replace('"valid_pretext_f0": "0.7"', '"valid_accuracy": "0.75"') + "\n"
    )
    run = read_run(tmp_path)
    assert run.kind == "classification"
    assert list(run_figure(run).axes[1].lines[0].get_ydata()) == [0.75]


def test_several_fine_tunings_are_compared_and_not_with_a_pretraining(tmp_path):
    folders = [write_finetuning(tmp_path / name) for name in ("one", "two")]
    plot_command(folders, tmp_path / "both.png")
    (tmp_path / "pre").mkdir()
    (tmp_path / "pre" / "hydra_train.log").write_text(INNER + "\n")
    with pytest.raises(
        PtselError, match=r"one kind to compare, found one \(recognition\), pre \(pretraining\)"
    ):
        plot_command([folders[0], tmp_path / "pre"], tmp_path / "both.png")


def test_the_folder_above_the_trainings_names_them(tmp_path):
    write_finetuning(tmp_path / "asr")
    with pytest.raises(PtselError, match=r"holds no log itself, but .*asr"):
        read_run(tmp_path)
    with pytest.raises(PtselError, match="no such folder"):
        read_run(tmp_path / "none")


def test_a_folder_without_a_log_is_refused(tmp_path):
    with pytest.raises(PtselError, match="expected fairseq's log"):
        read_run(tmp_path)
