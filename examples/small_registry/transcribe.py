"""Greedy CTC transcripts of a fine-tuned checkpoint: `python transcribe.py CHECKPOINT DATA --split test --out FILE`.

Writes `path<TAB>text`, as `ptsel evaluate asr` reads it. The most probable symbol of every frame, repetitions and
blanks taken out; no language model.
"""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path

from ptsel_fairseq.audio import read_whole_audio
from ptsel_fairseq.files import write_text
from ptsel_fairseq.labels.grid import SAMPLE_RATE
from ptsel_fairseq.manifest import manifest_file, read_manifest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data", type=Path, help="folder of the manifests and of dict.ltr.txt")
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    import torch
    from fairseq.checkpoint_utils import load_model_ensemble_and_task
    from torch.nn.functional import layer_norm

    (model,), config, task = load_model_ensemble_and_task(
        [str(options.checkpoint)], arg_overrides={"data": str(options.data)}
    )
    model.eval()
    symbols, blank = task.target_dictionary, task.target_dictionary.bos()
    manifest = read_manifest(manifest_file(options.data, options.split))
    rows = []
    for utterance in manifest:
        waveform = read_whole_audio(
            manifest.audio_path(utterance), SAMPLE_RATE, utterance.samples, manifest.where(utterance)
        )
        source = torch.from_numpy(waveform)[None]
        if config.task.normalize:
            source = layer_norm(source, source.shape)
        with torch.no_grad():
            output = model(source=source, padding_mask=torch.zeros(source.shape, dtype=torch.bool))
            best = model.get_normalized_probs(output, log_probs=True)[:, 0].argmax(dim=-1).tolist()
        letters = [symbols[symbol] for symbol, _ in groupby(best) if symbol != blank]
        text = " ".join("".join(letters).replace("|", " ").split())
        rows.append(f"{utterance.path}\t{text}\n")
    write_text(options.out, "".join(rows))


if __name__ == "__main__":
    main()
