"""`ptsel labels`: which labels there are, and what they look like on a recording."""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.labels.backends import extra_labels, print_backends
from ptsel_fairseq.labels.label import BUILT_IN, Label
from ptsel_fairseq.labels.pools import ALL, POOLS
from ptsel_fairseq.labels.tracks import resolve
from ptsel_fairseq.labels.user import read_user_files


def labels_command(
    names: Sequence[str] = (),
    plot: Path | None = None,
    out: Path | None = None,
    user_labels: Sequence[Path] = (),
    json: bool = False,
    start: float | None = None,
    end: float | None = None,
) -> None:
    """`ptsel labels`: print labels, or draw them below the spectrogram of an audio file.

    Args:
        json: print the labels for a program.
        start, end: seconds of the audio between which to draw; default, all of it.

    Raises:
        PtselError: a label that is not known, a picture of no label or without a place, audio that cannot be used.
    """
    read_user_files(user_labels)
    if plot is None and out is None:
        extra = {name: label for name, (_, label) in extra_labels().items()}
        own = [name for name in names if name not in extra]
        labels = resolve(own or ["all"]) if own or not names else []
        labels += [label for name, label in extra.items() if name in names or not names]
        labels = sorted(labels, key=lambda label: label.name)
        if json:
            print(as_json(labels))
            return
        print_catalogue(labels)
        if not names:
            print_pools()
            print_backends()
        return
    if plot is None and (start is not None or end is not None):
        raise PtselError("--from, --to: expected with --plot AUDIO")
    if plot is None or out is None or not names:
        raise PtselError("to draw labels give their names, --plot AUDIO and --out FILE.png")
    labels = resolve(names)
    from ptsel_fairseq.labels.figures import draw_file

    draw_file(plot, labels, out, start, end)
    print(f"picture: {out}")


def as_json(labels: Sequence[Label]) -> str:
    """Labels by name, with what the catalogue says of each."""
    described = {
        label.name: {
            "dim": label.dim,
            "unit": label.unit,
            "description": label.description,
            "source": label.source,
            "undefined": label.undefined,
            "origin": label.origin,
        }
        for label in labels
    }
    return dumps(described, indent=1, ensure_ascii=False)


def print_catalogue(labels: Sequence[Label]) -> None:
    """Print each label with its dimension, unit, meaning and source."""
    width = max(len(label.name) for label in labels)
    extra = extra_labels()
    unit_width = max(len(label.unit) for label in labels)
    for label in labels:
        origin = "" if label.origin == BUILT_IN else f"; from {label.origin.split(',')[0]}"
        if label.name in extra:
            origin = f"; needs --backend {extra[label.name][0].name}"
        undefined = f"; undefined in {label.undefined}" if label.undefined else ""
        print(
            f"{label.name:{width}s}  {label.dim:3d}  {label.unit:{unit_width}s}  "
            f"{label.description} ({label.source}){undefined}{origin}"
        )


def print_pools() -> None:
    """Print each pool with its labels."""
    print("\npools, accepted wherever labels are named:")
    for pool, members in POOLS.items():
        print(f"{pool}: {' '.join(members)}")
    print(f"{ALL}: every label that needs no backend")
