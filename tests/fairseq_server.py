"""Runs code in processes that have imported fairseq already, which takes longer than a training of a few updates.

A line of JSON on its standard input asks for one thing, and a line on its standard output answers:
``{"code": ..., "arguments": [...], "environment": {...}, "output": FILE, "errors": FILE}`` forks a process that
runs this code in the folder /; answered with its number. ``{"wait": NUMBER}`` is answered with its exit code once it
has ended, the negative number of a signal if that ended it. Nothing of ptsel_fairseq is imported before a fork: what
that does as it is imported, for signals or exit, is done in every process anew. They end as any Python process does.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any

import fairseq_cli.hydra_train  # noqa: F401
import torch._dynamo  # noqa: F401  (torch does so with its first optimizer)


def serve() -> dict[str, Any] | None:
    """What a process forked here is to run; None in the server itself, when nobody asks any more."""
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                return request
        print(answer, flush=True)
    return None


def run(request: dict[str, Any]) -> None:
    with (
        open(os.devnull, "rb") as nothing,
        open(request["output"], "wb") as output,
        open(request["errors"], "wb") as errors,
    ):
        for number, file in enumerate((nothing, output, errors)):
            os.dup2(file.fileno(), number)
    os.chdir("/")
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]
    exec(compile(request["code"], "<code>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    gc.freeze()  # so that no process copies what was imported by looking through it
    asked = serve()
    if asked is not None:
        run(asked)
