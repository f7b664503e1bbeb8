"""The recipes in examples/: every command of their READMEs is one that exists, and the cheap ones run on miniatures."""

from __future__ import annotations

import os
import re
import shlex
import subprocess

import pytest
from conftest import BIN, ROOT
from corpus_tools import Recordings, write

from ptsel_fairseq.base.tables import markdown
from ptsel_fairseq.cli.program import build_parser
from ptsel_fairseq.downstream.metrics.results import read_result
from ptsel_fairseq.labels.tracks import resolve

RECIPES = ("librispeech_asr", "voxceleb_sv", "iemocap_er", "music_instruments", "small_registry")
PRETRAINING = ROOT / "configs" / "pretraining" / "wav2vec2_base_librispeech.yaml"


def blocks(recipe: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", (ROOT / "examples" / recipe / "README.md").read_text(), re.S)


def commands(recipe: str, program: str) -> list[list[str]]:
    """The commands of a README that begin with `program`, in words."""
    lines = "\n".join(blocks(recipe)).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip().startswith(f"{program} ")]


PTSEL = [(recipe, words) for recipe in RECIPES for words in commands(recipe, "ptsel")]
TRAININGS = [(recipe, words) for recipe in RECIPES for words in commands(recipe, "fairseq-hydra-train")]


def test_there_are_commands_to_test():
    assert {recipe for recipe, _ in PTSEL} >= set(RECIPES) - {"small_registry"}
    assert {recipe for recipe, _ in TRAININGS} == set(RECIPES) - {"small_registry"}


@pytest.mark.parametrize(("recipe", "words"), PTSEL, ids=[f"{r}:{' '.join(w[1:3])}" for r, w in PTSEL])
def test_the_parser_takes_the_command(recipe, words):
    options = vars(build_parser().parse_args(words[1:]))
    if options.get("labels"):
        assert resolve(options["labels"])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("recipe", "words"), TRAININGS, ids=[recipe for recipe, _ in TRAININGS])
def test_fairseq_composes_the_training(recipe, words, monkeypatch):
    pytest.importorskip("fairseq")
    from fairseq.dataclass.initialize import hydra_init
    from hydra import compose, initialize_config_dir

    monkeypatch.setenv("PWD", str(ROOT))
    option = {words[i]: words[i + 1] for i in (1, 3)}
    overrides = [word.replace("$(ptsel user-dir)", str(ROOT / "ptsel_fairseq")) for word in words[5:]]
    overrides = [re.sub(r"\$(WORK|PWD|system)", "/my work", word) for word in overrides]
    if option["--config-name"] == "pretrain":  # which the README copies from here
        folder, name = PRETRAINING.parent, PRETRAINING.stem
    else:
        folder, name = option["--config-dir"].replace("$PWD", str(ROOT)), option["--config-name"]
    hydra_init(name)  # fairseq's defaults under the recipe's name, as its command line does
    with initialize_config_dir(config_dir=str(folder), version_base="1.1"):
        config = compose(config_name=name, overrides=[word for word in overrides if "hydra.run" not in word])
    assert config.task.data.startswith("/my work/")
    assert (config.model.get("w2v_path") or config.task.get("store")).startswith("/my work/")


@pytest.fixture
def iemocap(tmp_path):
    """Five sessions, two speakers each, four emotions, two clips of each."""
    recordings, root = Recordings(), tmp_path / "IEMOCAP full release"
    for session in range(1, 6):
        dialogue, rows = f"Ses0{session}F_impro01", []
        for i, emotion in enumerate(("ang", "hap", "neu", "sad") * 4):
            name = f"{dialogue}_{'FM'[i // 8]}{i:03d}"
            recordings.write(root / f"Session{session}" / "sentences" / "wav" / dialogue / f"{name}.wav")
            rows.append(f"[{i}.0000 - {i}.5000]\t{name}\t{emotion}\t[2.5, 2.5, 2.5]")
        write(root / f"Session{session}" / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", *rows)
    return {"IEMOCAP": root}


@pytest.fixture
def medley(tmp_path):
    """Three instruments, three songs of each in each split, two clips a song."""
    recordings, root = Recordings(), tmp_path / "Medley solos"
    rows = []
    for subset in ("training", "validation", "test"):
        for instrument in range(3):
            for clip in range(6):
                uuid = f"{subset}-{instrument}-{clip}"
                recordings.write(root / f"Medley-solos-DB_{subset}-{instrument}_{uuid}.wav", rate=44100)
                rows.append(
                    f"{subset},{'abc'[instrument]},{instrument},{subset}{instrument}{clip // 2},{uuid}"
                )
    write(root / "Medley-solos-DB_metadata.csv", "subset,instrument,instrument_id,song_id,uuid4", *rows)
    return {"MEDLEY": root}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "corpus", "absent", "items"),
    [
        ("iemocap_er", "iemocap", ("$COMMON_VOICE", "$WORK/cv"), 80),
        ("music_instruments", "medley", ("$AUDIOSET", "$WORK/audioset", "$OPENMIC", "$WORK/openmic"), 18),
    ],
)
def test_all_but_the_training_runs_on_a_miniature(recipe, corpus, absent, items, tmp_path, request):
    places = {name: str(root) for name, root in request.getfixturevalue(corpus).items()}
    lines = "\n".join(blocks(recipe)).replace("\\\n", " ").splitlines()
    kept = [
        re.sub(r'"\$WORK/(sparsemax|weighted|none)\.pt"', "", line)
        for line in lines
        if not re.match(r"\s*(fairseq-hydra-train|ptsel export|ptsel plot|[A-Z_]+=)", line)
        and not any(word in line for word in absent)
    ]
    done = subprocess.run(
        ["bash", "-c", 'set -euo pipefail\nmkdir -p "$WORK"\n' + "\n".join(kept)],
        cwd=ROOT,
        env={
            **os.environ,
            **places,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "WORK": str(tmp_path / "my work"),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    work = tmp_path / "my work"
    recipe_text = (work / "pretrain.yaml").read_text()
    assert recipe_text.count("pretext_weights:") == 1
    assert "pretext_weights: {}" not in recipe_text
    for features in ("mfcc_deltas", "log_mel"):
        assert len(read_result(work / "probe" / features / "result.json").answers.ids) == items


@pytest.mark.parametrize(
    "page", [*(f"examples/{recipe}/README.md" for recipe in RECIPES[:4]), "docs/downstream.md"]
)
def test_paths_may_hold_blanks(page):
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.S):
        lines = [line for line in block.splitlines() if not re.match(r"[A-Z_]+=", line)]
        for line in lines:
            assert "$" not in re.sub(r"\"[^\"]*\"|'[^']*'", "", line), line


def test_a_table_of_costs_is_in_every_readme():
    header = markdown([("step", "cost", "basis")]).splitlines()[0]
    for recipe in RECIPES:
        assert header in (ROOT / "examples" / recipe / "README.md").read_text(), recipe
