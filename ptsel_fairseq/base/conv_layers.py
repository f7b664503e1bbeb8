"""Read fairseq's ``conv_feature_layers`` without running it.

fairseq evaluates this setting as Python, so that whoever wrote a checkpoint or a recipe could run any command on the
machine that loads it. Here it is read as what it is meant to be and nothing else: lists of convolutions
``(channels, kernel, stride)``, added, or multiplied by a number. A text that was read so is safe to give to fairseq.
"""

from __future__ import annotations

import ast
from typing import Any

from ptsel_fairseq.base.errors import PtselError

EXAMPLE = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2"
LONGEST = 2000  # characters
MOST_LAYERS = 100
MOST_CHANNELS = 16_384
WIDEST = 16_384  # samples of a kernel or a stride

Layers = list[tuple[int, int, int]]


class _NoLayersError(ValueError):
    pass


def parse_conv_layers(text: Any, where: object) -> Layers:
    """The convolutions ``(channels, kernel, stride)`` that a setting ``conv_feature_layers`` describes.

    Args:
        text: the setting.
        where: the file that it stands in, for the message.

    Raises:
        PtselError: anything else than lists of three positive numbers each, their sums, and their products with a
            number; or more than any encoder has.
    """
    try:
        if not isinstance(text, str) or len(text) > LONGEST:
            raise _NoLayersError
        layers = _layers(ast.parse(text.strip(), mode="eval").body)
        if not layers:
            raise _NoLayersError
    except (_NoLayersError, SyntaxError, ValueError, RecursionError, MemoryError):
        found = text if isinstance(text, str) else repr(text)
        shown = found if len(found) <= 80 else found[:77] + "..."
        raise PtselError(
            f"{where}: model.conv_feature_layers: expected convolutions (channels, kernel, stride) such as "
            f"{EXAMPLE!r}, with at most {MOST_LAYERS} layers, {MOST_CHANNELS} channels and kernels of {WIDEST} "
            f"samples, found {shown!r}; it is not evaluated"
        ) from None
    return layers


def _layers(node: ast.expr) -> Layers:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _few([*_layers(node.left), *_layers(node.right)])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        one, other = (
            (node.right, node.left) if isinstance(node.left, ast.Constant) else (node.left, node.right)
        )
        layers, times = _layers(one), _number(other, MOST_LAYERS)
        if len(layers) * times > MOST_LAYERS:
            raise _NoLayersError
        return layers * times
    if isinstance(node, ast.List | ast.Tuple):
        return _few([_layer(entry) for entry in node.elts])
    raise _NoLayersError


def _few(layers: Layers) -> Layers:
    if len(layers) > MOST_LAYERS:
        raise _NoLayersError
    return layers


def _layer(node: ast.expr) -> tuple[int, int, int]:
    if not isinstance(node, ast.List | ast.Tuple) or len(node.elts) != 3:
        raise _NoLayersError
    channels, kernel, stride = node.elts
    return _number(channels, MOST_CHANNELS), _number(kernel, WIDEST), _number(stride, WIDEST)


def _number(node: ast.expr, most: int) -> int:
    if not isinstance(node, ast.Constant) or type(node.value) is not int or not 0 < node.value <= most:
        raise _NoLayersError
    return node.value
