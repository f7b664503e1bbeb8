"""fairseq-hydra-train that writes down what each update did; the tests of training start it.

    RECORD=FILE [DIE_BEFORE_UPDATE=N] [SIGNAL_AFTER_UPDATE=N:SIGTERM[,all]] python recording_train.py --config-dir ...

FILE (under torchrun FILE.RANK) gets one JSON line an update: a digest of all parameters after it, what the criterion
returned on this rank, and what fairseq logged. With DIE_BEFORE_UPDATE the process sends itself SIGKILL there; with
SIGNAL_AFTER_UPDATE another signal (with ``,all`` its data loaders too).
"""

import hashlib
import json
import multiprocessing
import os
import signal

import torch
from fairseq.models import distributed_fairseq_model
from fairseq.tasks.fairseq_task import FairseqTask
from fairseq.trainer import Trainer
from fairseq_cli.hydra_train import cli_main

seen = []
original_train_step, original_task_step = Trainer.train_step, FairseqTask.train_step


def task_step(self, *args, **kwargs):
    result = original_task_step(self, *args, **kwargs)
    seen.append({key: float(value) for key, value in result[2].items()})
    return result


def train_step(self, samples, raise_oom=False):
    if self.get_num_updates() + 1 == int(os.environ.get("DIE_BEFORE_UPDATE", -1)):
        os.kill(os.getpid(), signal.SIGKILL)
    seen.clear()
    logged = original_train_step(self, samples, raise_oom)
    digest = hashlib.sha256()
    for name, value in sorted(self.get_model().state_dict().items()):
        digest.update(name.encode() + value.contiguous().view(torch.uint8).numpy().tobytes())
    record = {
        "update": self.get_num_updates(),
        "parameters": digest.hexdigest(),
        "seen": list(seen),
        "logged": {key: float(value) for key, value in logged.items()},
    }
    rank = f".{os.environ['RANK']}" if "TORCHELASTIC_RUN_ID" in os.environ else ""
    with open(os.environ["RECORD"] + rank, "a") as file:
        file.write(json.dumps(record) + "\n")
    after, _, name = os.environ.get("SIGNAL_AFTER_UPDATE", "-1:SIGTERM").partition(":")
    if self.get_num_updates() == int(after):
        name, _, everyone = name.partition(",")
        children = [child.pid for child in multiprocessing.active_children()] if everyone else []
        for process in (*children, os.getpid()):
            os.kill(process, getattr(signal, name))
    return logged


class OnCPU(torch.nn.parallel.DistributedDataParallel):
    """torch's own, for ddp_backend=c10d: fairseq names devices to it that a CPU does not have."""

    def __init__(self, module, device_ids, output_device, **options):
        super().__init__(module, **options)


distributed_fairseq_model.DistributedDataParallel = OnCPU
Trainer.train_step, FairseqTask.train_step = train_step, task_step

if __name__ == "__main__":
    cli_main()
