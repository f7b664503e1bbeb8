"""What decides a stored label's values: two tracks may stand in one array only if all of it is the same."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.provenance import versions
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.store.header import SOFTWARE
from ptsel_fairseq.labels.store.partial_arrays import Shape
from ptsel_fairseq.labels.store.reader import LabelInfo
from ptsel_fairseq.labels.store.software import software_entry

Plan = dict[str, Any]


def label_info(label: Label) -> LabelInfo:
    """A label's definition as the store keeps it."""
    parameters = {**label.parameters, "window_seconds": label.window, "source": label.source}
    return LabelInfo(
        label.name,
        label.dim,
        label.unit,
        label.description,
        label.version,
        parameters,
        label.undefined,
        label.unvoiced_value,
        label.codes,
    )


def _without_codes_of_others(info: dict[str, Any]) -> dict[str, Any]:
    """As headers have always had it, of a label that is no code."""
    return {key: value for key, value in info.items() if key != "codes" or value is not None}


@cache
def software_versions() -> dict[str, str]:
    """Versions of what the values of a track may depend on."""
    return versions("librosa", "numba", "numpy", "scipy", "soundfile", "torch")


def plan_of_label(label: Label, grid: FrameGrid, dtype: np.dtype, device: str) -> Plan:
    """What a label is computed by now."""
    return _plain(
        {
            "info": _without_codes_of_others(asdict(label_info(label))),
            "origin": label.origin,
            **software_entry(label),
            "device": device,
            "software": software_versions(),
            "dtype": dtype.name,
            "grid": vars(grid),
        }
    )


def plan_of_entry(entry: dict[str, Any], grid: dict[str, int]) -> Plan:
    """What a finished label was computed by, from its entry of the header."""
    parts = ("info", "origin", SOFTWARE, "device", "software")
    found = {part: entry[part] for part in parts if part in entry}
    return _plain({**found, "dtype": entry.get("dtype", "float32"), "grid": grid})


def shape_of(plan: Plan) -> Shape:
    """The arrays of a label, by its plan; raise KeyError, TypeError or ValueError for what is none."""
    info = plan["info"]
    return Shape(
        info["name"], info["dim"], info["unit"], info["undefined"] is not None, np.dtype(plan["dtype"])
    )


def differences(plan: Plan, other: Plan) -> str:
    """In what two plans of a label differ, for a message."""
    return ", ".join(sorted(part for part in plan.keys() | other.keys() if plan.get(part) != other.get(part)))


def _plain(plan: Plan) -> Plan:
    """As JSON keeps it, so that one that was read equals one that was made."""
    found: Plan = json.loads(json.dumps(plan))
    return found
