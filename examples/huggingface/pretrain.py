"""Pretrain Hugging Face's Wav2Vec2ForPreTraining with pretext heads, from manifests, a label store and weights λ.

    python examples/huggingface/pretrain.py data --store store --weights weights.yaml --out run

In several processes: torchrun --standalone --nproc-per-node 2 examples/huggingface/pretrain.py ...
The same command again goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from headed import HeadedWav2Vec2, Losses, MaskedBatches, grid_of
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForPreTraining

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, write_text
from ptsel_fairseq.base.manifest import manifest_file
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.weights_file import check_weights, join_weights, read_weights
from ptsel_fairseq.heads import PretextLoss
from ptsel_fairseq.heads.pretext import sum_over_processes
from ptsel_fairseq.labels import CropDataset, LabelStore, UpdateBatches
from ptsel_fairseq.labels.crops import stable_seed

TINY = Path(__file__).resolve().parent / "tiny.json"
# A checkpoint goes on only under the settings that it began with; these may change.
MAY_CHANGE = ("data", "store", "out", "workers", "save_every", "log_every", "device")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("data", type=Path, help="folder with the manifest train.tsv (`ptsel manifest`)")
    add("--store", type=Path, required=True, help="label store of its labels (`ptsel extract`)")
    add("--weights", type=Path, required=True, help="weights.yaml of `ptsel select`; all 0: no pretext heads")
    add("--out", type=Path, required=True, help="folder of checkpoint, losses and the model")
    add("--config", type=Path, default=TINY, help="config.json of a Wav2Vec2Config (default: a tiny one)")
    add("--model", help="begin with this pretrained model, a folder or a name, instead of --config")
    add(
        "--heads", type=json.loads, default={}, help="pretext_heads of a recipe as JSON, see docs/training.md"
    )
    add("--pretext-scale", type=float, default=1.0, help="factor on the sum of the weighted pretext losses")
    add("--balancing", default="none", help="balancing rule, see docs/training.md")
    add("--updates", type=int, default=600, help="of the whole training")
    add("--batch-size", type=int, default=8, help="utterances of an update, of all processes together")
    add("--longest", type=int, default=96_000, help="samples of a crop at most")
    add("--shortest", type=int, default=16_000, help="samples; shorter utterances are left out")
    add("--padded", action="store_true", help="pad batches, instead of cropping all to the shortest")
    add("--normalize", action="store_true", help="utterances to mean 0 and variance 1")
    add("--lr", type=float, default=1e-3, help="at the end of the warm-up; it falls linearly to 0")
    add("--warmup", type=int, default=60, help="updates")
    add("--clip-norm", type=float, default=25.0, help="of the gradients")
    add("--gumbel", type=float, nargs=3, default=(2.0, 0.5, 0.995), metavar=("FIRST", "LAST", "FACTOR"),
        help="temperature of the quantiser: it is multiplied by FACTOR after each update")  # fmt: skip
    add("--seed", type=int, default=1)
    add("--workers", type=int, default=0, help="processes that read audio, for each process that trains")
    add("--save-every", type=int, default=100, help="updates between two checkpoints")
    add("--log-every", type=int, default=10, help="updates between two lines of losses.jsonl")
    add("--device", help="cpu or cuda (default: cuda where there is one)")
    return parser


def main(words: Sequence[str] | None = None) -> None:
    parser = arguments()
    options = parser.parse_args(words)
    process, processes = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    if processes > 1:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        train(options, device, process, processes)
    except PtselError as error:
        parser.exit(2, f"pretrain.py: {error}\n")
    finally:
        if processes > 1:
            distributed.destroy_process_group()


def train(options: argparse.Namespace, device: torch.device, process: int, processes: int) -> None:
    torch.manual_seed(options.seed)
    wav2vec2 = build_wav2vec2(options)
    config = wav2vec2.config
    store = LabelStore(options.store, "train")
    weights = active_weights(options.weights, store)
    model = HeadedWav2Vec2(wav2vec2, build_pretext(options, weights, store, config))
    dataset = CropDataset(
        manifest_file(options.data, "train"),
        store,
        list(weights),
        seed=options.seed,
        longest=options.longest,
        shortest=max(options.shortest, store.grid.num_samples(config.mask_time_length)),
        padded=options.padded,
        normalize=options.normalize,
        raw=model.pretext.raw_labels if model.pretext else (),
        grid=grid_of(config, store.grid.sample_rate),
    )
    model.to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.lr, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01
    )
    settings = {key: value for key, value in vars(options).items() if key not in MAY_CHANGE}
    settings |= {"weights": weights, "config": config.to_diff_dict()}
    done = resume(options.out / "checkpoint.pt", model, optimizer, settings, device)
    batches = UpdateBatches(
        len(dataset), options.batch_size, first=done, last=options.updates, seed=options.seed,
        process=process, processes=processes,
    )  # fmt: skip
    loader = DataLoader(
        dataset, batch_sampler=batches, collate_fn=MaskedBatches(dataset, config), num_workers=options.workers
    )
    heads = sum(p.numel() for p in model.pretext.parameters()) if model.pretext else 0
    if process == 0:
        hours = sum(dataset.manifest.utterances[line].samples for line in dataset.lines) / 3600
        print(
            f"{len(dataset)} utterances ({hours / dataset.grid.sample_rate:.3g} h); {len(weights)} labels; "
            f"{sum(p.numel() for p in wav2vec2.parameters())} parameters and {heads} of heads; updates {done + 1} to "
            f"{options.updates} of {options.batch_size} utterances"
        )
    log = Log(options.out / "losses.jsonl", done) if process == 0 else None
    trained = model
    if processes > 1:
        trained = DistributedDataParallel(model, find_unused_parameters=config.layerdrop > 0)
    bar = progress_bar(total=options.updates, initial=done, desc="updates") if process == 0 else None
    for update, batch in enumerate(loader, start=done):
        # Dropout and the quantiser's noise of an update do not depend on the ones before: a resumed run repeats them.
        torch.manual_seed(stable_seed(options.seed, update, process))
        first, last, factor = options.gumbel
        wav2vec2.set_gumbel_temperature(max(first * factor**update, last))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(update, options)
        if model.pretext is not None:
            model.pretext.begin_update()
        losses = trained(to_device(batch, device))
        losses.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        finished = update + 1
        if finished % options.log_every == 0 or finished == options.updates:
            numbers = summary(losses, model.pretext)
            if not all(map(torch.isfinite, map(torch.tensor, numbers.values()))):
                raise PtselError(f"update {finished}: the loss is not finite, {numbers}; lower --lr")
            if log is not None:
                log.add({"updates": finished, **numbers})
                bar.set_postfix({key: f"{value:.3f}" for key, value in numbers.items() if "_" not in key})
        if model.pretext is not None:
            model.pretext.end_update()
        if bar is not None:
            bar.update()
            if finished % options.save_every == 0 or finished == options.updates:
                log.write()
                save(options.out / "checkpoint.pt", model, optimizer, settings, finished)
    if process == 0:
        bar.close()
        wav2vec2.save_pretrained(options.out / "model")
        Wav2Vec2FeatureExtractor(
            do_normalize=options.normalize, return_attention_mask=options.padded
        ).save_pretrained(options.out / "model")
        print(f"Wav2Vec2Model.from_pretrained reads {options.out / 'model'}")


def build_wav2vec2(options: argparse.Namespace) -> Wav2Vec2ForPreTraining:
    if options.model:
        return Wav2Vec2ForPreTraining.from_pretrained(options.model).float()
    if not options.config.is_file():
        raise PtselError(
            f"--config: expected the config.json of a Wav2Vec2Config, found no file {options.config}"
        )
    return Wav2Vec2ForPreTraining(Wav2Vec2Config.from_json_file(options.config))


def active_weights(file: Path, store: LabelStore) -> dict[str, float]:
    """The positive λ of a weights file by label, sorted; PtselError if they cannot be used with this store."""
    weights, sum_to_one = read_weights(file)
    check_weights(weights, store.labels, sum_to_one)
    return join_weights(weights, {})


def build_pretext(
    options: argparse.Namespace, weights: Mapping[str, float], store: LabelStore, config: Wav2Vec2Config
) -> PretextLoss | None:
    if not weights:
        return None
    return PretextLoss(
        weights,
        {label: store.info(label).dim for label in weights},
        {"output": config.hidden_size, "conv": config.conv_dim[-1]},
        options.heads,
        scale=options.pretext_scale,
        balancing=options.balancing,
        seed=options.seed,
    )


def learning_rate(update: int, options: argparse.Namespace) -> float:
    """Of the update of this number, from 0: a linear rise, then a linear fall."""
    if update < options.warmup:
        return options.lr * (update + 1) / options.warmup
    return options.lr * (options.updates - update) / max(1, options.updates - options.warmup)


def to_device(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {key: to_device(part, device) for key, part in value.items()}
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value


def summary(losses: Losses, pretext: PretextLoss | None) -> dict[str, float]:
    """What the batch of all processes says, for the log: losses by mean frame, skill of each label."""
    parts = [losses.contrastive, losses.masked, losses.perplexity, torch.ones_like(losses.perplexity)]
    for error in losses.errors.values():
        parts += [error.loss.detach(), error.frames, error.of_constant]
    sums = sum_over_processes(torch.stack([part.double() for part in parts])).tolist()
    numbers = {"contrastive": sums[0] / sums[1], "perplexity": sums[2] / sums[3]}
    total = 0.0
    for k, label in enumerate(losses.errors):
        error, frames, of_constant = sums[4 + 3 * k : 7 + 3 * k]
        numbers[f"pretext_{label}"] = error / max(frames, 1)
        numbers[f"skill_{label}"] = 1 - error / of_constant if of_constant > 0 else 0.0
        weight = pretext.weights[label] * (float(pretext.balancing.weights[k]) if pretext.balancing else 1.0)
        total += pretext.scale * weight * numbers[f"pretext_{label}"]
    return {**numbers, "pretext": total} if losses.errors else numbers


class Log:
    """losses.jsonl, a line of JSON for each look at the losses; what came after the last checkpoint is forgotten."""

    def __init__(self, file: Path, done: int) -> None:
        self.file = file
        self.lines: list[dict[str, float]] = []
        if done and file.is_file():
            lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            self.lines = [line for line in lines if line["updates"] <= done]

    def add(self, numbers: dict[str, float]) -> None:
        self.lines.append(numbers)

    def write(self) -> None:
        write_text(self.file, "".join(f"{json.dumps(line)}\n" for line in self.lines))


def save(
    file: Path,
    model: HeadedWav2Vec2,
    optimizer: torch.optim.Optimizer,
    settings: Mapping[str, Any],
    done: int,
) -> None:
    with WholeFile(file) as out:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(
            {**state, "updates": done, "settings": json.dumps(settings, default=str, sort_keys=True)}, out
        )


def resume(
    file: Path,
    model: HeadedWav2Vec2,
    optimizer: torch.optim.Optimizer,
    settings: Mapping[str, Any],
    device: torch.device,
) -> int:
    """Load the last checkpoint, if there is one; how many updates are done.

    Raises PtselError if it was made under other settings.
    """
    if not file.is_file():
        return 0
    found = torch.load(file, map_location=device, weights_only=True)
    before, now = json.loads(found["settings"]), json.loads(json.dumps(settings, default=str))
    changed = [
        f"{key} {before.get(key)} became {now.get(key)}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]
    if changed:
        raise PtselError(
            f"{file}: of another training: {'; '.join(changed)}; give another --out, or remove it"
        )
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    return int(found["updates"])


if __name__ == "__main__":
    main()
