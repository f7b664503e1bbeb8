"""Tables of the study: CSV files, and markdown between marks of a page."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.files import write_text


def write_csv(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of equal columns; nothing if there are none."""
    if not rows:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value, 4) for name, value in row.items()} for row in rows)


def markdown(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """A table of some columns; a heading that ends in ``±`` takes the interval of ``NAME_low`` and ``NAME_high``.

    Args:
        columns: name in the rows -> heading.
    """
    if not rows:
        return "No rows yet.\n"
    lines = ["| " + " | ".join(h.removesuffix("±").strip() for h in columns.values()) + " |"]
    lines.append("| " + " | ".join("---" for _ in columns) + " |")
    for row in rows:
        cells = []
        for name, heading in columns.items():
            text = "< 0.01" if name in ("p", "p_holm") and _is_small(row[name]) else _cell(row[name], 2)
            if heading.endswith("±"):
                text += f" ({_cell(row[f'{name}_low'], 2)} to {_cell(row[f'{name}_high'], 2)})"
            cells.append(text)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def put_tables(file: Path, tables: Mapping[str, str]) -> None:
    """Put each table between its marks ``<!-- NAME -->`` and ``<!-- /NAME -->``; raise KeyError for marks that lack."""
    text = file.read_text(encoding="utf-8")
    for name, table in tables.items():
        found = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not found.search(text):
            raise KeyError(f"{file}: expected the marks <!-- {name} --> and <!-- /{name} -->, found none")
        text = found.sub(lambda match, table=table: match[1] + table + match[2], text)
    write_text(file, text)


def _is_small(value: Any) -> bool:
    """Whether a probability would be shown as 0.00."""
    return isinstance(value, (float, np.floating)) and value < 0.005


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, (float, np.floating)):
        if np.isnan(value):
            return "–" if digits == 2 else ""
        return f"{value:.{digits}f}" if digits != 2 or abs(value) < 100 else f"{value:.0f}"
    return str(value)
