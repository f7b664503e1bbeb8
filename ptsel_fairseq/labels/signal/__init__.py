"""Compute labels from waveforms: a module for each family of labels, and what the families share.

A module that has labels lists them as `LABELS`: each entry is a definition with the functions of the same module that
compute it, for one waveform (numpy) and, where there is one, for a batch on any device (torch). Importing a module
imports neither torch nor librosa nor numba, so that labels can be listed quickly.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from ptsel_fairseq.labels.label import Label


@cache
def built_in_labels() -> dict[str, Label]:
    """The labels of all modules here, by name, sorted; a module needs no entry anywhere else."""
    modules = (
        importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)
    )
    labels = [label for module in modules for label in getattr(module, "LABELS", ())]
    found = {label.name: label for label in sorted(labels, key=lambda label: label.name)}
    if len(found) < len(labels):
        raise RuntimeError(f"two labels of {__name__} have one name")
    return found
