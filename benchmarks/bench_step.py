"""What pretext labels add to a training step: the plugin with seven labels against stock wav2vec 2.0, in one run.

    OMP_NUM_THREADS=1 python benchmarks/bench_step.py [--model base|tiny] [--rounds 7] [--device cuda] [--dtype bf16]
        [--profile]

Forward, backward and update on one real batch, alternating between both; prints the median times, the peak of what a
step allocates beyond parameters, and their ratios. `base` has the shapes of BASE, on a smaller batch. On a CPU the time
is that of the process, so that other programs do not count; on a GPU it is the clock's, by default in half precision.
`--profile` prints what each part of the labels takes, with torch's profiler.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from common import RECIPES as RECIPES_FOLDER
from common import SEVEN, Figure, bundled, finish, in_turns, medians, parse, parser_of, ratio, write_some
from fairseq import tasks, utils
from fairseq.criterions.wav2vec_criterion import Wav2vecCriterion
from fairseq.dataclass.initialize import add_defaults
from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Model
from omegaconf import OmegaConf
from torch.profiler import ProfilerActivity, profile, record_function

from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.heads import losses
from ptsel_fairseq.heads.heads import PtselHeads
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.plugin import criterion as plugin_criterion
from ptsel_fairseq.plugin.encoders.tap import EncoderTap

RECIPES = {"base": "wav2vec2_base_librispeech", "tiny": "tiny"}
# Parts of a step by the name they get in the profile; the heads run inside the model, the constant inside the errors.
PARTS = {
    "stock model, forward": (Wav2Vec2Model, "forward"),
    "stock criterion": (Wav2vecCriterion, "forward"),
    "keeping the encoder's frames": (EncoderTap, "frames"),
    "heads, forward": (PtselHeads, "forward"),
    "pretext losses": (plugin_criterion, "pretext_errors"),
    "of these, of the best constant": (losses, "constant_loss"),
    "balancing, observing": (plugin_criterion, "observe"),
}
STOCK, LABELLED = "stock wav2vec 2.0", "seven pretext labels"
GOAL_TIME, GOAL_PEAK = {"cpu": 1.02, "cuda": 1.03}, 1.05
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
KERNELS = 12  # of the device, listed by the profile


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--model", choices=RECIPES, default="base")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--utterances", type=int, default=4, help="in the batch (default 4)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--dtype", choices=DTYPES, help="of parameters and batch (default: fp16 on a GPU, fp32 on a CPU)"
    )
    parser.add_argument("--balancing", default="none", help="rule of criterion.pretext_balancing")
    parser.add_argument("--profile", action="store_true", help="print what each part takes")
    parser.add_argument("--clips", type=int, help="bundled clips to use (default: all of the training split)")
    options = parse(parser, arguments, {"model": "tiny", "rounds": 1, "utterances": 2, "clips": 6})
    options.dtype = options.dtype or ("fp16" if options.device == "cuda" else "fp32")
    with tempfile.TemporaryDirectory() as folder:
        data, store = Path(folder) / "data", Path(folder) / "store"
        write_some(data / "train.tsv", bundled(), bundled().utterances[: options.clips])
        extract(read_manifest(data / "train.tsv"), SEVEN, store)
        contenders = {name: Step(options, data, store, name == LABELLED) for name in (STOCK, LABELLED)}
        clock = time.perf_counter if options.device == "cuda" else time.process_time
        times = in_turns({name: step.run for name, step in contenders.items()}, options.rounds, clock)
        peaks = {name: step.peak() for name, step in contenders.items()}
        for name, seconds in medians(times).items():
            spread = ", ".join(f"{value:.3f}" for value in sorted(times[name]))
            print(f"{name:20s} {seconds:8.3f} s a step ({spread}), peak {peaks[name] / 1e6:.1f} MB")
        if options.profile:
            print_profile(contenders[LABELLED])
    kind = f"a step of {options.model} in {options.dtype} with seven labels, over stock"
    parameters = [contenders[name].parameters for name in (LABELLED, STOCK)]
    return finish(
        options,
        [
            Figure(f"{kind}: time", ratio(times, LABELLED, STOCK), GOAL_TIME[options.device], True),
            Figure(f"{kind}: peak memory", peaks[LABELLED] / peaks[STOCK], GOAL_PEAK, True),
            Figure(f"{kind}: parameters", parameters[0] / parameters[1]),
        ],
    )


class Step:
    """A model with its criterion and optimizer, and one batch to train on."""

    def __init__(self, options: argparse.Namespace, data: Path, store: Path, labelled: bool) -> None:
        cfg = OmegaConf.load(RECIPES_FOLDER / f"{RECIPES[options.model]}.yaml")
        cfg.task.data, cfg.task.store, cfg.task.tpu, cfg.task.seed = str(data), str(store), False, 1
        cfg.task.min_sample_size = 16_000
        cfg.model.encoder_layerdrop = (
            0.0  # a layer that chance drops for one of them is worth more than all labels
        )
        cfg.criterion.pretext_weights = dict.fromkeys(SEVEN, 1 / len(SEVEN)) if labelled else {}
        cfg.criterion.pretext_balancing = options.balancing if labelled else "none"
        add_defaults(cfg)
        torch.manual_seed(0)
        task = tasks.setup_task(cfg.task)
        task.build_model(cfg.model)  # fills in the labels
        self.task, self.device = task, options.device
        if labelled:
            self.model = task.build_model(cfg.model)
            self.criterion = task.build_criterion(cfg.criterion)
        else:  # fairseq's own classes, not ours without labels
            fields = {key: value for key, value in cfg.model.items() if not key.startswith("pretext_")}
            self.model = Wav2Vec2Model(OmegaConf.create(fields))
            self.criterion = Wav2vecCriterion(task, True, cfg.criterion.loss_weights, cfg.criterion.log_keys)
        self.on_gpu = options.device == "cuda"
        self.dtype = DTYPES[options.dtype]
        self.model.to(options.device, self.dtype).train()
        self.criterion.train()
        task.load_dataset("train")
        dataset = task.dataset("train")
        longest = dataset.ordered_indices()[: options.utterances]
        self.batch = self._placed(dataset.collater([dataset[int(i)] for i in longest]))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-6)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())

    def _placed(self, batch: dict) -> dict:
        """On the device, its float32 in the model's type there, as fairseq's trainer does."""
        batch = utils.apply_to_sample(lambda value: value.to(self.device), batch)
        return utils.apply_to_sample(
            lambda value: value.to(self.dtype) if value.dtype is torch.float32 else value, batch
        )

    def run(self) -> None:
        torch.manual_seed(1)
        np.random.seed(1)
        self.optimizer.zero_grad()
        loss, sample_size, log = self.criterion(self.model, self.batch)
        with record_function("backward"):
            (loss / sample_size).backward()
        self.task.optimizer_step(self.optimizer, self.model, 0)
        self.last = {key: float(value) for key, value in log.items()}  # the log is read each update
        if self.on_gpu:
            torch.cuda.synchronize()

    def peak(self) -> int:
        """The most bytes that a step holds at once beyond what it begins with."""
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self.run()
            return torch.cuda.max_memory_allocated() - before
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
            self.run()
        changes = [
            (event.start_ns(), event.nbytes())
            for event in found.profiler.kineto_results.events()
            if event.name() == "[memory]"
        ]
        held = np.cumsum([size for _, size in sorted(changes, key=lambda change: change[0])])
        return int(held.max())


def print_profile(step: Step) -> None:
    """Where the time of a labelled step goes, our parts by name."""
    for title, (owner, name) in PARTS.items():
        setattr(owner, name, named(getattr(owner, name), title))
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * step.on_gpu
    with profile(activities=activities) as found, record_function("step"):
        step.run()
    total = sum(event.cpu_time_total for event in found.key_averages() if event.key == "step")
    print(f"{'part':32s} {'ms':>9s} {'of the step':>12s}")
    for event in sorted(found.key_averages(), key=lambda event: -event.cpu_time_total):
        if event.key in ("step", "backward", *PARTS):
            spent = event.cpu_time_total
            print(f"{event.key:32s} {spent / 1000:9.2f} {spent / total:12.2%}")
    if step.on_gpu:
        kernels = sorted(found.key_averages(), key=lambda event: -event.self_device_time_total)
        print(f"{'of the device':60s} {'ms':>9s} {'times':>6s}")
        for event in kernels[:KERNELS]:
            print(f"{event.key[:60]:60s} {event.self_device_time_total / 1000:9.2f} {event.count:6d}")


def named(function: Callable, name: str) -> Callable:
    @functools.wraps(function)
    def wrapper(*arguments, **options):
        with record_function(name):
            return function(*arguments, **options)

    return wrapper


if __name__ == "__main__":
    main()
