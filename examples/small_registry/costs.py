"""What a run will cost, from rates that were measured, before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from settings import BASELINES

from ptsel_fairseq.base.files import readable_time
from ptsel_fairseq.base.tables import markdown

if TYPE_CHECKING:
    from settings import Settings

# Seconds on one core of a cloud machine (AVX-512, torch 2.13, one thread); README.md says how they were measured.
PRETRAIN_UPDATE = 0.25
FINETUNE_UPDATE = 0.13
PROBE = {"speaker": 60.0, "emotion": 13.0, "instruments": 55.0}  # of one checkpoint
RECOGNISER = 190.0  # on one front end
START = 10.0  # of a training, before its first update and after its last
LABELS_OF_HOUR = 22.0  # seconds for an hour of audio, the seven labels
HOURS = {"speech": 5.6, "music": 1.3, "asr": 0.35, "speaker": 1.1, "emotion": 0.1, "instruments": 0.8}
DOWNLOADS = {"amazon-queen": 35, "asterisk": 57, "polish-emotions": 39, "tonejs": 50, "fluidr3mono": 19}  # MB
MODEL_SIZE = 24e6 * 3 + 8e6  # bytes: checkpoints with Adam's state, and the exported model


def estimate(settings: Settings, corpora: list[str]) -> str:
    """A table of what is to be done at most: what was done before is not done again."""
    models = model_count(settings)
    tasks = settings.tasks
    systems = len(settings.methods) * len(settings.seeds)
    asr = sum(task.kind == "asr" for task in tasks)
    hours = sum(HOURS[name] for name in {*(task.pool for task in tasks), *(task.name for task in tasks)})
    baselines = len(BASELINES) * len(settings.seeds)
    probes = [PROBE[task.name] for task in tasks if task.kind != "asr"]
    rows = [
        ("labels", f"{hours:.1f} h of audio", hours * LABELS_OF_HOUR),
        ("pretraining", f"{models} models at most, {settings.updates} updates",
         models * (START + settings.updates * PRETRAIN_UPDATE)),
        ("fine-tuning", f"{asr * systems}, {settings.finetune_updates} updates",
         asr * systems * (START + settings.finetune_updates * FINETUNE_UPDATE)),
        ("probes", f"{len(probes) * systems}", systems * sum(probes)),
        ("recognisers on " + ", ".join(BASELINES), f"{asr * baselines}", asr * baselines * RECOGNISER),
    ]  # fmt: skip
    total = sum(seconds for _, _, seconds in rows)
    table = markdown(
        [
            ("step", "how much", "one core"),
            *((name, much, readable_time(seconds)) for name, much, seconds in rows),
            ("all", "", readable_time(total)),
        ]
    )
    download = sum(DOWNLOADS[name] for name in corpora)
    return (
        f"{table}\n\ndownload {download} MB, disk about {models * MODEL_SIZE / 1e9 + download / 200:.1f} GB; "
        f"with --jobs {settings.jobs}: about {readable_time(total / settings.jobs)}.\n"
        "Less for what is done already, and with --tiny."
    )


def model_count(settings: Settings) -> int:
    """Pretrainings if no two λ are equal, but for `none` and `all`, which are the same for every task of a pool."""
    pools = {task.pool for task in settings.tasks}
    shared = len({"none", "all"} & set(settings.methods))
    own = len(settings.methods) - shared
    return len(settings.seeds) * (shared * len(pools) + own * len(settings.tasks))
