"""A small CTC recogniser on frozen features, as SUPERB's: layers mixed by learned weights, BLSTM or linear, letters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ptsel_fairseq.downstream.asr.search import collapse
from ptsel_fairseq.downstream.asr.settings import Settings

LSTM_LAYERS = 2
DROPOUT = 0.2
LARGEST_GRADIENT = 1.0

FramesOf = Callable[[int], np.ndarray]  # utterance -> float32 [layers, frames, dim]


class Blstm(nn.Module):
    """Bidirectional LSTM layers over padded sequences, each of which is read back from its own end.

    The outputs are those of ``nn.LSTM`` on packed sequences; without packing they take a fifth of the time on a CPU.
    """

    def __init__(self, size: int, layers: int, dropout: float) -> None:
        super().__init__()
        widths = [size] + [2 * size] * (layers - 1)
        self.onward, self.back = (
            nn.ModuleList(nn.LSTM(width, size, batch_first=True) for width in widths) for _ in range(2)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """[batch, frames, size] -> [batch, frames, 2 * size]; what stands behind a sequence's length is undefined."""
        steps = torch.arange(frames.shape[1], device=frames.device)
        ends = lengths.to(frames.device)[:, None]
        order = torch.where(steps < ends, ends - 1 - steps, steps)[:, :, None]
        for number, (onward, back) in enumerate(zip(self.onward, self.back, strict=True)):
            frames = self.dropout(frames) if number else frames
            reverse, _ = back(frames.gather(1, order.expand_as(frames)))
            there, _ = onward(frames)
            frames = torch.cat([there, reverse.gather(1, order.expand_as(reverse))], dim=-1)
        return frames


class Recogniser(nn.Module):
    """Features -> logits of each symbol; [batch, layers, frames, dim] -> [batch, frames, symbols]."""

    def __init__(self, mean: np.ndarray, deviation: np.ndarray, symbols: int, settings: Settings) -> None:
        super().__init__()
        layers, dim = mean.shape
        self.register_buffer("mean", torch.from_numpy(mean)[None, :, None])
        self.register_buffer("deviation", torch.from_numpy(deviation)[None, :, None])
        self.mix = nn.Parameter(torch.zeros(layers))
        self.blstm: Blstm | None = None
        if settings.head == "linear":
            self.projection: nn.Module = nn.Identity()
            self.output = nn.Linear(dim, symbols)
        else:
            self.projection = nn.Linear(dim, settings.size)
            self.blstm = Blstm(settings.size, LSTM_LAYERS, DROPOUT)
            self.output = nn.Linear(2 * settings.size, symbols)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        standard = (features - self.get_buffer("mean")) / self.get_buffer("deviation")
        mixed = self.projection(torch.einsum("l,bltd->btd", self.mix.softmax(0), standard))
        if self.blstm is not None:
            mixed = self.blstm(mixed, lengths)
        return self.output(mixed)


@dataclass(frozen=True)
class Trained:
    """A recogniser with the parameters of its best epoch, and what was found on the way."""

    model: Recogniser
    epochs: int
    valid_error: float
    valid_loss: float
    layer_weights: list[float]


def train(
    frames: FramesOf,
    lengths: Sequence[int],
    targets: Sequence[Sequence[int]],
    parts: tuple[Sequence[int], Sequence[int]],
    symbols: int,
    settings: Settings,
    seed: int,
    report: Callable[[int, float, float, float], None] = lambda epoch, loss, valid_loss, error: None,
) -> Trained:
    """Adam on the CTC loss; the epoch with the fewest errors on the validation part is kept, of equal ones the one of
    least loss.

    A CTC model says only blanks for many epochs before it says letters, while its loss falls: that is no reason to
    stop. Features are standardised over the training part, each layer by itself. An utterance with fewer frames than
    symbols adds nothing to the loss (``zero_infinity``).

    Args:
        frames: features of an utterance.
        lengths: its frames.
        targets: its symbols; 0 is the blank, -1 one that no training text has.
        parts: utterances to train on, and to choose on.
        symbols: with the blank.
        seed: of parameters and order.
        report: called after each epoch with its number, mean loss, loss and errors on the validation part.
    """
    training, valid = parts
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Recogniser(*moments(frames, training), symbols, settings).to(settings.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
        draw = np.random.default_rng(seed)
        best, best_epoch, best_state = (float("inf"), float("inf")), 0, copy.deepcopy(model.state_dict())
        least_loss, last_gain = float("inf"), 0
        for epoch in range(1, settings.epochs + 1):
            model.train()
            losses = []
            for rows in batches(lengths, training, settings.batch, draw):
                optimizer.zero_grad()
                loss = ctc_loss(model, frames, targets, rows, settings.device)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
                optimizer.step()
                losses.append(loss.item())
            model.eval()
            found = recognise(model, frames, valid, settings.batch, settings.device)
            error, valid_loss = on_valid(found, [targets[i] for i in valid])
            report(epoch, float(np.mean(losses)), valid_loss, error)
            if (error, valid_loss) < best:
                best, best_epoch, last_gain = (error, valid_loss), epoch, epoch
                best_state = copy.deepcopy(model.state_dict())
            if valid_loss < least_loss:
                least_loss, last_gain = valid_loss, epoch
            if epoch - last_gain >= settings.patience:
                break
    model.load_state_dict(best_state)
    model.eval()
    return Trained(model, best_epoch, *best, model.mix.detach().softmax(0).tolist())


def on_valid(found: Sequence[np.ndarray], targets: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Errors of the best paths over symbols, and the mean CTC loss of a symbol."""
    losses = []
    for log_probs, target in zip(found, targets, strict=True):
        known = [symbol for symbol in target if symbol > 0]
        loss = nn.functional.ctc_loss(
            torch.from_numpy(log_probs)[:, None],
            torch.tensor([known], dtype=torch.long),
            torch.tensor([len(log_probs)]),
            torch.tensor([len(known)]),
            zero_infinity=True,
        )
        losses.append(loss.item())
    return symbol_errors(found, targets), float(np.mean(losses))


def moments(frames: FramesOf, training: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each dimension of each layer over all training frames, float32 [layers, dim]."""
    count = 0
    sums: Any = 0.0
    squares: Any = 0.0
    for i in training:
        values = frames(i).astype(np.float64)
        count += values.shape[1]
        sums = sums + values.sum(axis=1)
        squares = squares + np.square(values).sum(axis=1)
    mean = sums / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean.astype(np.float32), np.where(deviation > 1e-6, deviation, 1).astype(np.float32)


def batches(
    lengths: Sequence[int], rows: Sequence[int], size: int, draw: np.random.Generator
) -> list[list[int]]:
    """Utterances of about the same length together, in random order."""
    jittered = sorted(rows, key=lambda i: lengths[i] * draw.uniform(0.9, 1.1))
    groups = [jittered[first : first + size] for first in range(0, len(jittered), size)]
    return [groups[i] for i in draw.permutation(len(groups))]


def ctc_loss(
    model: Recogniser, frames: FramesOf, targets: Sequence[Sequence[int]], rows: Sequence[int], device: str
) -> torch.Tensor:
    """Mean over utterances of the CTC loss over the symbols of each."""
    features, lengths = padded(frames, rows)
    log_probs = model(features.to(device), lengths).log_softmax(dim=-1).transpose(0, 1)
    of_each = torch.tensor([len(targets[i]) for i in rows])
    flat = torch.tensor([symbol for i in rows for symbol in targets[i]], dtype=torch.long)
    return nn.functional.ctc_loss(
        log_probs, flat.to(device), lengths.to(device), of_each.to(device), zero_infinity=True
    )


def padded(frames: FramesOf, rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of some utterances with zeros behind the shorter ones, and their frames."""
    values = [torch.from_numpy(np.asarray(frames(i), dtype=np.float32)) for i in rows]
    lengths = torch.tensor([value.shape[1] for value in values])
    layers, _, dim = values[0].shape
    features = torch.zeros(len(rows), layers, int(lengths.max()), dim)
    for row, value in zip(features, values, strict=True):
        row[:, : value.shape[1]] = value
    return features, lengths


def recognise(
    model: Recogniser, frames: FramesOf, rows: Sequence[int], batch: int, device: str
) -> list[np.ndarray]:
    """Log-probabilities of each utterance, float32 [frames, symbols]."""
    found = []
    with torch.no_grad():
        for first in range(0, len(rows), batch):
            features, lengths = padded(frames, rows[first : first + batch])
            log_probs = model(features.to(device), lengths).log_softmax(dim=-1).cpu().numpy()
            found += [values[:length] for values, length in zip(log_probs, lengths.tolist(), strict=True)]
    return found


def symbol_errors(found: Sequence[np.ndarray], targets: Sequence[Sequence[int]]) -> float:
    """Edits between best paths and targets, over all symbols of the targets."""
    edits = sum(
        edit_distance(collapse(log_probs), target) for log_probs, target in zip(found, targets, strict=True)
    )
    return edits / max(1, sum(map(len, targets)))


def edit_distance(heard: Sequence[int], right: Sequence[int]) -> int:
    """Substitutions, deletions and insertions from one to the other (Levenshtein 1966)."""
    row = np.arange(len(right) + 1)
    target = np.asarray(right)
    for i, symbol in enumerate(heard, start=1):
        change = np.minimum(row[1:] + 1, row[:-1] + (target != symbol))
        # Deletions run along the row: the least of what stands before, plus the distance from there.
        steps = np.arange(len(right) + 1)
        row = np.minimum.accumulate(np.concatenate(([i], change)) - steps) + steps
    return int(row[-1])
