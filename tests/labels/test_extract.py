"""`ptsel extract` as it is typed: what it announces, how it fails, and that nothing finished is lost."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import ASTERISK, BIN, contents, run_command, write_manifest

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import readable_size, readable_time
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.extraction import extract as extraction
from ptsel_fairseq.labels.extraction.cost import Cost, jobs_by_measurement
from ptsel_fairseq.labels.extraction.extract import extract, extract_command
from ptsel_fairseq.labels.signal import built_in_labels
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.store.writer import StoreWriter


@pytest.fixture
def broken_dir(tmp_path: Path) -> Path:
    """Eight good clips in ``train.tsv``; `spoil` replaces one."""
    folder = tmp_path / "data"
    (folder / "audio").mkdir(parents=True)
    clips = sorted((ASTERISK / "audio" / "it").glob("*.ogg"))[:8]
    lines = [str(folder / "audio")]
    for clip in clips:
        shutil.copy(clip, folder / "audio")
        lines.append(f"{clip.name}\t{soundfile.info(clip).frames}")
    (folder / "train.tsv").write_text("\n".join(lines) + "\n")
    return folder


LINE = 7  # of the manifest, as an editor counts it: the sixth clip


def spoil(folder: Path, kind: str) -> str:
    """Spoil one clip of `broken_dir`; returns what the message must say of it."""
    manifest = read_manifest(folder / "train.tsv")
    utterance = manifest.utterances[LINE - 2]
    clip = manifest.audio_path(utterance)
    if kind == "missing":
        clip.unlink()
        return "no such audio file"
    if kind == "truncated":
        clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
        return f"the manifest says {utterance.samples} samples"
    if kind == "not audio":
        clip.write_bytes(b"RIFF....")
        return "cannot be decoded"
    if kind == "8 kHz":
        waveform, _ = soundfile.read(clip)
        clip.unlink()
        soundfile.write(clip, waveform[::2], 8000, format="OGG", subtype="VORBIS")
        return "found 8000 Hz"
    if kind == "NaN":
        waveform, rate = soundfile.read(clip)
        waveform[1000] = np.nan
        clip.unlink()
        soundfile.write(clip, waveform, rate, format="WAV", subtype="FLOAT")
        return "sample 1000"
    lines = (folder / "train.tsv").read_text().splitlines()
    lines[LINE - 1] = f"{utterance.path}\t{utterance.samples + 160}"
    (folder / "train.tsv").write_text("\n".join(lines) + "\n")
    return f"{utterance.samples + 160} samples, the audio has {utterance.samples}"


KINDS = ["missing", "truncated", "not audio", "8 kHz", "NaN", "wrong length"]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_audio_is_named_with_its_line(kind, broken_dir, tmp_path):
    says = spoil(broken_dir, kind)
    with pytest.raises(PtselError) as caught:
        extract_command(broken_dir, ["train"], ["zcr"], tmp_path / "store", jobs=1)
    message = str(caught.value)
    assert f"train.tsv, line {LINE} (" in message
    assert says in message
    assert "\n" not in message


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_bad_audio_through_the_command_keeps_what_is_done(kind, broken_dir, tmp_path):
    good = (broken_dir / "train.tsv").read_text()
    clips = {clip.name: clip.read_bytes() for clip in (broken_dir / "audio").iterdir()}
    says = spoil(broken_dir, kind)
    command = (
        "ptsel",
        "extract",
        broken_dir,
        "--splits",
        "train",
        "--labels",
        "f0",
        "zcr",
        "--store",
        tmp_path / "store",
    )
    failed = run_command(*command)
    assert failed.returncode == 2
    last = failed.stderr.strip().splitlines()[-1]
    assert last.startswith("ptsel: error: ")
    assert f"line {LINE} (" in last
    assert says in last
    assert "Traceback" not in failed.stderr
    if kind == "wrong length":  # a mended manifest is another manifest: everything is done anew
        (broken_dir / "train.tsv").write_text(good)
    else:
        labels = extraction.resolve(["f0", "zcr"])
        writer = StoreWriter(
            tmp_path / "store", read_manifest(broken_dir / "train.tsv"), labels, extraction.FrameGrid()
        )
        assert [utterance.index for utterance in writer.todo()][:1] in ([LINE - 2], [0])
        writer.close()
        for name, content in clips.items():
            (broken_dir / "audio" / name).write_bytes(content)
    assert run_command(*command).returncode == 0
    extract_command(
        broken_dir, ["train"], ["f0", "zcr"], tmp_path / "clean", command_line=" ".join(map(str, command))
    )
    for name in ("f0.npy", "f0.valid.npy", "zcr.npy"):
        assert (tmp_path / "store/train" / name).read_bytes() == (
            tmp_path / "clean/train" / name
        ).read_bytes()


def test_bad_audio_in_the_middle_keeps_what_is_done(broken_dir, tmp_path):
    """A file that vanishes after the start: the five before it are not done again."""
    manifest = read_manifest(broken_dir / "train.tsv")
    clip = manifest.audio_path(manifest.utterances[LINE - 2])
    content = clip.read_bytes()
    clip.unlink()
    with pytest.raises(PtselError, match=f"line {LINE} "):
        extract(manifest, ["zcr"], tmp_path / "store", jobs=1)
    clip.write_bytes(content)
    writer = StoreWriter(tmp_path / "store", manifest, extraction.resolve(["zcr"]), extraction.FrameGrid())
    assert [utterance.index for utterance in writer.todo()] == [LINE - 2, LINE - 1, LINE]
    writer.close()
    extract(manifest, ["zcr"], tmp_path / "store", jobs=1)
    extract(manifest, ["zcr"], tmp_path / "clean", jobs=1)
    assert contents(tmp_path / "store") == contents(tmp_path / "clean")


def test_everything_is_checked_before_anything_is_written(broken_dir, tmp_path):
    for arguments, says in (
        ((["train", "valid"], ["zcr"]), "no such file"),
        ((["train"], ["loud"]), "no label 'loud'"),
    ):
        with pytest.raises(PtselError, match=says):
            extract_command(broken_dir, *arguments, tmp_path / "store")
    with pytest.raises(PtselError, match="found 0"):
        extract_command(broken_dir, ["train"], ["zcr"], tmp_path / "store", jobs=0)
    assert not (tmp_path / "store").exists()


def test_the_announcement(broken_dir, tmp_path, capsys):
    extract_command(broken_dir, ["train", "train"], ["zcr", "f0"], tmp_path / "store")
    said = capsys.readouterr()
    first, second, last = said.out.splitlines()
    assert first.startswith("train: 8 utterances, to do: f0 (1), zcr (1)")
    assert "times real time" in second
    assert "free" in second
    assert last.startswith(f"{tmp_path / 'store'}: f0, zcr for train")
    assert said.err == ""  # progress is shown on a terminal only
    extract_command(broken_dir, ["train"], ["zcr"], tmp_path / "store")
    assert "has all of them already" in capsys.readouterr().out


def test_a_disk_that_is_too_small_is_found_before_the_work(broken_dir, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(PtselError, match=r"need .* 10 B are free"):
        extract_command(broken_dir, ["train"], ["zcr"], tmp_path / "store")
    assert not list((tmp_path / "store").rglob("*.npy*"))


def test_a_store_in_a_place_that_is_a_file(broken_dir, tmp_path):
    (tmp_path / "store").write_text("")
    with pytest.raises(PtselError, match="cannot be written"):
        extract_command(broken_dir, ["train"], ["zcr"], tmp_path / "store")


def test_a_label_gone_wrong_is_never_stored(broken_dir, tmp_path, monkeypatch):
    zcr = built_in_labels()["zcr"]
    wrong = replace(zcr, compute=lambda analysis: zcr.compute(analysis) * np.float32("nan"))
    monkeypatch.setitem(built_in_labels(), "zcr", wrong)
    with pytest.raises(PtselError, match=r"line 2 .*label zcr: a value that is not finite"):
        extract(read_manifest(broken_dir / "train.tsv"), ["zcr"], tmp_path / "store", jobs=1)
    with pytest.raises(PtselError, match="not finished"):
        LabelStore(tmp_path / "store", "train")


@pytest.mark.slow
def test_the_number_of_processes_changes_no_byte(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("ptsel_fairseq.base.workers.SHORT_WORK_SECONDS", 0)
    manifest = read_manifest(write_manifest(data_dir / "valid.tsv", tmp_path / "valid.tsv", every=1))
    for jobs in (1, 2, 3):
        extract(manifest, ["all"], tmp_path / str(jobs), jobs=jobs)
        assert contents(tmp_path / str(jobs)) == contents(tmp_path / "1"), jobs


def test_as_many_processes_as_are_worth_starting(monkeypatch):
    monkeypatch.setattr("ptsel_fairseq.base.workers.available_cores", lambda: 4)
    cost = Cost(start=0.5, analysis=1 / 400, finish=1 / 5000)  # nothing to import any more: others have to
    assert cost.worthwhile_jobs(600) == 1  # 1.5 s of work
    assert cost.worthwhile_jobs(36_000) == 4
    assert cost.worthwhile_jobs(1200) == 4
    assert cost.worthwhile_jobs(1200, splits=3) == 1
    for seconds in (301, 900, 1500, 5000):
        chosen = cost.worthwhile_jobs(seconds)
        assert cost.total(seconds, chosen) == min(cost.total(seconds, jobs) for jobs in (1, 4))


def test_a_bad_file_of_the_sample_is_left_to_the_work(broken_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("ptsel_fairseq.base.workers.SHORT_WORK_SECONDS", 0)
    monkeypatch.setattr("ptsel_fairseq.base.workers.available_cores", lambda: 2)
    says = spoil(broken_dir, "truncated")
    manifest = read_manifest(broken_dir / "train.tsv")
    writer = StoreWriter(tmp_path / "store", manifest, extraction.resolve(["zcr"]), extraction.FrameGrid())
    assert jobs_by_measurement(writer, manifest.utterances, writer.missing) is None
    writer.close()
    monkeypatch.setattr("ptsel_fairseq.base.workers.available_cores", lambda: 1)
    with pytest.raises(PtselError, match=f"line {LINE} .*{says}"):
        extract(manifest, ["zcr"], tmp_path / "store")
    writer = StoreWriter(tmp_path / "store", manifest, extraction.resolve(["zcr"]), extraction.FrameGrid())
    assert len(writer.todo()) == 3
    writer.close()


@pytest.mark.slow
def test_errors_come_out_of_worker_processes(broken_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("ptsel_fairseq.base.workers.SHORT_WORK_SECONDS", 0)
    says = spoil(broken_dir, "missing")
    with pytest.raises(PtselError, match=f"line {LINE} .*{says}"):
        extract(read_manifest(broken_dir / "train.tsv"), ["zcr"], tmp_path / "store", jobs=2)


@pytest.mark.slow
def test_two_extractions_at_once(broken_dir, tmp_path):
    """The second is refused in one line; the first is not disturbed."""
    manifest = read_manifest(broken_dir / "train.tsv")
    command = (
        "ptsel",
        "extract",
        broken_dir,
        "--splits",
        "train",
        "--labels",
        "zcr",
        "--store",
        tmp_path / "store",
    )
    first = StoreWriter(tmp_path / "store", manifest, extraction.resolve(["zcr"]), extraction.FrameGrid())
    second = run_command(*command)
    assert second.returncode == 2
    (line,) = second.stderr.strip().splitlines()
    assert "another extraction" in line
    first.close()
    assert run_command(*command).returncode == 0


@pytest.mark.slow
def test_a_file_size_limit_is_said_and_a_rerun_finishes(broken_dir, tmp_path):
    """As of a full disk: exit code 2 and one line, then the same command finishes."""
    command = [
        BIN / "ptsel",
        "extract",
        broken_dir,
        "--splits",
        "train",
        "--labels",
        "log_mel",
        "--store",
        tmp_path / "store",
    ]
    limited = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert limited.returncode == 2, limited.stderr
    assert "Traceback" not in limited.stderr
    assert "cannot be written" in limited.stderr.strip().splitlines()[-1]
    again = run_command("ptsel", *command[1:])
    assert again.returncode == 0, again.stderr
    assert LabelStore(tmp_path / "store", "train").labels == ("log_mel",)


@pytest.mark.slow
def test_interrupted_by_the_keyboard(data_dir, tmp_path):
    """Ctrl-C: exit code 130, no traceback, and the same command goes on."""
    import signal
    import time

    manifest = tmp_path / "train.tsv"
    root, *lines = (data_dir / "train.tsv").read_text().splitlines()
    manifest.write_text("\n".join([root, *lines * 20]) + "\n")
    command = [
        "extract",
        tmp_path,
        "--splits",
        "train",
        "--labels",
        "all",
        "--store",
        tmp_path / "store",
        "--jobs",
        "2",
    ]
    running = subprocess.Popen([BIN / "ptsel", *command], stderr=subprocess.PIPE, text=True, process_group=0)
    for _ in range(600):
        time.sleep(0.1)
        journals = list((tmp_path / "store" / "train").glob("*.journal.partial"))
        if any(len(journal.read_text().splitlines()) > 1 for journal in journals):
            break
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    writer = StoreWriter(
        tmp_path / "store", read_manifest(manifest), extraction.resolve(["all"]), extraction.FrameGrid()
    )
    assert 0 < len(writer.todo()) < len(read_manifest(manifest))
    writer.close()


def test_readable_numbers():
    assert [readable_size(size) for size in (12, 4_300, 17.2e6, 82.8e9, 3e12)] == [
        "12 B",
        "4.3 kB",
        "17.2 MB",
        "82.8 GB",
        "3 TB",
    ]
    assert [readable_time(seconds) for seconds in (2, 600, 36_000)] == ["2 s", "10 min", "10.0 h"]


def test_python_without_a_command(broken_dir, tmp_path):
    code = (
        "import sys; from ptsel_fairseq.base.manifest import read_manifest; "
        "from ptsel_fairseq.labels.extraction.extract import extract; "
        "extract(read_manifest(sys.argv[1]), ['rms_energy'], sys.argv[2])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, broken_dir / "train.tsv", tmp_path / "store"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert LabelStore(tmp_path / "store", "train").statistics("rms_energy").mean[0] > 0
