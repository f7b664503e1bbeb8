"""Steps that are done once: what changed is done again, several go at a time, and what is interrupted goes on."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from functools import partial

import pytest
from conftest import ROOT, wait_for

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.pipeline import Runner, Step, training_command
from ptsel_fairseq.pipeline import runner as running
from ptsel_fairseq.pipeline import step as steps
from ptsel_fairseq.pipeline.step import PACKAGE


def bash(name, script, *words, **more):
    """A step of one script, whose words are $0, $1, ..."""
    return Step(name, (("bash", "-c", script, *map(str, words)),), **more)


def copy(source, target):
    """A step that appends a file to another one, so that a repetition shows."""
    return bash("copy", 'cat "$0" >> "$1"', source, target, reads=(source,), makes=(target,))


def test_a_step_is_done_again_only_if_something_changed(tmp_path, capsys):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("one\n")
    step = copy(source, target)
    with Runner(tmp_path / "out", show=False) as runner:
        assert runner.run(step).state == "done"
        assert runner.run(step).state == "done before"
        assert target.read_text() == "one\n"
        source.write_text("two\n")
        runner.run(step)
        assert target.read_text() == "one\ntwo\n"
        target.unlink()
        runner.run(step)
        assert target.read_text() == "two\n"
        runner.marks.forget([step])
        runner.run(step)
        assert target.read_text() == "two\ntwo\n"
    with Runner(tmp_path / "out") as runner:
        assert runner.run(step).state == "done before"
    shown = capsys.readouterr().out
    assert '\n== 1. copy\n$ bash -c \'cat "$0" >> "$1"\'' in shown
    assert shown.count("(done before)") == 1  # only the runner that shows


def test_an_input_that_changes_meanwhile_counts(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("one\n")
    step = bash(
        "copy", 'cat "$0" >> "$1"; echo more >> "$0"', source, target, reads=(source,), makes=(target,)
    )
    with Runner(tmp_path / "out") as runner:
        runner.run(step)
        assert runner.run(step).state == "done"
        assert target.read_text() == "one\none\nmore\n"


def test_a_moved_clone_repeats_nothing(monkeypatch, tmp_path):
    def key(package, size="1"):
        recipe = package.parent / "configs" / "pretraining" / "tiny.yaml"
        command = training_command(recipe, tmp_path / "run", f"common.user_dir={package}", f"size={size}")
        return Step("train", (command,), reads=(tmp_path / "none",)).key()

    before = key(PACKAGE)
    assert key(PACKAGE, size="2") != before
    monkeypatch.setattr(steps, "PACKAGE", tmp_path / "clone" / "ptsel_fairseq")
    assert key(tmp_path / "clone" / "ptsel_fairseq") == before
    assert key(PACKAGE) != before


def test_a_training_goes_on_unless_its_input_changed(tmp_path):
    recipe, run = tmp_path / "recipe", tmp_path / "run"
    recipe.write_text("a")
    script = 'mkdir -p "$1"; echo >> "$1/updates"; echo said; test -e "$0.allowed"'
    step = bash("train", script, recipe, run, reads=(recipe,), makes=(run,), run_folder=run)
    with Runner(tmp_path / "out", show=False) as runner:
        for _ in range(2):
            with pytest.raises(
                PtselError, match=r"train: ended with exit code 1; .* output is in .*logs/train.log"
            ):
                runner.run(step)
        assert (tmp_path / "out" / "logs" / "train.log").read_text() == "said\n"
        assert len((run / "updates").read_text()) == 2  # it went on
        recipe.write_text("b")
        (tmp_path / "recipe.allowed").write_text("")
        runner.run(step)
    assert len((run / "updates").read_text()) == 1  # of another recipe: from the start
    assert len((tmp_path / "run.before-1" / "updates").read_text()) == 2


WAIT_FOR_THE_OTHER = 'touch "$0"; for i in {1..200}; do test -e "$1" && exit 0; sleep 0.05; done; exit 1'


def test_steps_go_at_the_same_time(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    two = [
        bash("first", WAIT_FOR_THE_OTHER, a, b, makes=(a,)),
        bash("second", WAIT_FOR_THE_OTHER, b, a, makes=(b,)),
    ]
    with Runner(tmp_path / "out", show=False) as runner:
        runner.at_once(2, [two[0], partial(runner.run, two[1])])
        assert sorted(outcome.state for outcome in runner.outcomes) == ["done", "done"]
        runner.at_once(2, two)
        assert [outcome.state for outcome in runner.outcomes[2:]] == ["done before", "done before"]


def test_the_first_that_fails_ends_it_when_those_that_have_begun_are_done(tmp_path):
    begun, never = tmp_path / "begun", tmp_path / "never"
    work = [
        bash("fails", 'until test -e "$0"; do sleep 0.05; done; exit 3', tmp_path / "started"),
        bash("slow", 'touch "$0"; sleep 0.5; touch "$1"', tmp_path / "started", begun, makes=(begun,)),
        *(bash(f"later{i}", 'sleep 0.5; touch "$0"', never, makes=(never,)) for i in range(4)),
    ]
    with Runner(tmp_path / "out", show=False) as runner:
        with pytest.raises(PtselError, match="fails: ended with exit code 3"):
            runner.at_once(2, work)
        assert runner.marks.is_done(work[1])
        assert not runner.marks.is_done(work[-1])


PROGRAM = """
import sys
from pathlib import Path
from ptsel_fairseq.cli.failures import one_line_failures
from ptsel_fairseq.pipeline import Runner, Step

run, jobs = Path(sys.argv[1]), int(sys.argv[2])
script = r'''
trap 'echo saved >> "$0/log"; exit 0' INT TERM
mkdir -p "$0"; echo $$ > "$0/process"; echo began >> "$0/log"; touch "$0/checkpoint"
test -e "$0/allowed" || while true; do sleep 0.05; done
'''
step = Step("train", (("bash", "-c", script, str(run)),), makes=(run / "checkpoint",), run_folder=run)
with one_line_failures(lambda: True), Runner(run.parent / "out", show=False) as runner:
    runner.at_once(jobs, [step]) if jobs else runner.run(step)
"""


@pytest.mark.parametrize("jobs", [0, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_training_saves_and_is_not_taken_for_done(number, code, jobs, tmp_path):
    """It ends with exit code 0 and has made its checkpoint, as fairseq does when it is asked to stop."""
    log = tmp_path / "run" / "log"
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "run"), str(jobs)]
    with subprocess.Popen(words, start_new_session=True, stderr=subprocess.PIPE, text=True) as program:
        wait_for(log)
        if number == signal.SIGINT:
            os.killpg(program.pid, number)  # as a terminal does
        else:
            program.send_signal(number)  # as a cluster may do
        said = program.communicate(timeout=20)[1]
    assert program.returncode == code
    assert "the same command" in said
    assert log.read_text() == "began\nsaved\n"
    (tmp_path / "run" / "allowed").write_text("")
    subprocess.run(words, check=True, timeout=60)
    assert log.read_text() == "began\nsaved\nbegan\n"  # in the same folder: it went on


def test_an_interrupt_counts_that_the_main_thread_has_not_handled_yet(tmp_path):
    """Another thread may get the signal, and see the command end, while the main thread sleeps."""
    made = tmp_path / "made"
    step = bash("train", 'touch "$0"; kill -INT $PPID', made, makes=(made,))

    def work():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        runner.run(step)

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with Runner(tmp_path / "out", show=False) as runner:
            with pytest.raises(KeyboardInterrupt):
                runner.at_once(2, [work])
            assert made.exists()
            assert not runner.marks.is_done(step)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_training_whose_runner_was_killed_keeps_other_runs_out(tmp_path):
    """Two trainings would write the same checkpoints."""
    log = tmp_path / "run" / "log"
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "run"), "0"]
    with subprocess.Popen(words, start_new_session=True) as program:
        wait_for(log)
        program.kill()
    try:
        refused = subprocess.run(words, capture_output=True, text=True, timeout=60)
    finally:
        os.kill(int((tmp_path / "run" / "process").read_text()), signal.SIGTERM)
    assert refused.returncode == 1
    assert "another run works there, or a command that it has left" in refused.stderr
    (tmp_path / "run" / "allowed").write_text("")
    ended = [subprocess.run(words, capture_output=True, timeout=60).returncode for _ in range(2)]  # soon
    assert ended[-1] == 0
    assert log.read_text() == "began\nsaved\nbegan\n"


def test_the_end_of_a_log_shows_no_endless_line(tmp_path, capsys):
    """fairseq prints all its settings as one line, before it says what is wrong."""
    step = bash("long", 'printf "%02000d\\n" 7; echo the reason; exit 2')
    with Runner(tmp_path / "out", show=False) as runner, pytest.raises(PtselError, match="exit code 2"):
        runner.run(step)
    shown = capsys.readouterr().out
    assert "0 ...\nthe reason\n" in shown
    assert max(map(len, shown.splitlines())) < 500
    assert len((tmp_path / "out" / "logs" / "long.log").read_text()) > 2000


def test_one_run_at_a_time_in_a_folder(tmp_path):
    with (
        Runner(tmp_path / "out"),
        pytest.raises(PtselError, match="another run works there"),
        Runner(tmp_path / "out"),
    ):
        pass


def test_what_cannot_be_run_is_said(tmp_path, monkeypatch, capsys):
    train = Step("train", (training_command(tmp_path / "r.yaml", tmp_path / "run"),))
    export = bash("export", "true", reads=(tmp_path / "run" / "checkpoint_last.pt",))
    with Runner(tmp_path / "out") as runner:
        with pytest.raises(PtselError, match=r"export: .*checkpoint_last.pt: is not there"):
            runner.run(export)
        monkeypatch.setattr(running, "find_program", lambda name: None)
        with pytest.raises(PtselError, match="train: fairseq is not installed here; pip install"):
            runner.run(train)
        with pytest.raises(PtselError, match=r"empty: ended well but did not make .*nothing"):
            runner.run(bash("empty", "true", makes=(tmp_path / "nothing",)))
    with Runner(tmp_path / "out", leave_out_training=True) as runner:
        assert runner.run(train).state == "not run: no fairseq here"
        assert runner.run(export).state == "not run: waits for training"
    with pytest.raises(PtselError, match="expected a step's name that can be a file's"):
        bash("a/b", "true")
    assert shlex.join(train.commands[0]) in capsys.readouterr().out


def test_the_steps_of_the_docs(data_dir, tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "pipeline.md").read_text()
    block = re.search(r"<!-- test: steps -->\n```python\n(.*?)```", page, re.S)[1]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(data_dir)
    for state in ("done", "done before"):
        exec(compile(block, "docs/pipeline.md", "exec"), {})
        names = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[(")]
        assert sorted(eval(names[-1])) == [("labels-loudness", state), ("labels-zcr", state)]
