"""Train an encoder of one's own by pretext labels, in a plain PyTorch loop.

    python examples/plain_pytorch/pretrain.py data --store store --weights weights.yaml --out run

The same command again goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import manifest_file
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.weights_file import check_weights, join_weights, read_weights
from ptsel_fairseq.heads import PretextLoss
from ptsel_fairseq.labels import CropDataset, LabelStore, UpdateBatches
from ptsel_fairseq.labels.crops import stable_seed


class Encoder(nn.Module):
    """Un-padded convolutions over the waveform, then a recurrent layer: [batch, samples] -> [batch, frames, width].

    Any encoder will do whose frame i is of the samples that start at ``hop * i``; `grid` says so, and the dataset
    compares it with the store's.
    """

    LAYERS = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))  # kernel, stride: hop 320, window 400

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width if i else 1, width, kernel, stride)
            for i, (kernel, stride) in enumerate(self.LAYERS)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in self.LAYERS)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.width = width

    @property
    def grid(self) -> FrameGrid:
        return FrameGrid.of_conv_layers([(self.width, kernel, stride) for kernel, stride in self.LAYERS])

    def forward(self, waveforms: Tensor) -> Tensor:
        hidden = waveforms.unsqueeze(1)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            hidden = nn.functional.gelu(norm(convolution(hidden).transpose(1, 2))).transpose(1, 2)
        return self.recurrent(hidden.transpose(1, 2))[0]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("data", type=Path, help="folder with the manifest train.tsv (`ptsel manifest`)")
    add("--store", type=Path, required=True, help="label store of its labels (`ptsel extract`)")
    add("--weights", type=Path, required=True, help="weights.yaml of `ptsel select`")
    add("--out", type=Path, required=True, help="folder of the checkpoint")
    add("--updates", type=int, default=300, help="of the whole training")
    add("--batch-size", type=int, default=8, help="utterances of an update")
    add("--longest", type=int, default=48_000, help="samples of a crop at most")
    add("--lr", type=float, default=1e-3)
    add("--seed", type=int, default=1)
    add("--save-every", type=int, default=100, help="updates between two checkpoints")
    options = parser.parse_args(words)
    try:
        train(options)
    except PtselError as error:
        parser.exit(2, f"pretrain.py: {error}\n")


def train(options: argparse.Namespace) -> None:
    torch.manual_seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    store = LabelStore(options.store, "train")
    weights, sum_to_one = read_weights(options.weights)
    check_weights(weights, store.labels, sum_to_one)
    weights = join_weights(weights, {})  # the positive ones

    encoder = Encoder().to(device)
    dims = {label: store.info(label).dim for label in weights}
    pretext = PretextLoss(weights, dims, width=encoder.width, seed=options.seed).to(device)
    dataset = CropDataset(
        manifest_file(options.data, "train"),
        store,
        list(weights),
        seed=options.seed,
        longest=options.longest,
        padded=True,
        grid=encoder.grid,
    )
    both = nn.ModuleDict({"encoder": encoder, "pretext": pretext})
    optimizer = torch.optim.Adam(both.parameters(), lr=options.lr)

    checkpoint, done = options.out / "checkpoint.pt", 0
    if checkpoint.is_file():
        found = torch.load(checkpoint, map_location=device, weights_only=True)
        if found["weights"] != weights:
            raise PtselError(
                f"{checkpoint}: of the weights {found['weights']}, found {weights}; give another --out"
            )
        both.load_state_dict(found["model"])
        optimizer.load_state_dict(found["optimizer"])
        done = found["updates"]
    batches = UpdateBatches(
        len(dataset), options.batch_size, first=done, last=options.updates, seed=options.seed
    )
    loader = DataLoader(dataset, batch_sampler=batches, collate_fn=dataset.collate)
    print(f"{len(dataset)} utterances, {len(weights)} labels, updates {done + 1} to {options.updates}")
    both.train()
    bar = progress_bar(total=options.updates, initial=done, desc="updates")
    for update, batch in enumerate(loader, start=done):
        torch.manual_seed(stable_seed(options.seed, update))  # of dropout: a resumed run repeats it
        frames = encoder(batch["source"].to(device))
        tracks = {name: value.to(device) for name, value in batch["pretext"].items()}
        found = pretext(frames, tracks)
        found.loss.backward()  # here the encoder's own loss would be added
        optimizer.step()
        optimizer.zero_grad()
        bar.update()
        finished = update + 1
        if finished == done + 1 or finished % options.save_every == 0 or finished == options.updates:
            skills = ", ".join(f"{label} {skill:.3f}" for label, skill in found.skills().items())
            bar.write(f"update {finished}: loss {found.loss.item():.4f}; skill {skills}")
        if finished % options.save_every == 0 or finished == options.updates:
            with WholeFile(checkpoint) as out:
                state = {"model": both.state_dict(), "optimizer": optimizer.state_dict()}
                torch.save({**state, "updates": finished, "weights": weights}, out)
    bar.close()
    print(f"encoder and heads: {checkpoint}")


if __name__ == "__main__":
    main()
