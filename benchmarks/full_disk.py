"""Commands on a disk that is full: one line, exit code 2, and the result of any other run once there is room.

    python benchmarks/full_disk.py [--kilobytes N ...] [--commands NAME ...]

Each size is that of a tmpfs (Linux; in a mount namespace of its own, so no rights are needed). The command is run until
it has met the full disk, then the tmpfs is made large and it is run again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from commands import Command, clean_run, contents, fill, run, warm_up
from common import Figure, finish, parse, parser_of
from every_command import prepare

ROOM = "100m"
INSIDE = "PTSEL_FULL_DISK"  # set in the process that has its own mounts


def on_a_full_disk(command: Command, out: Path, kilobytes: int, log: Path) -> tuple[int, str, dict[str, str]]:
    """Exit code and last lines of a command on a small disk, and the files after a rerun on a large one."""
    out.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(out))
    try:
        fill(command, out)
        used = int(subprocess.check_output(["df", "--output=used", "-k", str(out)], text=True).split()[-1])
        mount("-o", f"remount,size={used + kilobytes}k", str(out))
        code = run(command.words(out), log)
        said = log.read_text(errors="replace")
        mount("-o", f"remount,size={ROOM}", str(out))
        again = run(command.words(out), log)
        if again:
            return code, f"rerun: exit code {again}: {log.read_text(errors='replace')[-300:]}", {}
        return code, said, contents(command, out)
    finally:
        subprocess.run(["umount", str(out)], check=True)


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--kilobytes", type=int, nargs="+", default=[4, 16, 64, 256])
    parser.add_argument("--commands", nargs="+", metavar="NAME")
    options = parse(parser, arguments, {"kilobytes": [8], "commands": ["manifest", "extract", "export"]})
    if INSIDE not in os.environ:
        if shutil.which("unshare") is None:
            raise SystemExit(
                "expected unshare (util-linux), by which a small disk can be mounted; found none"
            )
        words = sys.argv[1:] if arguments is None else list(arguments)
        done = subprocess.run(
            ["unshare", "--map-root-user", "--mount", sys.executable, __file__, *words],
            env={**os.environ, INSIDE: "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        print(done.stdout, end="")
        faults = done.returncode if done.returncode < 100 else 100
        return [Figure("faults on full disks", faults, 0, at_most=True)]
    warm_up()
    wrong = 0
    with tempfile.TemporaryDirectory() as work:
        base = Path(work)
        print(f"{'command':12s} {'kB':>5s} {'exit code':>10s}")
        for command in prepare(base / "in"):
            if options.commands and command.name not in options.commands:
                continue
            expected, _ = clean_run(command, base / "out")
            for kilobytes in options.kilobytes:
                code, said, found = on_a_full_disk(command, base / "out", kilobytes, base / "log")
                errors = [line for line in said.splitlines() if "error:" in line]
                fault = ""
                wrong_number = code == 2 and len(errors) not in command.error_lines
                if code not in (0, 2) or wrong_number or "Traceback" in said:
                    fault = f"exit code {code}: {said[-400:]}"
                elif found != expected:
                    fault = said if said.startswith("rerun") else "another result after the rerun"
                wrong += bool(fault)
                print(f"{command.name:12s} {kilobytes:5d} {code:10d} {fault}", flush=True)
    return finish(options, [Figure("faults on full disks", wrong, 0, at_most=True)])


if __name__ == "__main__":
    figures = main()
    sys.exit(min(100, int(sum(figure.value for figure in figures))))
