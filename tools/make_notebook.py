"""Write examples/notebook.ipynb: its cells are below, its outputs come from running them in an empty folder.

    python tools/make_notebook.py

Needs nbclient and ipykernel, which the extra `dev` brings.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples" / "notebook.ipynb"

# Text and code in turn; text begins with "# ", code with anything else.
CELLS = [
    """# Label, score, weigh, draw

From a waveform to weights for pretraining, on the bundled telephone prompts (11 minutes, five voices).
Every step is also a command of `ptsel`; [docs/python.md](../docs/python.md) says more of each.""",
    """import subprocess
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", message="IProgress not found")  # of tqdm, where ipywidgets is not installed
if not Path("speech").exists():
    subprocess.run([sys.executable, "-m", "ptsel_fairseq", "--quiet", "example-data", "speech"], check=True)
%matplotlib inline""",
    """# ## Label

`labels.compute` takes one channel at 16 kHz, float32 or float64 at full scale 1, and gives a track for each
label: values [frames, dim], and where they are defined. A frame is 20 ms, those of wav2vec 2.0.""",
    """import soundfile

from ptsel_fairseq import labels

waveform, sample_rate = soundfile.read("speech/audio/en/agent-pass.ogg", dtype="float32")
tracks = labels.compute(waveform, ["f0", "loudness", "mfcc"], sample_rate=sample_rate)
for name, track in tracks.items():
    print(f"{name:9s} {track.values.shape}  defined in {track.valid.mean():.0%}, unit: {labels.get(name).unit}")""",
    """labels.draw(waveform, ["f0", "loudness", "zcr"], sample_rate=sample_rate, title="en/agent-pass.ogg")""",
    """# What would give a wrong number is refused, with the remedy.""",
    """from ptsel_fairseq.base.errors import PtselError

for wrong in ((waveform * 32767).astype("int16"), waveform[None], waveform[:100]):
    try:
        labels.compute(wrong, "f0", sample_rate=sample_rate)
    except PtselError as error:
        print(error)""",
    """# A label of your own is a function of the analysed waveform.""",
    """import numpy as np


@labels.register("peak", unit="full scale", description="largest sample of 25 ms")
def peak(analysis):
    return np.abs(analysis.frames(0.025)).max(axis=1)


labels.compute(waveform, "peak", sample_rate=sample_rate)["peak"].values[:5].ravel()""",
    """# A whole split goes into a store, memory-mapped. The call goes on where it was interrupted.""",
    """labels.extract("speech/train.tsv", ["zaiem_speech", "loudness", "mfcc"], "store", jobs=1)
store = labels.LabelStore("store", split="train")
print(store.num_utterances, "utterances:", ", ".join(store.labels))""",
    """# ## Score

Points are the segments of a downstream task, here whole utterances with their voice as the class: the speech of
each, and the mean of each label over it. The score is the accuracy of a linear probe on the label alone, learned from
other recordings. A label that does not do better than the same label in random order is no better than noise.""",
    """from ptsel_fairseq import selection
from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.manifest import read_manifest

manifest = read_manifest("speech/train.tsv")
classes = read_classes("speech/classes/voice.tsv", manifest, 16000)
points = selection.build_points(manifest, store, classes, list(store.labels), jobs=1)
scores = selection.score_labels(
    points.x, points.labels, points.classes, groups=points.groups, permutations=200, seed=0
)
for name, score in sorted(scores.items(), key=lambda item: -item[1].score):
    low, high = score.interval
    print(f"{name:12s} {score.score:.3f}  ({low:.3f} to {high:.3f})  better than noise: {score.better_than_noise}")""",
    """# ## Weigh

The weights λ on the simplex with the largest relevance to the classes as a group: labels that say the same share their
weight, and labels that add nothing get none.""",
    """chosen = selection.select_weights(points, scores=scores, seed=0)
{name: round(weight, 3) for name, weight in chosen.weights.items() if weight > 0}""",
    """# ## Draw""",
    """import matplotlib.pyplot as plt

names = sorted(scores, key=lambda name: -scores[name].score)
middle = np.array([scores[name].score for name in names])
low, high = np.array([scores[name].interval for name in names]).T
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
left.errorbar(middle, names, xerr=np.maximum([middle - low, high - middle], 0), fmt="o")
left.set_xlabel("accuracy of a probe of the voice")
right.barh(names, [chosen.weights[name] for name in names])
right.set_xlabel("λ")
right.invert_yaxis();""",
    """# ## On to training

The weights go into a file that a recipe of fairseq reads, as `ptsel select` writes it;
[docs/training.md](../docs/training.md) goes on from there.""",
    """from ptsel_fairseq.base.weights_file import write_weights

write_weights("weights.yaml", chosen.weights, {"method": chosen.method})
print(Path("weights.yaml").read_text())""",
]


def main() -> None:
    """Run the cells in an empty folder and write the notebook with what they gave."""
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    )
    for number, cell in enumerate(CELLS):
        text = cell.startswith("# ")
        source = cell.removeprefix("# ") if text and number else cell
        new = nbformat.v4.new_markdown_cell(source) if text else nbformat.v4.new_code_cell(source)
        new["id"] = f"cell-{number}"
        notebook.cells.append(new)
    with tempfile.TemporaryDirectory() as folder:
        nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.clear()  # times of execution
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
