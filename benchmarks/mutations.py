"""Ways to damage a file: bytes, lines, fields and values become others, are gone, or are there twice."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

TOKENS = (
    *(
        b"NaN",
        b"Infinity",
        b"1e999",
        b"-1",
        b"9" * 400,
        b"null",
        b"true",
        b"{}",
        b"[]",
        b'""',
        b"\x00",
        b"\xff\xfe",
    ),
    *(
        "\ufeff".encode(),
        "\u2028".encode(),
        b"\r",
        b"\t",
        b"\n\n",
        b"$x_{",
        b"${oc.env:HOME}",
        b"&a [*a]",
        b"!!python/none x",
    ),
)
VALUES = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**63,
        10**30,
        0.0,
        -1e308,
        float("nan"),
        float("inf"),
        "",
        "x",
        "NaN",
        "1",
        "\x00",
    ),
    *(
        [],
        {},
        [[]],
        {"": {}},
        [None],
        ["a", 1],
        {"a": [1]},
        "${oc.env:HOME}",
        "../../x",
        "a\tb\nc",
        "$\\frac{",
        10**400,
    ),
)

Mutation = Callable[[bytes, random.Random], bytes]


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def overwrite(content: bytes, draw: random.Random) -> bytes:
    """Some bytes become others, more often near the beginning, where headers are."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16, 64))):
        if changed:
            place = (
                draw.randrange(min(len(changed), 256))
                if draw.random() < 0.6
                else draw.randrange(len(changed))
            )
            changed[place] = draw.choice((0, 0xFF, 0x7F, 0x80, draw.randrange(256)))
    return bytes(changed)


def extreme(content: bytes, draw: random.Random) -> bytes:
    """A number of 2, 4 or 8 bytes in a header becomes the largest, the smallest or a small one."""
    changed = bytearray(content)
    size = draw.choice((2, 4, 8))
    if len(changed) > size:
        place = draw.randrange(min(len(changed) - size, 512))
        value = draw.choice((0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 2 ** (8 * size - 1) - 1))
        changed[place : place + size] = value.to_bytes(size, draw.choice(("little", "big")))
    return bytes(changed)


def splice(content: bytes, draw: random.Random) -> bytes:
    """A stretch is taken out, doubled, or put elsewhere."""
    if len(content) < 4:
        return content * 2
    a, b = sorted((draw.randrange(len(content)), draw.randrange(len(content))))
    piece = content[a:b]
    how = draw.randrange(3)
    if how == 0:
        return content[:a] + content[b:]
    if how == 1:
        return content[:b] + piece + content[b:]
    place = draw.randrange(len(content))
    return content[:place] + piece + content[place:]


def insert(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content) + 1)
    return content[:place] + draw.choice(TOKENS) + content[place:]


def replace_field(content: bytes, draw: random.Random) -> bytes:
    """A word, number or field of a text becomes another."""
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    fields = lines[at].replace(b" ", b"\t").split(b"\t")
    fields[draw.randrange(len(fields))] = draw.choice(TOKENS)
    lines[at] = (b"\t" if draw.random() < 0.7 else b" ").join(fields)
    return b"\n".join(lines)


def lines_again(content: bytes, draw: random.Random) -> bytes:
    """A line is there twice, is gone, or they are in another order."""
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    how = draw.randrange(3)
    if how == 0:
        lines.insert(draw.randrange(len(lines) + 1), lines[at])
    elif how == 1:
        del lines[at]
    else:
        draw.shuffle(lines)
    return b"\n".join(lines)


def noise(content: bytes, draw: random.Random) -> bytes:
    return draw.randbytes(draw.choice((0, 1, 7, 64, 1000)))


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed_at(value: Any, path: tuple, draw: random.Random) -> Any:
    if not path:
        return draw.choice(VALUES)
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and draw.random() < 0.25:
        del copy[path[0]]
    elif len(path) == 1 and isinstance(copy, dict) and draw.random() < 0.2:
        copy[draw.choice(("", "x", "\x00", "a\nb", "$a"))] = copy.pop(path[0])
    else:
        copy[path[0]] = changed_at(copy[path[0]], path[1:], draw)
    return copy


def other_value(content: bytes, draw: random.Random) -> bytes:
    """A value of a JSON text becomes one of another type, or its key is gone or another."""
    value = json.loads(content)
    for _ in range(draw.choice((1, 1, 1, 3))):
        value = changed_at(value, draw.choice(list(places(value))[:2000]), draw)
        if not isinstance(value, dict | list):
            break
    return json.dumps(value).encode()


def other_yaml(content: bytes, draw: random.Random) -> bytes:
    import yaml

    value = yaml.safe_load(content)
    value = changed_at(value, draw.choice(list(places(value))), draw)
    text = yaml.safe_dump(value, default_flow_style=draw.random() < 0.3)
    return text.encode("utf-8", "surrogatepass")


def bomb(content: bytes, draw: random.Random) -> bytes:
    """References that multiply, nesting without end, or very long lines."""
    how = draw.randrange(4)
    if how == 0:
        lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [b"a%d: &a%d [%s]" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 12)]
        return content + b"\n" + b"\n".join(lines) + b"\n"
    if how == 1:
        return draw.choice((b"[", b'{"a":', b"- ")) * draw.choice((500, 5000, 100_000))
    if how == 2:
        return content + b"x" * 1_000_000
    return content * 50


TEXT = (cut, overwrite, splice, insert, insert, replace_field, replace_field, lines_again, noise)
JSON_TEXT = (cut, overwrite, splice, insert, bomb, *(other_value,) * 5)
YAML_TEXT = (cut, overwrite, splice, insert, lines_again, replace_field, bomb, *(other_yaml,) * 4)
BINARY = (cut, overwrite, overwrite, extreme, extreme, splice, noise)
