"""Classification by fairseq's own model: what its task lacks, the loss against torch, a training of some updates."""

from __future__ import annotations

import json
import re

import pytest
import torch
from conftest import ASTERISK, ROOT, run_command
from omegaconf import OmegaConf

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.probing.targets import targets_command

VOICES = ASTERISK / "classes" / "voice.tsv"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    for split, step in (("train", 12), ("valid", 4)):
        lines = (ASTERISK / f"{split}.tsv").read_text().splitlines()[1::step]
        (folder / f"{split}.tsv").write_text("\n".join([str(ASTERISK / "audio"), *lines]) + "\n")
    return folder


def test_targets_are_the_classes_line_by_line(data):
    done = run_command("ptsel", "targets", data, "--classes", VOICES)
    assert done.returncode == 0, done.stderr
    classes = dict(line.split("\t") for line in VOICES.read_text().splitlines()[1:])
    for split in ("train", "valid"):
        paths = [line.split("\t")[0] for line in (data / f"{split}.tsv").read_text().splitlines()[1:]]
        assert (data / f"{split}.cls").read_text().splitlines() == [classes[path] for path in paths]
    names, counts = zip(
        *(row.split() for row in (data / "dict.cls.txt").read_text().splitlines()), strict=True
    )
    train = (data / "train.cls").read_text().split()
    assert {name: int(count) for name, count in zip(names, counts, strict=True)} == {
        name: train.count(name) for name in set(train)
    }


def test_classes_that_cannot_be_learned(data, tmp_path):
    for split in ("train", "valid"):
        (tmp_path / f"{split}.tsv").write_text((data / f"{split}.tsv").read_text())
    path = (tmp_path / "valid.tsv").read_text().splitlines()[1].split("\t")[0]
    rows = [line for line in VOICES.read_text().splitlines() if not line.startswith(path)]
    (tmp_path / "few.tsv").write_text("\n".join(rows) + "\n")
    with pytest.raises(PtselError, match=r"1 have none \(first: en/"):
        targets_command(tmp_path, tmp_path / "few.tsv")
    (tmp_path / "new.tsv").write_text("\n".join([*rows, f"{path}\tsome one else"]) + "\n")
    with pytest.raises(PtselError, match=r"1 classes of valid are not in train \(first: some_one_else\)"):
        targets_command(tmp_path, tmp_path / "new.tsv")
    (tmp_path / "one.tsv").write_text(
        re.sub(r"\t.*", "\tx", VOICES.read_text()).replace("path\tx", "path\tclass")
    )
    with pytest.raises(PtselError, match="expected two classes or more in train, found x"):
        targets_command(tmp_path, tmp_path / "one.tsv")
    (tmp_path / "blanks.tsv").write_text("\n".join([*rows, f"{path}\ten  allison", "x\ten allison"]) + "\n")
    with pytest.raises(
        PtselError, match=r"3 classes .* one \(first: 'en  allison'; 'en allison'; 'en_allison'\)"
    ):
        targets_command(tmp_path, tmp_path / "blanks.tsv")
    assert not list(tmp_path.glob("*.cls"))


@pytest.fixture(scope="module")
def setup(data, tmp_path_factory):
    """The recipe with data and a stock checkpoint of random weights."""
    pytest.importorskip("fairseq.tasks.audio_classification", reason="this fairseq has no classification")
    from fairseq.dataclass.initialize import add_defaults
    from test_probe import save_stock

    import ptsel_fairseq.plugin  # noqa: F401

    targets_command(data, VOICES)
    stock = tmp_path_factory.mktemp("stock") / "stock.pt"
    save_stock(stock)
    state = torch.load(stock)
    history = [{"criterion_name": "", "optimizer_name": "", "lr_scheduler_state": {}, "num_updates": 0}]
    state |= {"args": None, "optimizer_history": history, "task_state": {}, "extra_state": {}}
    state["cfg"] |= {"optimizer": None, "lr_scheduler": None}
    state["cfg"]["task"]["data"] = "."
    torch.save(state, stock)
    cfg = OmegaConf.load(ROOT / "configs" / "finetuning" / "tiny_classification.yaml")
    cfg.task.data, cfg.model.w2v_path, cfg.common.user_dir = str(data), str(stock), None
    cfg.model.data, cfg.model.normalize = str(data), False
    cfg.task.tpu, cfg.task.seed = False, 1
    add_defaults(cfg)
    return cfg, stock


def test_the_stock_task_still_needs_ours(setup, data):
    from fairseq.tasks.audio_classification import AudioClassificationTask

    task = AudioClassificationTask(OmegaConf.merge(setup[0].task, {"_name": "audio_classification"}))
    with pytest.raises(AttributeError, match="pad_index"):
        task.load_dataset("valid")


def test_the_loss_is_torchs_cross_entropy_of_the_right_classes(setup, data):
    from fairseq import tasks

    cfg, _ = setup
    task = tasks.setup_task(cfg.task)
    task.load_dataset("valid")
    model = task.build_model(cfg.model).eval()
    criterion = task.build_criterion(cfg.criterion)
    dataset = task.dataset("valid")
    batch = dataset.collater([dataset[i] for i in range(4)])
    names = [row.split()[0] for row in (data / "dict.cls.txt").read_text().splitlines()]
    classes = (data / "valid.cls").read_text().splitlines()
    right = torch.tensor([names.index(classes[i]) for i in batch["id"].tolist()])
    with torch.no_grad():
        logits = model(**batch["net_input"])
        loss, size, logged = task.valid_step(batch, model, criterion)
    assert logits.shape == (4, len(names))
    assert size == 4
    assert float(loss) == pytest.approx(
        float(torch.nn.functional.cross_entropy(logits, right, reduction="sum"))
    )
    assert logged["_correct"] == int((logits.argmax(dim=1) == right).sum())


def test_a_class_that_the_dictionary_lacks_is_named(setup, data, tmp_path):
    from fairseq import tasks

    for file in data.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "valid.cls").write_text("nobody\n" + (data / "valid.cls").read_text().split("\n", 1)[1])
    task = tasks.setup_task(OmegaConf.merge(setup[0].task, {"data": str(tmp_path)}))
    with pytest.raises(PtselError, match=r"1 lines are no class of dict.cls.txt \(first: line 1: 'nobody'\)"):
        task.load_dataset("valid")


@pytest.mark.slow
def test_the_recipe_trains(setup, data, tmp_path):
    done = run_command(
        *("fairseq-hydra-train", "--config-dir", ROOT / "configs" / "finetuning"),
        *(
            "--config-name",
            "tiny_classification",
            f"common.user_dir={ROOT / 'ptsel_fairseq'}",
            f"task.data={data}",
        ),
        *(f"model.w2v_path={setup[1]}", f"checkpoint.save_dir={tmp_path}", f"hydra.run.dir={tmp_path}"),
        *("optimization.max_update=4", "dataset.validate_interval_updates=4", "dataset.max_tokens=160000"),
        PYTHONWARNINGS="ignore",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    log = (tmp_path / "hydra_train.log").read_text()
    last = json.loads(re.findall(r"\[valid\]\[INFO\] - ({.*})", log)[-1])
    assert 0 <= float(last["valid_accuracy"]) <= 1
    assert (tmp_path / "checkpoint_best.pt").is_file()
