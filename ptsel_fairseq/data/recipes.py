"""`ptsel recipe`: the training recipes that come with the package."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.bundled import RECIPES, bundled
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.suggestion import did_you_mean
from ptsel_fairseq.base.yaml_file import read_yaml
from ptsel_fairseq.labels.pools import expand

FIXED, FRONTEND, FILTERBANK = "criterion.pretext_fixed_weights", "model.frontend", "filterbank"


def recipe_command(
    name: str | None = None, out: Path | str | None = None, force: bool = False, json: bool = False
) -> None:
    """List the recipes, print one, or write it to a file.

    Args:
        name: such as ``pretraining/tiny``, or ``tiny_crdnn`` where only one recipe is called so.
        out: a file ending in .yaml.
        force: write it in place of another file.
        json: list names and files for a program.

    Raises:
        PtselError: an unknown name, one of several recipes, or a file that is there already and differs.
    """
    if name is None:
        if out is not None:
            raise PtselError("--out: give the NAME of a recipe too; `ptsel recipe` lists them")
        if json:
            print(dumps({name: str(file) for name, file in recipes().items()}, indent=1))
        else:
            list_recipes()
        return
    text = find(name).read_text(encoding="utf-8")
    if out is None:
        print(text, end="")
        return
    out = Path(out)
    if out.is_dir():
        raise PtselError(f"{out}: expected a file such as {out / 'recipe.yaml'}, found a folder")
    if not force and out.is_file() and out.read_text(encoding="utf-8", errors="replace") != text:
        raise PtselError(
            f"{out}: is there already and differs, perhaps by its λ; remove it, or give another --out, or --force"
        )
    write_text(out, text)
    print(out)


def recipes() -> dict[str, Path]:
    """Each recipe by its name, such as ``pretraining/tiny``, sorted."""
    folder = bundled(RECIPES)
    return {
        file.relative_to(folder).with_suffix("").as_posix(): file for file in sorted(folder.rglob("*.yaml"))
    }


def find(name: str) -> Path:
    """The recipe of a name, or of the last part of it if that is clear.

    Raises:
        PtselError: no such recipe, or several.
    """
    known = recipes()
    wanted = name.removesuffix(".yaml").removeprefix(f"{RECIPES}/")
    if wanted in known:
        return known[wanted]
    found = [full for full in known if full.rsplit("/", 1)[-1] == wanted]
    if len(found) == 1:
        return known[found[0]]
    if found:
        raise PtselError(f"{name!r}: expected one recipe, found {' and '.join(found)}; give the whole name")
    names = [*known, *(full.rsplit("/", 1)[-1] for full in known)]
    raise PtselError(f"no recipe {name!r}{did_you_mean(wanted, names)}; there are {', '.join(known)}")


def list_recipes() -> None:
    """Print each recipe's name and the first sentence of its comment."""
    known = recipes()
    width = max(map(len, known))
    for name, file in known.items():
        print(f"{name:{width}s}  {first_sentence(file.read_text(encoding='utf-8'))}")
    print("\n`ptsel recipe NAME --out FILE.yaml` writes one")


def first_sentence(text: str) -> str:
    """Of the comment at the head of a recipe."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("# "):
            break
        lines.append(line[2:])
    return re.split(r"\.(?= [A-Z]|$)|:(?= |$)", " ".join(lines), maxsplit=1)[0]


def labels_left_out(recipe: Path, overrides: Mapping[str, Any], labels: Sequence[str]) -> dict[str, str]:
    """Labels that a recipe takes whatever λ says and that are not among those of a store, and by which setting.

    Args:
        overrides: settings in place of the recipe's, ``SECTION.KEY`` -> value.
        labels: labels and pools of the store.

    Raises:
        PtselError: a recipe that cannot be read.
    """
    content = _mapping(read_yaml(recipe, "a recipe"))
    fixed = overrides.get(FIXED, _mapping(content.get("criterion")).get("pretext_fixed_weights"))
    frontend = overrides.get(FRONTEND, _mapping(content.get("model")).get("frontend"))
    taken = dict.fromkeys(_mapping(fixed), FIXED)
    if frontend == FILTERBANK:
        taken["log_mel"] = f"{FRONTEND}: {FILTERBANK}"
    there = expand(labels, list(taken))
    return {name: why for name, why in taken.items() if name not in there}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
