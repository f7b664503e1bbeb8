"""Read YAML of whomever: doubled keys, references that multiply, and what is no plain value are named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError

LARGEST = 10 << 20  # bytes of a file
MOST_VALUES = 100_000  # with every reference (*name) written out
DEEPEST = 100
EXPONENT = re.compile(r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$")
MERGE = "tag:yaml.org,2002:merge"  # the key <<, which takes in another mapping


def read_yaml(file: Path | str, expected: str) -> Any:
    """The value of a YAML file in UTF-8.

    Args:
        expected: what the file should hold, for messages.

    Raises:
        PtselError: a file that cannot be read, or see `parse_yaml`.
    """
    file = Path(file)
    try:
        if file.stat().st_size > LARGEST:
            raise PtselError(f"{file}: larger than {LARGEST >> 20} MiB; expected {expected}")
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PtselError(f"{file}: no such file; expected {expected}") from None
    except UnicodeDecodeError as error:
        raise PtselError(f"{file}: not a UTF-8 text file ({error.reason}); expected {expected}") from None
    except OSError as error:
        raise PtselError(f"{file}: cannot be read ({error.strerror}); expected {expected}") from None
    return parse_yaml(text, file, expected)


def parse_yaml(text: str, where: object, expected: str) -> Any:
    """The value of a YAML text: mappings, lists, texts, numbers, true, false, null.

    Raises:
        PtselError: no YAML, a key that stands twice, references that make more of it than any file holds, other
            types (dates, objects), or keys that are no text.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any, deep: bool = False) -> dict[Any, Any]:
        named = [key for key, _ in node.value if key.tag != MERGE]
        keys = [loader.construct_object(key, deep=True) for key in named]
        for i, key in enumerate(keys):
            if not isinstance(key, str | int | float | bool):
                raise yaml.constructor.ConstructorError(
                    problem="expected a name as key", problem_mark=named[i].start_mark
                )
            if key in keys[:i]:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key!r} stands twice", problem_mark=named[i].start_mark
                )
        loader.flatten_mapping(node)
        return yaml.SafeLoader.construct_mapping(loader, node, deep=True)

    # YAML 1.1 takes 1e-8 for a text, since it has no point; OmegaConf, and so hydra, takes it for a number.
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))
    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _count(node, {}, 0, where)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except PtselError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise PtselError(
            f"{where}{line}: not a YAML file that can be read ({problem}); expected {expected}"
        ) from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise PtselError(
            f"{where}: not a YAML file that can be read ({reason}); expected {expected}"
        ) from None


def _count(node: Any, known: dict[int, int], depth: int, where: object) -> int:
    """How many values a node has when every reference is written out."""
    import yaml

    if depth > DEEPEST:
        raise PtselError(f"{where}: nested too deeply, or a value that holds itself")
    if id(node) in known:
        return known[id(node)]
    total = 1
    if isinstance(node, yaml.MappingNode):
        total += sum(_count(part, known, depth + 1, where) for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        total += sum(_count(part, known, depth + 1, where) for part in node.value)
    if total > MOST_VALUES:
        raise PtselError(f"{where}: its references make more than {MOST_VALUES} values of it")
    known[id(node)] = total
    return total
